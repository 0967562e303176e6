"""Style sheets: parsed, pruned by what a page answers, written out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.render.pruning import Answers, ask, prune
from dsvl_data.render.styles import (
    At,
    Sheet,
    Style,
    import_parts,
    imports_of,
    parse_declarations,
    parse_rules,
    write,
    write_declarations,
)


def left(css: str, *matching: str, media: tuple[str, ...] = (), **more: object) -> str:
    sheet = Sheet(parse_rules(css), base="http://site.invalid/css/a.css")
    asked = ask([sheet], None)
    supports = more.get("supports", ())
    assert isinstance(supports, tuple)
    answers = Answers(
        frozenset(matching) & set(asked.probes),
        frozenset(name for name in asked.lists if "bad" in name),
        {query: query in media for query in asked.media},
        {condition: condition in supports for condition in asked.supports},
    )
    inline = more.get("inline", ())
    assert isinstance(inline, tuple)
    rules, _ = prune([sheet], answers, substitute=lambda url, base: f"{base}|{url}", inline=inline)
    return write(rules)


def test_only_the_selectors_that_match_stay() -> None:
    css = "h1, .gone, p > b { color: #fff; margin: 0 } .gone { color: red } a:hover { color: red }"
    assert left(css, "h1", "p > b") == "h1,\np > b {\n  color: #fff;\n  margin: 0;\n}"


def test_a_selector_nobody_knows_spoils_its_whole_rule() -> None:
    assert left("p, a::bad { color: red } p { margin: 0 }", "p", "a") == "p {\n  margin: 0;\n}"


def test_pseudo_elements_are_looked_for_by_their_owner() -> None:
    css = ".a::before { content: 'x' } .b:after { content: 'y' } .c::selection { color: red }"
    written = left(css, ".a", ".b", ".c")
    assert ".a::before" in written
    assert ".b:after" in written
    assert "selection" not in written


def test_conditions_that_do_not_hold_go_with_what_they_guard() -> None:
    css = (
        "@media (min-width: 700px) { p { color: red } } @media print { p { color: blue } }"
        "@media screen { p { color: green } } @supports (display: grid) { p { margin: 1px } }"
        "@supports (display: nonsense) { p { margin: 2px } } @font-face { font-family: x }"
        "@page { margin: 0 }"
    )
    written = left(css, "p", media=("(min-width: 700px)", "screen"), supports=("(display: grid)",))
    assert written == (
        "@media (min-width: 700px) {\n  p {\n    color: red;\n  }\n}\n"
        "p {\n  color: green;\n  margin: 1px;\n}"
    )


def test_variables_and_animations_stay_where_something_uses_them() -> None:
    css = (
        ":root { --a: #123; --b: var(--a); --c: red } p { color: var(--b); animation: in 1s }"
        "@keyframes in { to { opacity: 0 } } @keyframes out { to { opacity: 1 } }"
    )
    written = left(css, ":root", "p")
    assert "--a: #123" in written
    assert "--b: var(--a)" in written
    assert "--c" not in written
    assert "@keyframes in" in written
    assert "@keyframes out" not in written
    assert "--c: red" in left(css, ":root", "p", inline=("color: var(--c)",))


def test_what_has_no_look_goes() -> None:
    css = "p { cursor: pointer; transition: all 1s; -moz-user-select: none; *zoom: 1; color: red }"
    assert left(css, "p") == "p {\n  color: red;\n}"
    assert left("p { cursor: pointer }", "p") == ""


def test_layers_keep_their_order_when_one_is_empty() -> None:
    css = "@layer one { .gone { color: red } } @layer two { p { color: blue } }"
    assert left(css, "p").startswith("@layer one;\n@layer two {")


def test_nested_rules_are_looked_for_below_their_parents() -> None:
    css = ".card { color: red; & > b { color: blue } i { color: green } .gone { margin: 0 } }"
    written = left(css, ".card", ":is(.card) > b", ":is(.card) i")
    assert "& > b" in written
    assert "i {" in written
    assert "gone" not in written


def test_pictures_are_substituted_with_the_address_of_their_sheet() -> None:
    written = left("p { background: url( 'x y.png' ) no-repeat } b { mask: url(#m) }", "p", "b")
    assert 'url("http://site.invalid/css/a.css|x y.png") no-repeat' in written
    assert "url(#m)" in written


def test_a_style_attribute_loses_what_nothing_stands_for() -> None:
    declarations = parse_declarations("background: url(a.woff); color: red !important; cursor: x")
    assert write_declarations(declarations, lambda url: None) == "color: red !important"


def test_imports_are_taken_apart() -> None:
    rules = parse_rules(
        '@import "a.css"; @import url(b.css) layer(base) supports(display: grid) screen;'
        "p { color: red } @import 'late.css';"
    )
    found = imports_of(rules)
    assert [import_parts(rule) for rule in found] == [
        ("a.css", "", None, ""),
        ("b.css", "screen", "base", "display: grid"),
    ]


def test_classes_that_a_page_lacks_are_not_asked_for() -> None:
    sheet = Sheet(parse_rules(".a .b { color: red } .a:not(.c) { color: red } p { color: red }"))
    assert list(ask([sheet], frozenset({".a"})).probes) == [".a:not(.c)", "p"]


def test_escaped_names_are_known_by_what_they_mean() -> None:
    (rule,) = parse_rules(r".md\:w-1\/2[data-x='1'] { width: 50% }")
    assert isinstance(rule, Style)
    assert rule.selectors[0].names == {".md:w-1/2", "[data-x"}


def test_rules_nested_without_end_are_no_trouble() -> None:
    deep = "@media all {" * 300 + "p { color: red }" + "}" * 300
    assert all(isinstance(rule, At) for rule in parse_rules(deep))


@given(st.text(max_size=200))
def test_what_is_written_is_read_as_the_same(css: str) -> None:
    rules = parse_rules(css)
    written = write(rules)
    assert write(parse_rules(written)) == written
