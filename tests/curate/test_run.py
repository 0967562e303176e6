"""Curation from parts to shards: what is left out and why, what changes redo, crashes cost."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dsvl_data import storage
from dsvl_data.curate import elect, measure
from dsvl_data.curate.accounts import accounts, is_curated
from dsvl_data.curate.explain import explain
from dsvl_data.curate.prose import Prose, read_prose
from dsvl_data.curate.run import curate, forget
from dsvl_data.curate.settings import Curation
from dsvl_data.curate.stored import CurationError
from dsvl_data.sample import Sample
from dsvl_data.shards.build import ShardSettings, build_shards
from dsvl_data.shards.index import read_index, read_sample
from tests.curate.conftest import CHINESE, ENGLISH, key, sample, write

RULES: dict[str, Any] = {
    "text": {"length": {"min_characters": 20}, "language": {"keep": ["en", "zh"]}},
    "rights": {"deny": ["CC-BY-NC-4.0"]},
    "duplicates": {"near_text": {}},
    "by_category": {"caption": {"text": {"length": {"min_characters": 3}}}},
}
FRENCH = (
    "Le port était calme quand les premiers bateaux rentraient le matin, et les gens sur la jetée "
    "les comptaient un par un jusqu'à ce que le dernier soit amarré à son poteau. Personne ne "
    "disait grand-chose, car il faisait encore froid et la nuit avait été longue pour eux tous. "
)
#: Different enough not to be taken for each other.
TALES = [
    " ".join(f"{word}{i}" for word in ENGLISH.split() for i in (n, n * 7 + 1)) for n in range(6)
]
NEARLY = TALES[0].replace("boats0", "ships0")
FATES = {
    "short": "text_too_short",
    "tiny-caption": None,
    "french": "language",
    "chinese": None,
    "non-commercial": "licence",
    "nobodys": "unknown_licence",
    "again": "duplicate_pair",
    "other-picture": None,
    "nearly": "near_duplicate_text",
    **{f"tale{n}": None for n in range(6)},
}


def corpus(out: Path) -> Path:
    """Three parts of two pipelines with something for every rule."""
    tales = [sample(f"tale{n}", text + " " + ENGLISH) for n, text in enumerate(TALES)]
    return write(
        out,
        made_0=[
            *tales[:3],
            sample("short", "Too short."),
            sample("tiny-caption", "A dog.", category="caption", images=("dog",)),
            sample("french", FRENCH),
        ],
        made_1=[*tales[3:], sample("chinese", CHINESE * 3), sample("nobodys", licence="unknown")],
        other_0=[
            # White space and capitals are not what tells texts apart.
            sample("again", (TALES[4] + "\n\n" + ENGLISH).replace("the", "The")),
            sample("non-commercial", licence="CC-BY-NC-4.0"),
            sample("other-picture", "A dog!!", category="caption", images=("hound",)),
            sample("nearly", NEARLY + " " + ENGLISH),
        ],
    )


def run(out: Path, rules: dict[str, Any] = RULES, **options: Any) -> dict[str, Any]:
    """Curate and build, and return the accounts as `status` prints them."""
    settings = Curation.model_validate(rules)
    options.setdefault("executor", "local")
    found = curate(str(out), settings, **options)
    build_shards(str(out), ShardSettings(), curation=settings, **options)
    after = accounts(str(out))
    assert not [problem for account in after.values() for problem in account.problems]
    assert {name: a.to_json() for name, a in found.items()} == {
        name: a.to_json() for name, a in after.items()
    }
    return {name: account.to_json() for name, account in after.items()}


def fates(out: Path) -> dict[str, str | None]:
    """What the decisions say, by the samples' names."""
    return {
        row["key"].partition("-")[2]: row["reason"]
        for path in (out / "curation" / "decisions").rglob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    }


def in_shards(out: Path) -> set[str]:
    """Names of the samples in the shards."""
    return {
        entry.key.partition("-")[2]
        for shard in (out / "shards").rglob("*.tar")
        for entry in read_index(str(shard))
    }


def read_shards(out: Path) -> list[Sample]:
    """The samples in the shards."""
    return [
        read_sample(str(shard), entry)
        for shard in sorted((out / "shards").rglob("*.tar"))
        for entry in read_index(str(shard))
    ]


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and times of all files below a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def contents(out: Path, *below: str) -> dict[str, bytes]:
    """What a build makes, without times."""
    return {
        f"{name}/{path}": data
        for name in below or ("curation", "shards")
        for path, (data, _) in state(out / name).items()
    }


def test_every_sample_ends_as_its_rules_say(tmp_path: Path) -> None:
    out = corpus(tmp_path / "out")
    found = run(out)
    assert fates(out) == FATES
    assert in_shards(out) == {name for name, reason in FATES.items() if reason is None}
    made, other = found["made"], found["other"]
    assert (made["in"], made["kept"], made["filtered"], made["duplicate"]) == (11, 8, 3, 0)
    assert (other["in"], other["kept"], other["filtered"], other["duplicate"]) == (4, 1, 1, 2)
    assert other["reasons"] == {"duplicate_pair": 1, "licence": 1, "near_duplicate_text": 1}
    report = json.loads((out / "curation" / "report.json").read_bytes())
    assert report["pipelines"] == found


def test_nothing_is_done_twice(tmp_path: Path) -> None:
    out = corpus(tmp_path / "out")
    run(out)
    before = state(out)
    run(out)
    assert state(out) == before


def test_a_threshold_redoes_decisions_and_the_shards_that_change(tmp_path: Path) -> None:
    out = corpus(tmp_path / "out")
    run(out)
    kept = ("measures", "signatures", "bands", "near_text")
    before = {name: state(out / "curation" / name) for name in kept}
    captions, texts = (state(out / "shards" / name) for name in ("caption", "text"))
    run(out, {**RULES, "text": {"length": {"min_characters": 5}}})
    assert fates(out) == {**FATES, "short": None, "french": None}
    assert {name: state(out / "curation" / name) for name in kept} == before
    assert all(before.values())
    assert state(out / "shards" / "caption") == captions
    assert state(out / "shards" / "text") != texts
    assert {"short", "french"} <= in_shards(out)
    # And back: as if nothing had been.
    run(out)
    assert fates(out) == FATES
    again = state(out / "shards" / "text")
    assert {name: data for name, (data, _) in again.items()} == {
        name: data for name, (data, _) in texts.items()
    }


def test_a_new_scorer_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = corpus(tmp_path / "out")
    first = {"text": {"language": {}}}
    run(out, first)

    def refuse(*_: object) -> None:
        raise AssertionError("languages were identified again")

    monkeypatch.setattr("dsvl_data.curate.language_rules.identify_all", refuse)
    run(out, {**first, "duplicates": {}})
    columns = measure.read(str(out), "made/part-00000.parquet").column_names
    assert {"text_language", "text_hash", "characters"} <= set(columns)
    before = state(out / "curation" / "measures")
    run(out, {"rights": {}})  # asks for less: what was measured stays
    assert state(out / "curation" / "measures") == before


def test_a_part_that_changes_is_measured_again_and_no_other(tmp_path: Path) -> None:
    out = corpus(tmp_path / "out")
    run(out)
    before = state(out / "curation" / "measures")
    write(out, other_0=[sample("new", TALES[5] + " again " + ENGLISH)])
    run(out)
    after = state(out / "curation" / "measures")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"other/part-00000.parquet"}
    assert "new" in fates(out)
    assert "again" not in fates(out)


def test_a_part_that_is_gone_leaves_nothing(tmp_path: Path) -> None:
    out = corpus(tmp_path / "out")
    run(out)
    (out / "parts" / "other" / "part-00000.parquet").unlink()
    run(out)
    assert fates(out) == {name: why for name, why in FATES.items() if name in set(fates(out))}
    assert not list((out / "curation").rglob("other/*"))


def test_shards_are_not_cut_from_decisions_about_another_part(tmp_path: Path) -> None:
    out = corpus(tmp_path / "out")
    run(out)
    write(out, other_0=[sample("new", TALES[5])])
    with pytest.raises(CurationError, match="changed since it was curated"):
        build_shards(str(out), ShardSettings(), curation=Curation(), executor="local")


def test_without_curation_the_shards_are_what_they_always_were(tmp_path: Path) -> None:
    plain, curated = corpus(tmp_path / "plain"), corpus(tmp_path / "curated")
    build_shards(str(plain), ShardSettings(), executor="local")
    run(curated)
    assert contents(curated, "shards") != contents(plain, "shards")
    forget(str(curated))
    assert not is_curated(str(curated))
    build_shards(str(curated), ShardSettings(), executor="local")
    assert contents(curated, "shards") == contents(plain, "shards")
    assert (plain / "manifest.json").read_bytes() == (curated / "manifest.json").read_bytes()
    # Rules that leave nothing out give these shards too.
    before = state(curated / "shards")
    run(curated, {"text": {"length": {}}, "rights": {"unknown": "keep"}})
    assert state(curated / "shards") == before


class Crash(BaseException):
    """The process dies."""


def test_killed_before_any_write_it_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = corpus(tmp_path / "whole")
    write_whole, writes = storage.atomic_write, itertools.count()

    def count(path: str, data: bytes) -> None:
        next(writes)
        write_whole(path, data)

    monkeypatch.setattr(storage, "atomic_write", count)
    run(whole)
    total = next(writes)
    assert total > 25
    expected = contents(whole)
    broken = corpus(tmp_path / "broken")
    for allowed in _some(total):
        left = iter(range(allowed))

        def die(path: str, data: bytes, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Crash
            write_whole(path, data)

        for name in ("curation", "shards", "manifest.json", "README.md"):
            storage.remove(str(broken / name))
        monkeypatch.setattr(storage, "atomic_write", die)
        with pytest.raises(Crash):
            run(broken)
        monkeypatch.setattr(storage, "atomic_write", write_whole)
        run(broken)
        assert contents(broken) == expected, f"after {allowed} writes"


def _some(total: int) -> list[int]:
    return sorted({*range(0, total, 3), total - 1})


def test_the_same_on_ray(tmp_path: Path, ray_session: None) -> None:
    local, ray = corpus(tmp_path / "local"), corpus(tmp_path / "ray")
    run(local)
    run(ray, executor="ray", workers=2)
    assert fates(ray) == FATES
    assert contents(ray) == contents(local)


def test_the_same_however_the_corpus_is_sliced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, many = corpus(tmp_path / "one"), corpus(tmp_path / "many")
    run(one)
    monkeypatch.setattr(elect, "_SLICE_PARTS", 1)
    monkeypatch.setattr(elect, "_PREFIX_ROWS", 2)
    run(many)
    assert len(list((many / "curation" / "clusters" / "pair").iterdir())) == 8
    assert fates(many) == fates(one) == FATES
    assert contents(many, "shards") == contents(one, "shards")


def test_personal_data_is_masked_on_its_way_into_the_shards(tmp_path: Path) -> None:
    letter = "Write to jane.doe@wonderful-mail.net or to her brother. " + TALES[0]
    page = sample("page", letter, category="document_ocr", images=("page",))
    out = write(tmp_path / "out", made_0=[sample("letter", letter), page, sample("tale", TALES[1])])
    parts = state(out / "parts")
    plain = run(out, {"duplicates": {}})
    before = state(out / "shards")
    masked = run(out, {"duplicates": {}, "pii": {}})
    assert masked["made"] == {**plain["made"], "masked": {"email": 1}}
    texts = {s.key.partition("-")[2]: s.text for s in read_shards(out)}
    assert texts["letter"] == letter.replace("jane.doe@wonderful-mail.net", "[EMAIL]")
    # The image of a page shows the address.
    assert texts["page"] == letter
    assert state(out / "parts") == parts
    now = state(out / "shards")
    assert {name for name in now if now[name] == before[name]} >= {
        "document_ocr/document_ocr-00000.tar"
    }
    measures = explain(str(out), "made/part-00000.parquet", {key("letter")})[key("letter")]
    assert measures["measures"]["pii_email"] == 1


def test_explain_shows_scores_thresholds_and_whose_duplicate_it_is(tmp_path: Path) -> None:
    out = corpus(tmp_path / "out")
    run(out)
    part = "other/part-00000.parquet"
    again = explain(str(out), part, {key("again")})[key("again")]
    assert (again["outcome"], again["reason"]) == ("duplicate", "duplicate_pair")
    assert again["of"] == key("tale4")
    assert again["measures"]["text_language"] == "en"
    assert all(rule["passes"] for rule in again["rules"])
    length = next(rule for rule in again["rules"] if rule["score"] == "characters")
    assert length["value"] == sum(map(len, (TALES[4] + ENGLISH).split()))
    assert length["threshold"] == "at least 20"
    denied = explain(str(out), part, {key("non-commercial")})[key("non-commercial")]
    assert denied["detail"] == "licence is CC-BY-NC-4.0, not none of CC-BY-NC-4.0"
    assert [rule["passes"] for rule in denied["rules"]].count(False) == 1
    tale = explain(str(out), "made/part-00001.parquet", {key("tale4")})[key("tale4")]
    assert tale["represents"] == {"duplicate_pair": {"samples": 1, "keys": [key("again")]}}
    json.dumps([again, denied, tale])


def test_samples_without_decisions_are_pending(tmp_path: Path) -> None:
    out = corpus(tmp_path / "out")
    run(out)
    (out / "curation" / "decisions" / "made" / "part-00001.parquet").unlink()
    assert accounts(str(out))["made"].pending == 5
    assert accounts(str(out))["other"].pending == 0


def test_decisions_by_other_rules_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = corpus(tmp_path / "out")
    run(out)
    monkeypatch.setattr("dsvl_data.curate.decide.decide", _die)
    with pytest.raises(Crash):
        run(out, {**RULES, "rights": None})
    assert [account.pending for account in accounts(str(out)).values()] == [11, 4]


def _die(job: object) -> None:
    raise Crash


def test_shards_of_other_decisions_are_told(tmp_path: Path) -> None:
    out = corpus(tmp_path / "out")
    run(out)
    curate(str(out), Curation.model_validate({**RULES, "rights": None}), executor="local")
    problems = accounts(str(out))["made"].problems
    assert any("10 samples are kept in all, 9 are in the shards" in each for each in problems)


def test_a_scorer_that_fails_names_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str) -> Prose:
        if text == FRENCH:
            raise ZeroDivisionError("oh")
        return read_prose(text)

    monkeypatch.setattr("dsvl_data.curate.language_rules.read_prose", fail)
    with pytest.raises(CurationError, match=f"language fails on sample {key('french')} of made"):
        run(corpus(tmp_path / "out"))


def test_a_decision_that_is_missing_is_a_fault(tmp_path: Path) -> None:
    out = corpus(tmp_path / "out")
    run(out)
    path = out / "curation" / "decisions" / "made" / "part-00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    assert accounts(str(out))["made"].problems


def test_without_parts_there_is_nothing_to_curate(tmp_path: Path) -> None:
    with pytest.raises(CurationError, match="no parts"):
        curate(str(tmp_path), Curation(), executor="local")


def test_one_word_of_a_caption_may_tell_which_picture_it_is(tmp_path: Path) -> None:
    flags = [
        sample(name, f"Signal flag {name}: {ENGLISH}", category="caption", images=(name,))
        for name in ("kilo", "quebec")
    ]
    out = write(tmp_path / "out", made_0=flags)
    run(out, {"duplicates": {"near_text": {}}})
    assert set(fates(out).values()) == {None}
    run(out, {"duplicates": {"near_text": {"categories": ["caption"]}}})
    assert sorted(map(str, fates(out).values())) == ["None", "near_duplicate_text"]
