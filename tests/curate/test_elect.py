"""Elections: of those that are the same one is kept, the right one, whatever the slices."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.curate import elect
from dsvl_data.curate.run import curate
from dsvl_data.curate.settings import Curation
from tests.curate.conftest import key, sample, write
from tests.curate.test_run import fates

PEOPLE = [
    # name, text, images, score
    ("short", "A dog in the snow.", ("dog",), 0.9),
    ("same", "a  dog in\nthe snow.", ("dog",), 0.2),
    ("longer", "A dog plays in the deep snow.", ("dog",), 0.1),
    ("other", "A dog in the snow.", ("hound",), 0.95),
    ("pictureless", "A dog in the snow.", (), 0.5),
    ("textless", "", ("dog",), 0.3),
    ("empty", "", (), 0.3),
    ("void", "", (), 0.3),
]


@pytest.mark.parametrize(
    ("by", "prefer", "lost"),
    [
        (["pair"], ["first"], {"same": "short"}),
        (["pair"], ["best_score"], {"same": "short"}),
        # A sample without a text, or without an image, has none to share.
        (
            ["image"],
            ["longest"],
            {"short": "longer", "same": "longer", "textless": "longer"},
        ),
        (["image"], ["best_score"], {"same": "short", "longer": "short", "textless": "short"}),
        (
            ["text"],
            ["best_score"],
            {"short": "other", "same": "other", "pictureless": "other"},
        ),
        # Pairs first, whatever the order in the recipe; then among those who are left.
        (
            ["image", "pair"],
            ["longest"],
            {"same": "short", "short": "longer", "textless": "longer"},
        ),
    ],
)
def test_who_represents_whom(
    tmp_path: Path, by: list[str], prefer: list[str], lost: dict[str, str]
) -> None:
    samples = [
        sample(name, text, images=images, category="caption", scores={"similarity": score})
        for name, text, images, score in PEOPLE
    ]
    out = write(tmp_path, made_0=samples[:4], made_1=samples[4:])
    rules = {"exact": {"by": by}, "prefer": prefer, "score": "similarity"}
    curate(str(out), Curation.model_validate({"duplicates": rules}), executor="local")
    found = {
        row["key"]: row["representative"]
        for path in (out / "curation" / "clusters").rglob("clusters-*.parquet")
        for row in elect.stored.read(str(path)).to_pylist()
        if row["key"] != row["representative"]
    }
    assert found == {key(loser): key(winner) for loser, winner in lost.items()}
    assert {name for name, reason in fates(out).items() if reason} == set(lost)


def test_who_does_not_pass_the_rules_represents_nobody(tmp_path: Path) -> None:
    twins = [sample(name, "Twice told. " * 9, licence=licence) for name, licence in
             (("denied", "CC-BY-NC-4.0"), ("first", "MIT"), ("second", "MIT"))]  # fmt: skip
    out = write(tmp_path, made_0=twins)
    rules = {"rights": {"deny": ["CC-BY-NC-4.0"]}, "duplicates": {}}
    curate(str(out), Curation.model_validate(rules), executor="local")
    assert fates(out) == {"denied": "licence", "first": None, "second": "duplicate_pair"}


PARTS = st.lists(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["", "x", "y"])), max_size=6),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None)
@given(PARTS, st.integers(1, 3), st.integers(1, 5))
def test_one_of_each_pair_is_kept_however_the_work_is_cut(
    parts: list[list[tuple[str, str]]], slice_parts: int, prefix_rows: int
) -> None:
    people = [
        [
            sample(f"{part}-{row}", text * 20, images=tuple(image), category="caption")
            for row, (text, image) in enumerate(members)
        ]
        for part, members in enumerate(parts)
    ]
    firsts: dict[tuple[str, str], str] = {}
    for part, members in enumerate(parts):
        for row, pair in enumerate(members):
            firsts.setdefault(pair, f"{part}-{row}")
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(elect, "_SLICE_PARTS", slice_parts),
        mock.patch.object(elect, "_PREFIX_ROWS", prefix_rows),
    ):
        out = write(Path(folder), **{f"made_{n}": samples for n, samples in enumerate(people)})
        found = curate(str(out), Curation.model_validate({"duplicates": {}}), executor="local")
        kept = {name for name, reason in fates(out).items() if reason is None}
    assert kept == set(firsts.values())
    account = found["made"].to_json()
    assert account["in"] == sum(map(len, parts)) == account["kept"] + account["duplicate"]
