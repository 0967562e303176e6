"""What this machine has, what it lacks, and what the lack costs.

In: nothing. Out: a list of `Finding`s for `dsvl-data doctor`; nothing is changed or installed.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

#: Packages whose version decides what a corpus looks like.
PACKAGES = ("ray", "pyarrow", "pymupdf", "playwright", "nbconvert", "webdataset", "transformers")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked for: is it there, which one, and, where it is not, the cost and the cure."""

    name: str
    present: bool
    detail: str
    needed: bool = True
    cost: str = ""
    cure: str = ""


def examine() -> Iterator[Finding]:
    """Look at everything, quickest first; each finding stands alone."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _machine,
        *(_package(name) for name in PACKAGES),
        _browser,
        *(_font(language, code) for language, code in _SCRIPTS),
        _language_model,
        _latexml,
        _torch,
    )
    for check in checks:
        yield check()


_SCRIPTS = (("Chinese", "zh-cn"), ("Japanese", "ja"), ("Arabic", "ar"), ("Hebrew", "he"))


def _python() -> Finding:
    return Finding(
        "Python",
        sys.version_info >= (3, 11),
        f"{platform.python_version()} ({sys.prefix})",
        cost="nothing runs",
        cure="install Python 3.11 or newer, then `make setup`",
    )


def _machine() -> Finding:
    gigabyte = 1 << 30
    memory = psutil.virtual_memory().total / gigabyte
    disk = shutil.disk_usage(os.curdir).free / gigabyte
    return Finding(
        "machine",
        memory >= 4 and disk >= 2,
        f"{os.cpu_count()} cores, {memory:.0f} GB memory, {disk:.0f} GB free on this disk",
        cost="a worker takes up to 1.5 GB, shards as much disk as their images",
        cure="free some disk or run on a cluster (RAY_ADDRESS)",
    )


def _package(name: str) -> Callable[[], Finding]:
    def check() -> Finding:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return Finding(name, False, "", cost="dsvl-data does not run", cure="make setup")
        return Finding(name, True, version)

    return check


def _browser() -> Finding:
    from dsvl_data.outcome import WorkerBroken
    from dsvl_data.render.browser import Browser, find_browser

    cost = "no e-books, no exams, no interactive notebook figures"
    cure = "Debian: apt-get install chromium-headless-shell; else: playwright install chromium"
    path = find_browser()
    if path is None:
        return Finding("browser", False, "", cost=cost, cure=cure)
    browser = Browser(timeout=20)
    try:
        with browser.page() as page:
            page.set_content("<!doctype html><p>one page</p>")
            printed = len(page.pdf())
        return Finding("browser", True, f"{browser.version}, {path}, printed {printed} bytes")
    except WorkerBroken as error:
        return Finding("browser", False, f"{path}: {error.detail}", cost=cost, cure=cure)
    finally:
        browser.close()


def _font(language: str, code: str) -> Callable[[], Finding]:
    def check() -> Finding:
        name = f"{language} font"
        cost = f"{language} pages fail their proof (missing glyphs)"
        package = "fonts-noto-cjk" if code in ("zh-cn", "ja") else "fonts-noto-core"
        cure = f"apt-get install {package}"
        command = shutil.which("fc-list")
        if command is None:
            return Finding(name, False, "", False, cost, "apt-get install fontconfig")
        listed = subprocess.run(
            [command, f":lang={code}", "family"], capture_output=True, text=True, check=False
        ).stdout
        families = sorted({line.split(",")[0] for line in listed.splitlines() if line})
        if not families:
            return Finding(name, False, "", False, cost, cure)
        more = f" and {len(families) - 1} more" if len(families) > 1 else ""
        return Finding(name, True, families[0] + more, needed=False)

    return check


def _language_model() -> Finding:
    from dsvl_data.language import identify

    try:
        guess = identify("What language is this sentence written in?")
        return Finding("language model", guess.code == "en", "lid.176.ftz")
    except OSError as error:
        cost = "no language can be identified"
        return Finding("language model", False, str(error), cost=cost, cure="make setup")


def _latexml() -> Finding:
    path = shutil.which("latexml")
    return Finding(
        "LaTeXML",
        path is not None,
        path or "",
        needed=False,
        cost="arXiv articles cannot be read from their source",
        cure="apt-get install latexml texlive-latex-recommended",
    )


def _torch() -> Finding:
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU only"
    return Finding("torch", True, f"{torch.__version__}, {device}", needed=False)
