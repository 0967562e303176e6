"""People compare models' answers: questions and answers in, one page to rate on; scores in, report.

    SHEET.html             everything a rater needs, in one file that works without a network:
                           images, questions, answers under letters, shuffled question by question
    SHEET.html.key.json    which letter is which model; not for raters
    scores (downloaded)    {"sheet": ..., "rater": ..., "scores": {question: [score or null, ...]}}

The page has no names in it, and the order is drawn from the seed and the question's id.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsvl_data import storage
from dsvl_data.outcome import UserError
from taxonomy.questions import Question, data_url
from taxonomy.verdicts import Comparison, compare_scores

SCORES = (1, 5)
_PAGE = Path(__file__).parent / "templates" / "sheet.html"


def write_sheet(
    path: Path,
    questions: Sequence[Question],
    models: Mapping[str, Mapping[str, str]],
    seed: int = 0,
) -> int:
    """Write the page and its key; returns how many questions are on it.

    Only questions that all models have answered are. Raises `UserError` when there is none.
    """
    names = list(models)
    shown, key = [], {}
    for question in questions:
        if not all(question.id in models[name] for name in names):
            continue
        order = list(names)
        random.Random(f"{seed}/{question.id}").shuffle(order)  # noqa: S311 not a secret
        key[question.id] = {"category": question.category, "models": order}
        shown.append(
            {
                "id": question.id,
                "question": question.question,
                "images": [data_url(image) for image in question.images],
                "answers": [models[name][question.id] for name in order],
            }
        )
    if not shown:
        raise UserError("there is no question that all of these models have answered")
    said = json.dumps([shown, list(SCORES)], ensure_ascii=False, sort_keys=True)
    # Scores of another sheet, in which the letters are others, must not be read by this key.
    sheet = hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
    data = json.dumps({"sheet": sheet, "scores": SCORES, "questions": shown}, ensure_ascii=False)
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    page = _PAGE.read_text(encoding="utf-8").replace("__DATA__", data)
    storage.atomic_write(str(path), page.encode())
    written = json.dumps({"sheet": sheet, "models": names, "questions": key}, ensure_ascii=False)
    storage.atomic_write(str(key_path(path)), written.encode())
    return len(shown)


def key_path(path: Path) -> Path:
    """Where the key of a sheet is."""
    return path.with_name(path.name + ".key.json")


def read_scores(path: Path, files: Sequence[Path]) -> Comparison:
    """Read raters' scores of a sheet. Raises `UserError` for scores that are not of it."""
    key = _object(key_path(path))
    found = Comparison()
    raters: set[str] = set()
    for file in files:
        said = _object(file)
        if said.get("sheet") != key["sheet"]:
            raise UserError(f"{file} has scores of another sheet than {path}")
        rater = str(said.get("rater") or file.name)
        if rater in raters:
            raise UserError(f"{file}: the scores of {rater!r} have been read already")
        raters.add(rater)
        scores = said.get("scores")
        if not isinstance(scores, dict):
            raise UserError(f"{file} has no scores")
        for number in key["questions"]:
            _read_one(found, file, key, number, scores.get(number))
    return found


def _read_one(
    found: Comparison, file: Path, key: Mapping[str, Any], number: str, given: Any
) -> None:
    """Add one rater's scores of one question."""
    category, models = key["questions"][number]["category"], key["questions"][number]["models"]
    if given is None or (isinstance(given, list) and all(score is None for score in given)):
        found.failures["not rated"] += 1
        return
    low, high = SCORES
    right = isinstance(given, list) and len(given) == len(models)
    if not right or not all(s is None or (type(s) is int and low <= s <= high) for s in given):
        raise UserError(
            f"{file}: question {number!r} needs {len(models)} scores from {low} to {high}, or null"
        )
    by_model = {m: float(s) for m, s in zip(models, given, strict=True) if s is not None}
    for model, score in by_model.items():
        found.scores.setdefault((model, category), []).append(score)
    found.verdicts += compare_scores(category, key["models"], by_model)
    if None in given:
        found.failures["rated in part"] += 1
    elif len(models) == 2:
        found.position.first += given[0] > given[1]
        found.position.second += given[0] < given[1]
        found.position.ties += given[0] == given[1]


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not what a sheet saves")
    return value
