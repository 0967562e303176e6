"""The browser reaches nothing, and takes no longer than it may."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dsvl_data.render.browser import Browser
from dsvl_data.render.pages import Asset


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    made = Browser()
    yield made
    made.close()


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
