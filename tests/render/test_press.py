"""A press prints within its time, and prints on after a chapter that took too long."""

from __future__ import annotations

import pytest
from lxml import etree

from dsvl_data import sandbox
from dsvl_data.outcome import DocumentError, Reason, WorkerBroken
from dsvl_data.render.pages import Chapter
from dsvl_data.render.press import Press
from dsvl_data.render.template import load_templates
from tests.render.test_browser import own_browsers

TEMPLATE = next(t for t in load_templates("books") if t.name == "a4_report")


def chapter(markup: str) -> Chapter:
    return Chapter(etree.fromstring(f'<article lang="en">{markup}</article>'), "en")


def test_a_print_without_end_costs_its_chapter_only() -> None:
    others = own_browsers()
    press = Press(longest_side=768, timeout=3)
    small = chapter("<p>Some words here.</p>")
    # Its layout takes a second, its print very much longer.
    endless = chapter("<p>One paragraph of many, all alike.</p>" * 60_000)
    try:
        before = press.print(small, TEMPLATE, 0)
        with pytest.raises(DocumentError) as caught:
            press.print(endless, TEMPLATE, 0)
        assert caught.value.reason is Reason.TIMEOUT
        after = press.print(small, TEMPLATE, 0)
        assert len(after.pdf) == len(before.pdf)
    finally:
        press.close()
    assert set(own_browsers()) <= set(others)


def test_a_browser_that_dies_between_two_prints_breaks_the_worker_once() -> None:
    press = Press(longest_side=768, timeout=30)
    small = chapter("<p>Some words here.</p>")
    try:
        press.print(small, TEMPLATE, 0)
        sandbox.kill_all(own_browsers())
        with pytest.raises(WorkerBroken):
            press.print(small, TEMPLATE, 0)
        assert press.print(small, TEMPLATE, 0).pdf
    finally:
        press.close()
