"""The source of an arXiv article: its main file and its own PDF found among its files.

In: the folder of a submission that nobody trusts. Out: the candidates for main file and PDF in
order, each with what speaks for and against it; whoever converts tries them in that order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import pymupdf
import yaml

_READ_BYTES = 4 << 20

_TEX_NAMES = (".tex", ".ltx", ".latex", ".txt", "")
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*")
_CLASS = re.compile(r"\\document(?:class|style)\s*(?:\[[^\]]*\])?\s*\{\s*([^}\s]*)\s*\}")
_BEGIN = re.compile(r"\\begin\s*\{document\}|\\document(?![a-zA-Z])")
_PLAIN_END = re.compile(r"\\(?:bye|end)(?![a-zA-Z{])")
_INPUT = re.compile(
    r"\\(?:input|include|subfile|includestandalone|InputIfFileExists|loadeps)\s*"
    r"(?:\[[^\]]*\])?\s*(?:\{([^{}]+)\}|([^\s\\{}%]+))"
)
_IMPORT = re.compile(r"\\(?:sub)?(?:import|inputfrom|includefrom)\*?\s*\{([^{}]*)\}\s*\{([^{}]+)\}")
_GRAPHIC = re.compile(r"\\(?:includegraphics|includepdf|epsfig|plotone|overpic)[^{]*\{([^{}]+)\}")
_TITLE = re.compile(r"\\(?:title|icmltitle|Title)\*?\s*(?:\[[^\]]*\]\s*)?\{")
_WORD = re.compile(r"[^\W\d_]{3,}")
#: Classes of what is no article, and of pieces of one.
_LETTERS = frozenset(("letter", "scrlttr2", "dinbrief", "newlfm", "lettre"))
_SLIDES = frozenset(("beamer", "slides", "seminar", "powerdot", "prosper", "foils", "a0poster",
                     "tikzposter", "beamerposter", "moderncv", "europecv"))  # fmt: skip
_PIECES = frozenset(("standalone", "subfiles", "minimal"))
_BESIDE = re.compile(
    r"rebuttal|response|repl(?:y|ies)|cover|letter|review|referee|checklist|changes|diff|"
    r"old|backup|copy|template|sample|example|readme|bare_|test|poster|slides|talk|figure|\bfig|"
    r"table|tikz",
    re.IGNORECASE,
)
_SUPPLEMENT = re.compile(r"supp|appendix|appendices|\bsm\b|\bsi\b|_si\b|_sm\b", re.IGNORECASE)
_MAIN_NAMES = frozenset(("main", "ms", "paper", "article", "arxiv", "manuscript", "root", "draft",
                         "preprint", "thesis"))  # fmt: skip
#: What letters and rebuttals say where they start, and articles hardly.
_ADDRESSED = re.compile(
    r"""\\opening\s*\{
    |\bdear\s+(?:editor|sir|madam|prof|dr|mr|ms|referee|reviewer|associate|handling|colleague)
    |\b(?:thank|grateful\s+to|thankful\s+to)\b[^.]{0,60}\b(?:referee|reviewer|editor)
    |\b(?:response|reply|replies|answer|rebuttal)s?\s+(?:letter\s+)?to\s+(?:\w+\s+){0,4}?
        (?:referee|reviewer|editor)
    |\b(?:referee|reviewer)(?:\s|~|\\|\#|no\.)*[1-9]\b""",
    re.IGNORECASE | re.VERBOSE,
)
_FOOTNOTE = re.compile(r"\\(?:thanks|footnote)\s*\{[^{}]*\}")
_THANKS = re.compile(r"acknowledg", re.IGNORECASE)
_START_LETTERS = 2500
_SECTION = re.compile(r"\\(?:chapter|(?:sub)*section)\*?\s*[\[{]")
_FLOAT = re.compile(r"\\includegraphics|\\begin\s*\{(?:figure|table|equation|align|theorem)\*?\}")
_FIGURE_FOLDERS = re.compile(r"fig|img|image|plot|graphic|pic|diagram|asset", re.IGNORECASE)


#: What a main file is for.
Role = Literal["article", "supplement", "letter", "slides", "piece", "plain"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A main file or a PDF: its path in the folder, its score, what made it, and what it is.

    `letter` is a cover letter or a rebuttal, by its class or its first words; a `piece` is input
    by another file or stands for a figure; `plain` is TeX without a document class.
    """

    path: str
    score: float
    reasons: tuple[str, ...]
    role: Role = "article"


def find_roots(folder: Path) -> list[Candidate]:
    """Return the files that may be the article's main file, the likeliest first.

    As arXiv finds it: what `00README` names as top level, else TeX files with a document class
    that no other file inputs. Several may be the article: arXiv joins the PDFs of all of them.
    Content decides (an abstract, sections, figures, references), length hardly: rebuttals are long.
    Empty when there is none (`NO_SOURCE`).
    """
    texts = dict(_tex_files(folder))
    top_level, ignored = _readme(folder)
    inputs = {path: set(_inputs(path, text, texts)) for path, text in texts.items()}
    used = {other for path, others in inputs.items() for other in others if other != path}
    roots = []
    for path in texts:
        if path in ignored and path not in top_level:
            continue
        root = _judge_root(path, texts, inputs, used, folder)
        if path in top_level:
            reasons = ("00README names it", *(root.reasons if root else ()))
            order = len(top_level) - top_level.index(path)
            root = Candidate(path, 1000 + order, reasons)
        if root is not None:
            roots.append(root)
    return sorted(roots, key=lambda root: (-root.score, root.path))


def own_pdfs(folder: Path, roots: list[Candidate], *, name: str = "") -> list[Candidate]:
    """Return the PDFs in the folder that may be the article's own, the likeliest first.

    Figures are left out: what a TeX file includes, and what has one page and does not look like a
    sheet of paper. With two candidates of nearly one score, only their text can decide.
    """
    texts = dict(_tex_files(folder))
    figures = {
        PurePosixPath(match[1].strip()).with_suffix("").name
        for text in texts.values()
        for match in _GRAPHIC.finditer(text)
    }
    beside = [root for root in roots if root.role in ("letter", "slides")]
    others = [root for root in roots if root not in beside]
    stems = {PurePosixPath(root.path).stem.lower() for root in (others or roots)[:3]}
    strange = {PurePosixPath(root.path).stem.lower() for root in beside} - stems
    title = title_words(texts[roots[0].path]) if roots and roots[0].path in texts else set()
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() != ".pdf" or not path.is_file() or path.is_symlink():
            continue
        candidate = _judge_pdf(path, folder, stems, strange, name, figures, title)
        if candidate is not None:
            found.append(candidate)
    return sorted(found, key=lambda pdf: (-pdf.score, pdf.path))


def title_words(text: str) -> set[str]:
    """Return the lower-case words of a TeX file's title, without its macros."""
    match = _TITLE.search(text)
    if match is None:
        return set()
    level, end = 1, match.end()
    while end < len(text) and level:
        level += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    bare = re.sub(r"\\[a-zA-Z]+\*?", " ", text[match.end() : end])
    return {word.lower() for word in _WORD.findall(bare)}


def _tex_files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (path, text without comments) of each file that may be TeX, in order of paths."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _TEX_NAMES or path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            data = file.read(_READ_BYTES)
        if b"\0" in data or b"\\" not in data:
            continue
        text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        yield path.relative_to(folder).as_posix(), _COMMENT.sub(r"\1", text)


def _readme(folder: Path) -> tuple[list[str], set[str]]:
    """Return the files that `00README` names as top level, in order, and those to ignore."""
    top_level: list[str] = []
    ignored: set[str] = set()
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        if not name.startswith("00readme") or not path.is_file() or path.is_symlink():
            continue
        text = path.read_bytes()[:_READ_BYTES].decode("utf-8", "replace")
        if name.endswith((".json", ".yaml", ".yml")):
            for source, usage in _readme_sources(text, name):
                if usage == "toplevel":
                    top_level.append(source)
                elif usage == "ignore":
                    ignored.add(source)
            continue
        for line in text.splitlines():
            words = line.split()
            if len(words) >= 2 and "toplevelfile" in words[1:]:
                top_level.append(words[0])
            elif len(words) >= 2 and "ignore" in words[1:]:
                ignored.add(words[0])
    return top_level, ignored


def _readme_sources(text: str, name: str) -> Iterator[tuple[str, str]]:
    try:
        read = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError):
        return  # arXiv's own compiler falls back to searching, too
    sources = read.get("sources") if isinstance(read, dict) else None
    for source in sources if isinstance(sources, list) else ():
        if isinstance(source, dict) and isinstance(source.get("filename"), str):
            yield source["filename"], str(source.get("usage", ""))


def _inputs(path: str, text: str, texts: dict[str, str]) -> Iterator[str]:
    """Yield the files that a file inputs, as far as they are there."""
    here = PurePosixPath(path).parent
    wanted = [match[1] or match[2] for match in _INPUT.finditer(text)]
    wanted += [f"{match[1]}/{match[2]}" for match in _IMPORT.finditer(text)]
    for name in wanted:
        bare = PurePosixPath(name.strip().strip('"'))
        for base in (here, PurePosixPath()):
            for option in (base / bare, base / f"{bare}.tex"):
                normal = _normal(option)
                if normal in texts:
                    yield normal


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _judge_root(
    path: str, texts: dict[str, str], inputs: dict[str, set[str]], used: set[str], folder: Path
) -> Candidate | None:
    """Score a file as main file; None when it cannot be one."""
    text, name = texts[path], PurePosixPath(path)
    document = _CLASS.search(text)
    if document is None:
        plain = _PLAIN_END.search(text) and path not in used
        return Candidate(path, -100, ("plain TeX: no document class",), "plain") if plain else None
    whole = {path}
    queue = [path]
    while queue:
        new = inputs[queue.pop()] - whole
        whole |= new
        queue += new
    if not any(_BEGIN.search(texts[each]) for each in whole):
        return None
    size = sum(len(texts[each]) for each in whole)
    kind = PurePosixPath(document[1]).name
    sections = sum(len(_SECTION.findall(texts[each])) for each in whole)
    floats = sum(len(_FLOAT.findall(texts[each])) for each in whole)
    addressed = _ADDRESSED.search(_start(path, texts))
    supplement = _SUPPLEMENT.search(name.stem) is not None
    role: Role = "supplement" if supplement else "article"
    if path in used or kind in _PIECES:
        role = "piece"
    elif kind in _LETTERS or addressed is not None:
        role = "letter"
    elif kind in _SLIDES:
        role = "slides"
    marks: list[tuple[float, str, bool]] = [
        (-60, "another file inputs it", path in used),
        (-50, f"class {kind}: a letter", kind in _LETTERS),
        (-60, "starts as a letter does", addressed is not None),
        (-40, f"class {kind}: slides, a poster or a life", kind in _SLIDES),
        (-50, f"class {kind}: a piece of an article", kind in _PIECES),
        (-25, "its name says that it lies beside the article", bool(_BESIDE.search(name.stem))),
        (-20, "its name says supplement", supplement),
        (8, "its name says article", name.stem.lower() in _MAIN_NAMES),
        (15, "a .bbl of its name", (folder / name.with_suffix(".bbl")).is_file()),
        (10, "a title", _any(_TITLE, whole, texts)),
        (10, "an abstract", _any(re.compile(r"\\(?:begin\s*\{)?abstract"), whole, texts)),
        (5, "citations", _any(re.compile(r"\\[a-zA-Z]*cite[a-zA-Z]*\b"), whole, texts)),
        (5, "a bibliography", _any(re.compile(r"bibliography"), whole, texts)),
        (-5.0 * (len(name.parts) - 1), "lies in a folder", len(name.parts) > 1),
        (min(3.0 * sections, 12), f"{sections} sections", sections > 0),
        (min(2.0 * floats, 8), f"{floats} figures, tables and equations", floats > 0),
        (min(size / 5000, 10), f"{size} characters", True),
    ]
    score = sum(points for points, _, holds in marks if holds)
    return Candidate(path, score, tuple(why for _, why, holds in marks if holds), role)


def _start(path: str, texts: dict[str, str]) -> str:
    """Return the title and the first words of a document, without notes and thanks at its end."""
    text = texts[path]
    title, begin = _TITLE.search(text), _BEGIN.search(text)
    body = text[begin.end() if begin else 0 :][:_START_LETTERS]

    def fill(call: re.Match[str]) -> str:
        return "".join(texts[each][:_START_LETTERS] for each in _inputs(path, call[0], texts))

    body = _THANKS.split(_FOOTNOTE.sub("", _INPUT.sub(fill, body)[:_START_LETTERS]))[0]
    heading = _FOOTNOTE.sub("", text[title.end() :][:400]).split("}")[0] if title else ""
    return f"{heading}\n{body}"


def _any(pattern: re.Pattern[str], whole: set[str], texts: dict[str, str]) -> bool:
    return any(pattern.search(texts[each]) for each in whole)


def _judge_pdf(
    path: Path,
    folder: Path,
    stems: set[str],
    strange: set[str],
    name: str,
    figures: set[str],
    title: set[str],
) -> Candidate | None:
    stem, relative = path.stem.lower(), path.relative_to(folder)
    if path.stem in figures:
        return None
    try:
        with pymupdf.open(path) as document:
            pages = document.page_count
            first = document[0]
            words = {word.lower() for word in _WORD.findall(first.get_text())}
            area = first.rect.width * first.rect.height
    except (RuntimeError, ValueError, IndexError):
        return None
    overlap = len(words & title) / len(title) if title else 0.0
    if pages == 1 and area < 300_000 and overlap < 0.5:  # A5 has 250,000 square points
        return None
    folders = [part for part in relative.parts[:-1] if _FIGURE_FOLDERS.search(part)]
    marks: list[tuple[float, str, bool]] = [
        (40, "the main file's name", stem in stems),
        (30, "the article's name", bool(name) and stem.startswith(name.lower())),
        (20, f"{pages} pages", pages > 1),
        (40 * overlap, f"{overlap:.0%} of the title's words on its first page", overlap > 0),
        (-40, "a letter's or a talk's name", stem in strange),
        (-30, "lies among figures", bool(folders)),
        (-20, "its name says that it lies beside the article", bool(_BESIDE.search(stem))),
    ]
    score = sum(points for points, _, holds in marks if holds)
    return Candidate(relative.as_posix(), score, tuple(why for _, why, holds in marks if holds))
