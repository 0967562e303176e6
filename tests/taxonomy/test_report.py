"""The deficit report: numbers that add up, and a page that shows them in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from dsvl_data.outcome import UserError
from dsvl_data.render.browser import find_browser
from taxonomy import index, mix_report, report
from taxonomy.balance import balance
from taxonomy.targets import BalanceSettings
from tests.taxonomy.pools import rows, tree

TREE = tree({"see": ["count", "read"], "think": ["sum"], "judge": []})
LEAVES = [TREE.text_path(leaf.id) for leaf in TREE.leaves()]


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Any]:
    """A mix of 120, 60 of each language; `read` has 4 of 20, none of them Chinese."""
    values = [
        {"taxonomy": leaf, "language": ["en", "zh"][number % 2]}
        for leaf in (LEAVES[0], LEAVES[2], LEAVES[3])
        for number in range(100)
    ]
    values += [{"taxonomy": LEAVES[1]}] * 4
    table = rows([{**value, "key": f"k{n}", "text_hash": n} for n, value in enumerate(values)])
    index.write(str(tmp_path), "sft/part-00000.parquet", table, {})
    target = BalanceSettings(size=120, languages={"en": 0.5, "zh": 0.5})
    mix_report.write(str(tmp_path), table, balance(table, TREE, target))
    return report.deficits(str(tmp_path), TREE)


def test_what_is_short_is_told_by_leaf_and_language(found: dict[str, Any]) -> None:
    worst = report.leaves(found)[0]
    assert worst["path"] == LEAVES[1]
    assert (worst["target"], worst["taken"], worst["supply"]) == (pytest.approx(20), 4, 4)
    assert worst["languages"]["en"]["short"] == pytest.approx(6)
    assert worst["languages"]["zh"] == {
        "target": pytest.approx(10),
        "taken": 0,
        "supply": 0,
        "short": pytest.approx(10),
        "collect": pytest.approx(10),
    }
    see = found["tree"][0]
    assert see["taken"] == 40  # `count` takes what `read` lacks: the same main category
    assert sum(node["target"] for node in found["tree"]) == pytest.approx(120)
    assert "  16 of see/read (en 6, zh 10); images: one, photo" in report.advice(found)


def test_another_taxonomy_is_told(found: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="made with another taxonomy"):
        report.deficits(str(tmp_path), tree({"other": ["leaf"]}))


def test_the_page_shows_it_in_a_browser(found: dict[str, Any], tmp_path: Path) -> None:
    found["tree"][0]["name"]["en"] = "</script><b>See & \u2028 <"
    path = tmp_path / "report.html"
    path.write_text(report.page(found), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser())
        try:
            page = browser.new_page()
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("request", lambda request: faults.append(request.url))
            page.goto(path.as_uri())
            assert page.locator("g.node").count() == 7 - 1  # 3 main categories, 3 leaves below
            see = page.locator("g.node", has_text="</script>")
            assert see.count() == 1
            assert page.locator("#leaves tbody tr").count() == 4
            first = page.locator("#leaves tbody tr").first
            assert "see/read" in (first.text_content() or "")
            assert first.locator("td.short").text_content() == "16"
            page.select_option("#language", "zh")
            assert page.locator("#leaves tbody tr").first.locator("td.short").text_content() == "10"
            see.click()
            assert page.locator("g.node").count() == 3
            assert faults == [path.as_uri()]
        finally:
            browser.close()


def test_dual_values_are_what_a_step_brings(tmp_path: Path) -> None:
    values = [{"taxonomy": leaf, "source": "a"} for leaf in LEAVES[:2] for _ in range(500)]
    values += [{"taxonomy": leaf, "source": "b"} for leaf in LEAVES[2:] for _ in range(500)]
    table = rows([{**value, "key": f"k{n}", "text_hash": n} for n, value in enumerate(values)])
    target = BalanceSettings.model_validate(
        {"size": 300, "bounds": {"sources": {"b": {"max": 0.2}}}}
    )
    said = mix_report.report(balance(table, TREE, target))
    assert said["distance"] == pytest.approx(2 / 3 - 0.2)
    (constraint,) = said["constraints"]
    assert constraint["binds"] == "at most"
    assert constraint["price"] == pytest.approx(-0.01)  # for 1 % of the mix
    assert constraint["distance_after"] == pytest.approx(2 / 3 - 0.21)
    assert json.dumps(said)
