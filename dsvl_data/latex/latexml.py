"""LaTeXML, run on the source of an article that nobody trusts.

In: a folder with the unpacked source and the name of its main file. Out: the HTML that
`latexml` and `latexmlpost` make of it, and what their logs say went wrong: LaTeXML ends with
exit code 0 after most failures, so that only its log can be believed.

An article is a program. It is kept in its folder by `bindings/Confine.pm` (the kernel's
Landlock, and wrappers around how LaTeXML opens files), which also keeps it from the network
and from running Perl; its time, memory and output are limited here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dsvl_data.outcome import DocumentError, Reason, UserError
from dsvl_data.sandbox import Finished, run_limited

BINDINGS = Path(__file__).resolve().parent / "bindings"

_LOG_ENTRY = re.compile(r"^(Warning|Error|Fatal):([\w-]+):(\S+)[ \t]*(.*)$", re.MULTILINE)
_FILE_MB = 256
_HTML_BYTES = 64 << 20
_LOG_BYTES = 16 << 20
_MAX_NAMES = 1000  # as many as the errors that `bindings/kernel.sty.ltxml` allows
_MAX_MESSAGES = 200

#: Packages and classes beside the article are read, those of the TeX system are not: LaTeXML has
#: bindings for what matters there, and the rest costs minutes. A macro that calls itself for ever
#: is stopped by a limit below before it has eaten its time.
_OPTIONS = (
    "localrawstyles",
    "localrawclasses",
    "nobreakuntex",
    "tokenlimit=249999999",
    "iflimit=3599999",
    "absorblimit=1299999",
    "pushbacklimit=599999",
)

#: 1 January 2000: what `\today` shows. The day of the conversion would be wrong too, and would
#: change with every run.
_EPOCH = "946684800"


@dataclass(frozen=True, slots=True)
class Latexml:
    r"""What became of an article.

    `undefined` are the macros (`\name`) and environments (`{name}`) that the text uses and
    nothing defines: they stand in the HTML by name. `missing` are files that it asks for and
    LaTeXML has not got (packages without a binding among them). `errors` counts all errors of
    both programs, the undefined names included; `messages` are the first of them.
    """

    html: bytes
    undefined: tuple[str, ...]
    missing: tuple[str, ...]
    errors: int
    messages: tuple[str, ...]
    seconds: float


def run_latexml(folder: Path, main: str, *, seconds: float, memory: int) -> Latexml:
    """Convert the article whose main file is `main` (a path within `folder`).

    `seconds` of wall clock and `memory` in MB are for all of it. Nothing is written to `folder`,
    and nothing outside it is read but the TeX system and LaTeXML. Raises `DocumentError`:
    `TIMEOUT`, `MEMORY`, `TOO_LARGE` (output), `UNSAFE_PATH` (`main` leads out of the folder),
    `LATEX_FATAL` (LaTeXML gave up, or made nothing); `UserError` when LaTeXML is not installed.
    """
    folder = folder.resolve()
    source = folder / main
    if not source.resolve().is_relative_to(folder):
        raise DocumentError(Reason.UNSAFE_PATH, f"{main} leads out of the article's folder")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dsvl-latexml-") as name:
        work = Path(name).resolve()
        env = _environment(folder, work)

        def run(argv: list[str]) -> Finished:
            left = max(seconds - (time.monotonic() - started), 0.1)
            finished = run_limited(
                argv, cwd=source.parent, seconds=left, memory_mb=memory, env=env, file_mb=_FILE_MB
            )
            if finished.timed_out:
                raise DocumentError(Reason.TIMEOUT, f"LaTeXML took more than {seconds:g} s")
            if finished.out_of_memory:
                raise DocumentError(Reason.MEMORY, f"LaTeXML took more than {memory} MB")
            return finished

        xml = work / "article.xml"
        # The .bbl is what the authors' BibTeX made, and what the PDF shows.
        options = [*_OPTIONS, *(["nobibtex"] if source.with_suffix(".bbl").is_file() else [])]
        first = run(
            [
                _program("latexml"),
                "--noparse",
                "--nocomments",
                "--quiet",
                *(f"--preload={name}" for name in _preloads(options)),
                f"--path={BINDINGS}",
                f"--log={work / 'latexml.log'}",
                f"--destination={xml}",
                str(source),
            ]
        )
        log = _read_log(work / "latexml.log")
        _check_made(xml, first, log)
        html = work / "article.html"
        second = run(
            [
                _program("latexmlpost"),
                "--quiet",
                "--format=html5",
                "--presentationmathml",
                "--novalidate",
                "--timestamp=0",
                "--nodefaultresources",
                "--nographicimages",
                "--nopictureimages",
                "--nosvg",
                f"--path={source.parent}",
                f"--path={BINDINGS}",
                f"--log={work / 'post.log'}",
                f"--destination={html}",
                str(xml),
            ]
        )
        post_log = _read_log(work / "post.log")
        _check_made(html, second, post_log)
        return _report(html.read_bytes(), log + "\n" + post_log, time.monotonic() - started)


@lru_cache(maxsize=1)
def latexml_version() -> str:
    """The version of the LaTeXML that is installed ("0.8.7"); `UserError` when there is none."""
    told = subprocess.run(
        [_program("latexml"), "--VERSION"], capture_output=True, text=True, timeout=60, check=False
    )
    found = re.search(r"version ([\w.]+)", told.stdout + told.stderr)
    return found[1] if found else "unknown"


def _preloads(options: Iterable[str]) -> list[str]:
    return [f"[{','.join(options)}]latexml.sty", "kernel.sty"]


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise UserError(
            f"{name} is not installed (Debian, Ubuntu: apt-get install latexml texlive-latex-base)"
        )
    return path


@lru_cache(maxsize=1)
def _tex_trees() -> tuple[str, ...]:
    """The folders of the TeX system, without those of the user who runs us."""
    kpsewhich = shutil.which("kpsewhich")
    if kpsewhich is None:
        return ()
    told = subprocess.run(
        [kpsewhich, "--expand-path=$TEXMF"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent"},
    )
    trees = (tree.strip().lstrip("!") for tree in told.stdout.split(":"))
    return tuple(tree for tree in trees if tree.startswith("/") and Path(tree).is_dir())


@lru_cache(maxsize=1)
def _program_folders() -> tuple[str, ...]:
    """Where the programs lie that LaTeXML is made of, for systems that have them elsewhere."""
    folders: list[str] = []
    for name in ("perl", "latexml", "kpsewhich"):
        path = shutil.which(name)
        if path is not None:
            real = Path(path).resolve()
            # .../bin/kpsewhich, and TeX Live's .../bin/x86_64-linux/kpsewhich with its settings.
            folders += [str(Path(path).parent), str(real.parent)]
            if name == "kpsewhich" and real.parent.parent.name == "bin":
                folders.append(str(real.parents[2]))
    return tuple(dict.fromkeys(folders))


def _environment(folder: Path, work: Path) -> dict[str, str]:
    """All that LaTeXML's processes know of the world."""
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(work),
        "TMPDIR": str(work),
        "LC_ALL": "C.UTF-8",
        "PERL5OPT": f"-I{BINDINGS} -MConfine -MBibliography",
        "BIBLIOGRAPHY_PRELOAD": "\n".join(_preloads(_OPTIONS)),
        # Perl's hashes come in another order each run, and some of LaTeXML's output with them.
        "PERL_HASH_SEED": "0",
        "PERL_PERTURB_KEYS": "0",
        "SOURCE_DATE_EPOCH": _EPOCH,
        "TEXMFHOME": str(work / "texmf"),
        "openin_any": "p",
        "openout_any": "p",
        "shell_escape": "f",
        "CONFINE_READ": str(folder),
        "CONFINE_WORK": str(work),
        "CONFINE_TRUST": "\n".join([str(BINDINGS), *_tex_trees()]),
        "CONFINE_PROGRAMS": "\n".join(_program_folders()),
        # The number of the system call `prctl`, the one that differs between machines.
        "CONFINE_PRCTL": "157" if os.uname().machine == "x86_64" else "167",
    }
    if "PERL5LIB" in os.environ:  # a LaTeXML that its user installed
        env["PERL5LIB"] = os.environ["PERL5LIB"]
    return env


def _read_log(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(_LOG_BYTES).decode(errors="replace")


def _check_made(path: Path, finished: Finished, log: str) -> None:
    """Raise `DocumentError` unless the program ended well and its file is there and of a size."""
    fatal = next((entry for entry in _LOG_ENTRY.finditer(log) if entry[1] == "Fatal"), None)
    if fatal is not None:
        detail = f"{fatal[2]}: {fatal[4] or fatal[3]}"
        undefined = [entry[3] for entry in _LOG_ENTRY.finditer(log) if entry[2] == "undefined"]
        if undefined:
            detail += f" (undefined: {', '.join(dict.fromkeys(undefined[:10]))})"
        raise DocumentError(Reason.LATEX_FATAL, detail)
    if not path.is_file():
        last = finished.output.strip().rpartition("\n")[2]
        raise DocumentError(
            Reason.LATEX_FATAL, last or f"LaTeXML made nothing (exit code {finished.returncode})"
        )
    size = path.stat().st_size
    if finished.returncode == -25 or size > _HTML_BYTES:  # SIGXFSZ
        raise DocumentError(Reason.TOO_LARGE, f"LaTeXML's output has {size} bytes or more")
    if finished.returncode < 0:
        raise DocumentError(Reason.LATEX_FATAL, f"LaTeXML died of signal {-finished.returncode}")


def _report(html: bytes, log: str, seconds: float) -> Latexml:
    undefined: dict[str, None] = {}
    missing: dict[str, None] = {}
    messages: list[str] = []
    errors = 0
    for kind, what, name, text in _LOG_ENTRY.findall(log):
        if what == "missing_file":
            missing[name] = None
        if kind != "Error":
            continue
        errors += 1
        if what == "undefined":
            undefined[name] = None
        if len(messages) < _MAX_MESSAGES:
            messages.append(f"{what}:{name} {text}".strip())
    return Latexml(
        html,
        tuple(undefined)[:_MAX_NAMES],
        tuple(missing)[:_MAX_NAMES],
        errors,
        tuple(messages),
        seconds,
    )
