"""Pictures that the neighbours of a page show as well."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef
from dsvl_data.read.neighbours import WINDOW, Neighbours, picture_name, with_neighbours


def listed(pages: Mapping[str, str], dataset: str = "d") -> list[DocumentRef]:
    return [DocumentRef(dataset, uri, "CC0-1.0", f"/{uri}", 1) for uri in pages]


def neighbours(pages: Mapping[str, str]) -> Neighbours:
    return Neighbours(lambda ref: pages[ref.uri].encode())


def test_a_logo_repeats_and_a_picture_of_one_page_does_not() -> None:
    pages = {f"a/{n}.html": f"<img src='../logo.png'><img src={n}.png>" for n in range(6)}
    pages["b/deep.html"] = "<IMG alt=x SRC = ../logo.png>"
    refs = list(with_neighbours(listed(pages)))
    known = neighbours(pages)
    for ref in refs:
        assert known.repeats(ref, "logo.png")
        assert not known.repeats(ref, "a/3.png")


def test_four_pages_are_too_few_to_tell_but_for_three_others() -> None:
    for count, told in ((3, False), (4, True)):
        pages = {f"{n}.html": "<img src=logo.png>" for n in range(count)}
        refs = list(with_neighbours(listed(pages)))
        assert neighbours(pages).repeats(refs[0], "logo.png") is told


def test_a_picture_that_few_of_many_neighbours_show_stays() -> None:
    pages = {f"{n:02d}.html": f"<img src={'x' if n % 16 == 0 else n}.png>" for n in range(48)}
    refs = list(with_neighbours(listed(pages)))
    assert not neighbours(pages).repeats(refs[0], "x.png")


def test_all_pages_are_listed_in_order_and_data_sets_do_not_mix() -> None:
    names = [f"{n:04d}.html" for n in range(3 * WINDOW + 5)]
    refs = [*listed(dict.fromkeys(names, "")), *listed(dict.fromkeys(names[:2], ""), "other")]
    made = list(with_neighbours(iter(refs)))
    assert [(ref.dataset, ref.uri) for ref in made] == [(ref.dataset, ref.uri) for ref in refs]
    assert all("near" in ref.meta for ref in made[:-2])
    assert not any("near" in ref.meta for ref in made[-2:])


def test_what_repeats_does_not_depend_on_the_order_of_asking() -> None:
    pages = {f"{n:03d}.html": f"<img src={n // 50}.png>" for n in range(150)}
    refs = list(with_neighbours(listed(pages)))
    known = neighbours(pages)
    forwards = [known.repeats(ref, f"{n // 50}.png") for n, ref in enumerate(refs)]
    known = neighbours(pages)
    backwards = [known.repeats(refs[n], f"{n // 50}.png") for n in reversed(range(150))]
    assert forwards == backwards[::-1]
    assert any(forwards)


def test_a_neighbour_that_cannot_be_read_says_nothing() -> None:
    def read(ref: DocumentRef) -> bytes:
        raise DocumentError(Reason.UNREADABLE, "gone")

    refs = list(with_neighbours(listed(dict.fromkeys("abcdef", ""))))
    assert not Neighbours(read).repeats(refs[0], "logo.png")


@pytest.mark.parametrize(
    ("page", "path", "name"),
    [
        ("a/b/c.html", "../x%20y.png?v=1#f", "a/x y.png"),
        ("c.html", "i//x.png", "i/x.png"),
        ("a/c.html", "../../x.png", "../x.png"),
        ("c.html", "https://h/x.png", "https://h/x.png"),
        ("c.html", "data:image/gif;base64,AA", "data:image/gif;base64,AA"),
    ],
)
def test_names_of_pictures(page: str, path: str, name: str) -> None:
    assert picture_name(page, path) == name
