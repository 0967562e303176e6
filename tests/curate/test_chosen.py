"""The shards hold the conversations that a mix chose, as often as it wants them; all is counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.curate.accounts import accounts
from dsvl_data.curate.chosen import repeat, without_use
from dsvl_data.curate.run import curate
from dsvl_data.curate.settings import Curation
from dsvl_data.curate.stored import CurationError
from dsvl_data.outcome import Reason
from dsvl_data.shards.build import build_shards
from dsvl_data.shards.index import read_index
from dsvl_data.shards.plan import ShardSettings
from dsvl_data.shards.verify import verify
from tests.curate.conftest import key, sample, write

RULES: dict[str, Any] = {"chosen": {}}
CATEGORY = {"category": "sft_general"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Six conversations in two parts, an instruction without an image, a page of pretraining."""
    return write(
        tmp_path / "out",
        sft_0=[sample(n, f"The tale of {n}.", images=(n,), **CATEGORY) for n in "abc"]
        + [sample("words", "Say something.", category="sft_text")],
        sft_1=[sample(n, f"The tale of {n}.", images=(n,), **CATEGORY) for n in "def"],
        books_0=[sample("page")],
    )


def choose(out: Path, place: str = "taxonomy/mix.parquet", **times: int) -> Path:
    """Write a mix as `taxonomy balance` does, so far as the contract goes."""
    path = out / place
    path.parent.mkdir(exist_ok=True)
    parts = ["sft/part-00001.parquet" if n in "def" else "sft/part-00000.parquet" for n in times]
    table = {"key": [key(n) for n in times], "times": [*times.values()], "part": parts}
    pq.write_table(pa.table(table, schema=SCHEMA), path)
    return path


SCHEMA = pa.schema([("key", pa.string()), ("times", pa.int32()), ("part", pa.string())])


def run(out: Path, rules: dict[str, Any] = RULES) -> dict[str, Any]:
    settings = Curation.model_validate(rules)
    curate(str(out), settings, executor="local")
    build_shards(str(out), ShardSettings(), curation=settings, executor="local")
    after = accounts(str(out))
    assert not [problem for account in after.values() for problem in account.problems]
    return {name: account.to_json() for name, account in after.items()}


def in_shards(out: Path) -> list[str]:
    return sorted(
        entry.key.partition("-")[2]
        for shard in (out / "shards").rglob("*.tar")
        for entry in read_index(str(shard))
    )


def test_shards_hold_what_the_mix_names_as_often_as_it_says(out: Path) -> None:
    choose(out, a=1, c=3, e=2)
    found = run(out)
    assert in_shards(out) == [
        "a", "c", "c-use2", "c-use3", "e", "e-use2", "page", "words",
    ]  # fmt: skip
    assert found["sft"] | {"in": 7, "kept": 4, "filtered": 3, "uses": 7} == found["sft"]
    assert found["sft"]["reasons"] == {str(Reason.NOT_CHOSEN): 3}
    assert found["sft"]["missed_uses"] == 0
    assert found["books"]["kept"] == found["books"]["uses"] == 1
    # The pictures here are made up; all else is sound.
    assert all("unknown format" in str(each) for each in verify(str(out), workers=1).problems)


def test_another_mix_cuts_other_shards_and_the_same_one_none(out: Path) -> None:
    choose(out, a=1, b=1)
    run(out)
    before = {p: p.stat().st_mtime_ns for p in (out / "shards").rglob("*") if p.is_file()}
    run(out)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    choose(out, a=2, b=1)
    assert accounts(str(out))["sft"].pending == 7, "the decisions were made by another mix"
    run(out)
    assert in_shards(out) == ["a", "a-use2", "b", "page", "words"]


def test_as_many_uses_as_there_are_samples_is_another_selection(out: Path) -> None:
    """Counts alone would call both whole, and leave the shards as they are."""
    choose(out, a=1, b=1, c=1, d=1, e=1, f=1)
    run(out)
    choose(out, a=2, c=1, d=1, e=1, f=1)
    run(out)
    assert in_shards(out) == ["a", "a-use2", "c", "d", "e", "f", "page", "words"]


def test_without_a_mix_all_but_the_shards_is_done_and_the_way_on_is_told(out: Path) -> None:
    with pytest.raises(CurationError, match=r"taxonomy classify .* taxonomy balance .*build"):
        run(out)
    assert accounts(str(out))["sft"].pending == 0
    choose(out, a=1)
    assert run(out)["sft"]["kept"] == 2


def test_curation_goes_first_and_what_it_takes_from_the_mix_is_counted(out: Path) -> None:
    choose(out, a=3, b=1)
    rules = RULES | {"text": {"length": {"min_characters": 8}}}
    a = sample("a", "Short.", images=("a",), **CATEGORY)
    write(out, sft_0=[a, sample("b", "The tale of b, long.", images=("b",), **CATEGORY)])
    found = run(out, rules)["sft"]
    assert found["missed_uses"] == 3
    assert found["reasons"][str(Reason.TEXT_TOO_SHORT)] == 1
    assert in_shards(out) == ["b", "page"]


def test_instructions_without_an_image_obey_where_the_recipe_says_so(out: Path) -> None:
    choose(out, a=1)
    run(out, {"chosen": {"categories": ["sft_general", "sft_text"]}})
    assert in_shards(out) == ["a", "page"]
    choose(out, a=1, words=2)
    with pytest.raises(CurationError, match=r"sft_text.*curation\.chosen\.categories"):
        run(out)


def test_a_mix_of_other_parts_does_not_balance(out: Path) -> None:
    choose(out, a=1, stranger=1)
    settings = Curation.model_validate(RULES)
    found = curate(str(out), settings, executor="local")
    assert any("2 conversations, and 1" in said for a in found.values() for said in a.problems)


def test_a_table_of_ones_own_needs_key_and_times_alone(out: Path, tmp_path: Path) -> None:
    place = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"key": [key("d"), key("a")], "times": [2, 1]}), place)
    run(out, {"chosen": {"table": str(place)}})
    assert in_shards(out) == ["a", "d", "d-use2", "page", "words"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"key": ["x"]}, "no column 'times'"),
        ({"key": ["x"], "times": [0.5]}, "whole numbers"),
        ({"key": [key("a")], "times": [0]}, "has 1 to 1000"),
        ({"key": [key("a")] * 2, "times": [1, 1]}, "names a key twice"),
    ],
)
def test_a_broken_table_is_named(out: Path, table: dict[str, Any], said: str) -> None:
    (out / "taxonomy").mkdir()
    rows = pa.table(table).append_column(
        "part", pa.array(["sft/part-00000.parquet"] * len(table["key"]))
    )
    pq.write_table(rows, out / "taxonomy" / "mix.parquet")
    with pytest.raises(CurationError, match=said):
        run(out)


def test_no_parquet_is_named(out: Path) -> None:
    (out / "taxonomy").mkdir()
    (out / "taxonomy" / "mix.parquet").write_bytes(json.dumps({"key": 1}).encode())
    with pytest.raises(CurationError, match="no readable mix"):
        run(out)


@given(st.lists(st.integers(0, 30), max_size=8))
def test_every_use_has_a_key_that_leads_back(times: list[int]) -> None:
    samples = [sample(str(i)) for i in range(len(times))]
    used = [each.key for each in repeat(samples, times)]
    assert len(set(used)) == len(used)
    counted = Counter(map(without_use, used))
    assert counted == {s.key: n for s, n in zip(samples, times, strict=True) if n}
