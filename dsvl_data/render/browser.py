"""One headless Chromium that renders what nobody vouches for.

In: HTML and the resources that belong to it. Out: Playwright pages that can reach these
resources and nothing else: every request is answered from memory or refused, no host name
resolves, no file is readable, downloads and service workers are off.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import Error, Page, Playwright, Route, sync_playwright

from dsvl_data.outcome import DocumentError, Reason, WorkerBroken
from dsvl_data.render.pages import Asset

#: Where a page's own resources live. The name never resolves; requests are answered here.
ORIGIN = "http://document.invalid/"

_ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",  # even an address that needs no resolving goes nowhere
    "--proxy-bypass-list=<-loopback>",
    # WebRTC sends UDP past proxies and host rules.
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)
#: A browser that starts on a busy machine needs time, whatever its pages may take.
_START_SECONDS = 30
_SYSTEM_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Return the browser to use: `DSVL_BROWSER`, the system's, Playwright's, or None.

    The headless shell comes first: it needs 40 % less CPU than full Chromium and prints the
    same bytes.
    """
    chosen = os.environ.get("DSVL_BROWSER")
    if chosen:
        return shutil.which(chosen)
    for name in _SYSTEM_BROWSERS:
        path = shutil.which(name)
        if path:
            return path
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache/ms-playwright"))
    for pattern in ("chromium_headless_shell-*/*/*headless*shell", "chromium-*/*/chrome"):
        found = sorted(cache.glob(pattern))
        if found:
            return str(found[-1])
    return None


class Browser:
    """A Chromium process, started on first use and again when it has died.

    Raises `WorkerBroken` when it cannot be started or dies under a page, so that the engine
    gives the document another try. `timeout` bounds each single action, in seconds.
    """

    def __init__(self, *, timeout: float = 30) -> None:
        self.timeout = timeout
        self.blocked: list[str] = []
        self._playwright: Playwright | None = None
        self._browser: PlaywrightBrowser | None = None
        self._pid = 0

    @property
    def version(self) -> str:
        """Version of the running browser, for provenance."""
        return self._running().version

    @contextmanager
    def page(
        self,
        *,
        javascript: bool = False,
        width: int = 1280,
        height: int = 1024,
        scale: float = 1,
        resources: Mapping[str, Asset] | None = None,
    ) -> Iterator[Page]:
        """Open a page in a context of its own and close both afterwards.

        `resources` maps names below `ORIGIN` (and, for pages that ask for them, whole URLs) to
        what they answer. Anything else that the page asks for is refused and its URL appended
        to `self.blocked`, which is emptied when a page opens.
        """
        self.blocked = []
        served = resources or {}

        def answer(route: Route) -> None:
            url = route.request.url
            asset = served.get(url) or served.get(url.removeprefix(ORIGIN))
            if asset is not None:
                route.fulfill(body=asset.data, content_type=asset.media_type)
            else:
                self.blocked.append(url)
                route.abort("blockedbyclient")

        try:
            context = self._running().new_context(
                java_script_enabled=javascript,
                viewport={"width": width, "height": height},
                device_scale_factor=scale,
                accept_downloads=False,
                service_workers="block",
                locale="en-US",
                timezone_id="UTC",
                reduced_motion="reduce",
            )
        except Error as error:
            self._forget()
            raise WorkerBroken(Reason.BROWSER_CRASHED, str(error)) from error
        try:
            context.set_default_timeout(self.timeout * 1000)
            context.route("**/*", answer)
            yield context.new_page()
        except Error as error:
            if not self._alive():
                self._forget()
                raise WorkerBroken(Reason.BROWSER_CRASHED, str(error)) from error
            raise
        finally:
            if self._alive():
                context.close()

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Bound everything inside, printing too, which Playwright itself does not time.

        The browser is killed when the time is up; raises `DocumentError` (`TIMEOUT`) then.
        """
        self._running()
        pid, expired = self._pid, threading.Event()

        def kill() -> None:
            expired.set()
            if pid:
                with suppress(ProcessLookupError):  # it died in the meantime
                    os.kill(pid, signal.SIGKILL)

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (Error, WorkerBroken) as error:
            if expired.is_set():
                raise DocumentError(Reason.TIMEOUT, f"rendering took over {seconds:g} s") from error
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the browser."""
        if self._browser is not None and self._browser.is_connected():
            self._browser.close()
        self._forget()

    def _running(self) -> PlaywrightBrowser:
        if self._browser is None or not self._browser.is_connected():
            self._forget()
            executable = find_browser()
            if executable is None:
                raise WorkerBroken(
                    Reason.BROWSER_CRASHED, "no Chromium on this machine: run `dsvl-data doctor`"
                )
            try:
                self._playwright = sync_playwright().start()
                self._browser = self._playwright.chromium.launch(
                    executable_path=executable,
                    args=[*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])],
                    timeout=max(self.timeout, _START_SECONDS) * 1000,
                )
            except Exception as error:  # Playwright raises bare Exception when its driver dies
                self._forget()
                raise WorkerBroken(
                    Reason.BROWSER_CRASHED,
                    f"{executable} does not start: {error}; run `dsvl-data doctor`",
                ) from error
        return self._browser

    def _alive(self) -> bool:
        return self._browser is not None and self._browser.is_connected()

    def _forget(self) -> None:
        if self._playwright is not None:
            self._playwright.stop()
        self._playwright = self._browser = None
        self._pid = 0
