"""The browser reaches nothing, and takes no longer than it may."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from dsvl_data import sandbox
from dsvl_data.outcome import DocumentError, Reason, WorkerBroken
from dsvl_data.render.browser import Browser
from dsvl_data.render.pages import Asset


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    made = Browser(still=True)  # the one with most options
    yield made
    made.close()


def own_browsers() -> list[int]:
    """Pids of browser processes below this one, the nearest first."""
    found = []
    for pid in sandbox.descendants(os.getpid()):
        with suppress(FileNotFoundError):  # it has just ended
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"chrom" in words[0]:
                found.append(pid)
    return found


def own_zombies() -> list[str]:
    """Names of ended children of this process that nobody has collected."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text("utf-8", "replace").rpartition(")")
        except OSError:  # it ended in the meantime
            continue
        if tail.split()[:2] == ["Z", str(os.getpid())]:
            found.append(head)
    return found


def still_works(browser: Browser) -> bool:
    with browser.page() as page:
        page.set_content("<!doctype html><p>still here")
        return page.inner_text("p") == "still here"


def print_much(browser: Browser, seconds: float) -> None:
    with browser.limit(seconds), browser.page() as page:
        page.set_content("<!doctype html>" + "<p>One paragraph of many, alike.</p>" * 30_000)
        page.pdf()


def lose(browser: Browser) -> None:
    with browser.page() as page:
        sandbox.kill_all(own_browsers())
        page.set_content("<!doctype html><p>never seen")


@pytest.mark.parametrize("seconds", [0.01, 0.2, 1])
def test_what_takes_too_long_is_ended_wherever_it_is(seconds: float) -> None:
    others = own_browsers()
    browser = Browser()
    browser.version  # noqa: B018 it starts
    ours = set(own_browsers()) - set(others)
    assert ours
    started = time.monotonic()
    with pytest.raises(DocumentError) as error:
        print_much(browser, seconds)
    assert error.value.reason is Reason.TIMEOUT
    assert time.monotonic() - started < seconds + 20
    assert not ours & set(sandbox.descendants(os.getpid()))
    assert still_works(browser)
    browser.close()
    assert not own_zombies()


def test_a_browser_that_dies_breaks_the_worker_and_starts_anew() -> None:
    browser = Browser()
    assert still_works(browser)
    with pytest.raises(WorkerBroken) as error:
        lose(browser)
    assert error.value.reason is Reason.BROWSER_CRASHED
    assert still_works(browser)
    browser.close()


def own_driver() -> int:
    """Pid of the Playwright driver that was started last."""
    family = sandbox.descendants(os.getpid())
    return max(p for p in family if b"/driver/" in Path(f"/proc/{p}/cmdline").read_bytes())


def lose_driver(browser: Browser) -> None:
    with browser.page() as page:
        os.kill(own_driver(), signal.SIGKILL)
        page.set_content("<!doctype html><p>never seen")


def test_a_driver_that_dies_breaks_the_worker_and_starts_anew() -> None:
    browser = Browser()
    assert still_works(browser)
    with pytest.raises(WorkerBroken) as error:
        lose_driver(browser)
    assert error.value.reason is Reason.BROWSER_CRASHED
    assert still_works(browser)
    browser.close()
    assert not own_zombies()


def test_a_driver_that_dies_between_pages_is_noticed() -> None:
    with closing(Browser()) as browser:
        assert still_works(browser)
        assert browser.alive
        orphans = sandbox.descendants(own_driver())
        os.kill(own_driver(), signal.SIGKILL)
        wait_until(lambda: not browser.alive)  # the kernel takes its time
        assert still_works(browser)
        wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in orphans))
    assert not own_zombies()


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_page_gets_its_own_resources_and_nothing_else(browser: Browser) -> None:
    resources = {"in.svg": Asset(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml")}
    with browser.page(resources=resources) as page:
        page.set_content(
            "<!doctype html><img src='http://document.invalid/in.svg'>"
            "<img src='http://127.0.0.1:9/x.png'><iframe src='file:///etc/passwd'></iframe>"
        )
        assert "root:" not in page.content()
    assert browser.blocked == ["http://127.0.0.1:9/x.png"]


def test_scripts_cannot_send_a_packet(browser: Browser) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("0.0.0.0", 0))
        listener.settimeout(2)
        port = listener.getsockname()[1]
        with browser.page(javascript=True) as page:
            page.set_content(
                "<!doctype html><script>"
                "const c = new RTCPeerConnection({iceServers: [{urls: 'stun:"
                f"{_own_address()}:{port}'}}]}});"
                "c.createDataChannel('x'); c.createOffer().then(o => c.setLocalDescription(o));"
                "</script>"
            )
            with pytest.raises(TimeoutError):
                listener.recvfrom(100)


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; chooses an address
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("option", ["--disable-features=", "--blink-settings="])
def test_what_playwright_asks_of_chromium_holds(browser: Browser, option: str) -> None:
    with browser.page():
        words = Path(f"/proc/{own_browsers()[0]}/cmdline").read_text().split("\0")
    lists = [set(w.removeprefix(option).split(",")) for w in words if w.startswith(option)]
    assert set().union(*lists) == lists[-1]  # Chromium reads the last one only
