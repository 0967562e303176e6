"""One headless Chromium that renders what nobody vouches for.

In: HTML and the resources that belong to it. Out: Playwright pages that can reach these
resources and nothing else: every request is answered from memory or refused, no host name
resolves, no file is readable, downloads and service workers are off.
"""

from __future__ import annotations

import os
import select
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import Page, Playwright, Route, sync_playwright

from dsvl_data import sandbox
from dsvl_data.outcome import DocumentError, Reason, WorkerBroken
from dsvl_data.render.pages import Asset

#: Where a page's own resources live. The name never resolves; requests are answered here.
ORIGIN = "http://document.invalid/"

#: What Chromium shall not do: Playwright's list, and a frame with a compositor of its own for each
#: document that a window opens, which is a tenth of a page's time.
_FEATURES_OFF = (
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "TcpPortRandomizationWin",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
    "msForceBrowserSignIn",
    "msEdgeUpdateLaunchServicesPreferredVersion",
    "RenderDocument",
)
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
    # Of a list given twice Chromium takes the last: so Playwright's own names are in this one.
    "--disable-features=" + ",".join(_FEATURES_OFF),
)
#: With these a browser draws only what it is told to, one frame at a time.
_STILL = (
    "--enable-begin-frame-control",
    "--run-all-compositor-stages-before-draw",
    "--disable-checker-imaging",
    # Playwright's own, and that a picture may show more than the window does.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,"
    "availablePointerTypes=4,mainFrameClipsContent=false",
)
#: A browser that starts on a busy machine needs time, whatever its pages may take.
_START_SECONDS = 30
#: What Playwright's driver gets to tell of a browser's end, and to clean up, before it is killed.
_GRACE_SECONDS = 2
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


def _processes_of(browser: PlaywrightBrowser) -> tuple[int, int]:
    """Return the pids of the browser and of our own child above it, Playwright's driver."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    pid = next(int(process["id"]) for process in processes if process["type"] == "browser")
    driver = pid
    while (parent := _stat(driver)[1]) != os.getpid():
        if parent <= 1:
            raise RuntimeError(f"the browser, process {pid}, is no descendant of ours")
        driver = parent
    return pid, driver


def _profile_of(pid: int) -> str:
    """Return the folder that a browser keeps its own files in, made by Playwright for it alone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").split("\0")
    except OSError:  # it is gone
        return ""
    option = "--user-data-dir="
    return next((w.removeprefix(option) for w in words if w.startswith(option)), "")


def _stat(pid: int) -> tuple[str, int]:
    """Return a process's state letter and its parent's pid, `("X", 0)` when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return "X", 0
    state, parent = stat.rpartition(")")[2].split()[:2]
    return state, int(parent)


def _watch(pid: int, driver: int, seconds: float, done: int, expired: threading.Event) -> None:
    """End a browser after `seconds`, and its driver when that goes on without it, unless `done`.

    `done` is an eventfd; `expired` is set when the time is up.
    """
    waiting = select.poll()
    waiting.register(done, select.POLLIN)
    with suppress(ProcessLookupError), _open_process(pid) as process:
        waiting.register(process, select.POLLIN)
        ready = [handle for handle, _ in waiting.poll(seconds * 1000)]
        if done in ready:
            return
        if not ready:
            expired.set()
            sandbox.kill_descendants(driver)
        waiting.unregister(process)
    if not waiting.poll(_GRACE_SECONDS * 1000) and _stat(driver)[1] == os.getpid():
        sandbox.kill_all([driver])


@contextmanager
def _open_process(pid: int) -> Iterator[int]:
    """Open a handle that becomes readable when the process ends; `ProcessLookupError`."""
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


class Browser:
    """A Chromium process, started on first use and again when it has died.

    Raises `WorkerBroken` when it cannot be started or dies under a page, so that the engine
    gives the document another try. `timeout` bounds each single action, in seconds. A `still` one
    has windows that draw only when told to (`still_page`), if the browser can do that: the headless
    shell can.
    """

    def __init__(self, *, timeout: float = 30, still: bool = False) -> None:
        self.timeout = timeout
        self._still = still
        self.blocked: list[str] = []
        self._playwright: Playwright | None = None
        self._browser: PlaywrightBrowser | None = None
        self._pid = self._driver = 0
        self._profile = ""
        self._watchers = 0

    @property
    def version(self) -> str:
        """Version of the running browser, for provenance."""
        return self._running().version

    @property
    def still(self) -> bool:
        """Whether it opens still pages: it was asked for, and there is a browser that can."""
        return self._still and "shell" in Path(find_browser() or "").name

    @property
    def alive(self) -> bool:
        """Whether the browser and Playwright's driver above it run.

        Known at once, not only when Playwright has heard of their end.
        """
        if self._browser is None or not self._browser.is_connected():
            return False
        return all(_stat(pid)[0] not in "ZX" for pid in (self._pid, self._driver))

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

        browser = self._running()
        try:
            # Playwright waits for ever for a browser that dies while it opens a page.
            with self._ended_after(max(self.timeout, _START_SECONDS)):
                context = browser.new_context(
                    java_script_enabled=javascript,
                    viewport={"width": width, "height": height},
                    device_scale_factor=scale,
                    accept_downloads=False,
                    service_workers="block",
                    locale="en-US",
                    timezone_id="UTC",
                    reduced_motion="reduce",
                )
                context.set_default_timeout(self.timeout * 1000)
                context.route("**/*", answer)
                page = context.new_page()
        except Exception as error:  # a bare one when the driver has died
            self._forget()
            raise WorkerBroken(Reason.BROWSER_CRASHED, str(error)) from error
        try:
            yield page
        except (DocumentError, WorkerBroken):
            raise
        except Exception as error:  # as above
            if self.alive:
                raise
            self._forget()
            raise WorkerBroken(Reason.BROWSER_CRASHED, str(error)) from error
        finally:
            if self._browser is browser and self.alive:
                with suppress(Exception), self._ended_after(_START_SECONDS):  # it may die just now
                    context.close()

    def still_page(self, page: Page) -> Page:
        """Open another page in a page's context, which draws only what it is told to.

        Its frames are those that the caller asks for (CDP's `HeadlessExperimental.beginFrame`). It
        ends with its context. Only for a browser that is `still`.
        """
        own = page.context.new_cdp_session(page)
        context = own.send("Target.getTargetInfo")["targetInfo"]["browserContextId"]
        own.detach()
        wanted = {
            "url": "about:blank",
            "browserContextId": context,
            "enableBeginFrameControl": True,
        }
        session = self._running().new_browser_cdp_session()
        with page.context.expect_page() as opened:
            session.send("Target.createTarget", wanted)
        session.detach()
        return opened.value

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Bound everything inside, printing too, which Playwright itself does not time.

        When the time is up the browser is killed, with all pages it has, and `DocumentError`
        (`TIMEOUT`) raised.
        """
        self._running()
        detail = f"rendering took over {seconds:g} s"
        with self._raising_after(seconds, DocumentError(Reason.TIMEOUT, detail)):
            yield

    @contextmanager
    def stalled_after(self, seconds: float, missing: str) -> Iterator[None]:
        """Bound what takes long only when the browser has got stuck, and then gives no `missing`.

        When the time is up the browser is killed, with all pages it has, and `WorkerBroken` raised,
        so that the engine gives the document another try.
        """
        detail = f"no {missing} in {seconds:g} s"
        with self._raising_after(seconds, WorkerBroken(Reason.BROWSER_CRASHED, detail)):
            yield

    def close(self) -> None:
        """End the browser."""
        if self._browser is not None and self.alive:
            with suppress(Exception), self._ended_after(_START_SECONDS):  # it may die just now
                self._browser.close()
        self._forget()

    @contextmanager
    def _raising_after(self, seconds: float, late: Exception) -> Iterator[None]:
        """Kill the browser when what is inside takes too long, and then raise `late`."""
        cause: Exception | None = None
        with self._ended_after(seconds) as expired:
            try:
                yield
            except Exception as error:
                if not expired.is_set():
                    raise
                cause = error
        if expired.is_set():
            raise late from cause

    @contextmanager
    def _ended_after(self, seconds: float) -> Iterator[threading.Event]:
        """Kill the browser when what is inside takes too long; the event says that it did.

        Every call of Playwright inside ends soon after the browser does, killed or dead by
        itself: with an error that Playwright's driver tells, or, since the driver forgets some
        calls when a browser dies while it opens a page, by the end of the driver.
        """
        expired = threading.Event()
        done = os.eventfd(0)
        arguments = (self._pid, self._driver, seconds, done, expired)
        watcher = threading.Thread(target=_watch, args=arguments, daemon=True)
        watcher.start()
        self._watchers += 1
        try:
            yield expired
        finally:
            self._watchers -= 1
            os.eventfd_write(done, 1)
            watcher.join()
            os.close(done)
            if expired.is_set():
                self._forget()

    def _running(self) -> PlaywrightBrowser:
        if self._browser is None or not self.alive:
            if self._watchers:  # which would not watch over another one
                raise WorkerBroken(Reason.BROWSER_CRASHED, "the browser died at work")
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
                    args=[
                        *_ARGUMENTS,
                        *(_STILL if self.still else ()),
                        *(["--no-sandbox"] if os.geteuid() == 0 else []),
                    ],
                    timeout=max(self.timeout, _START_SECONDS) * 1000,
                )
                self._pid, self._driver = _processes_of(self._browser)
                self._profile = _profile_of(self._pid)
            except Exception as error:  # Playwright raises bare Exception when its driver dies
                self._forget()
                raise WorkerBroken(
                    Reason.BROWSER_CRASHED,
                    f"{executable} does not start: {error}; run `dsvl-data doctor`",
                ) from error
        return self._browser

    def _forget(self) -> None:
        """Stop Playwright, and kill what is left of the browser."""
        playwright, profile = self._playwright, self._profile
        pid, driver = self._pid, self._driver
        self._playwright = self._browser = None
        self._pid = self._driver = 0
        self._profile = ""
        if playwright is None:
            return
        patience = threading.Timer(_GRACE_SECONDS, sandbox.kill_all, [[driver]])
        patience.daemon = True
        if driver and _stat(driver)[1] == os.getpid():
            sandbox.kill_descendants(driver)
            patience.start()
        # Without its driver it is nobody's child that we know; its folder says that it is ours.
        if profile and _profile_of(pid) == profile:
            sandbox.kill_all([*sandbox.descendants(pid), pid])
        try:
            playwright.stop()
        finally:
            patience.cancel()
            if profile:  # Playwright often leaves that of a killed browser
                shutil.rmtree(profile, ignore_errors=True)
