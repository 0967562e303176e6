"""The whole way: classified parts to a mix, and the mix to shards; curation goes first."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dsvl_data.curate.accounts import accounts
from dsvl_data.curate.chosen import without_use
from dsvl_data.curate.run import curate
from dsvl_data.curate.settings import Curation
from dsvl_data.curate.stored import CurationError
from dsvl_data.shards.build import build_shards
from dsvl_data.shards.index import read_index
from dsvl_data.shards.plan import ShardSettings
from dsvl_data.shards.verify import verify
from taxonomy.commands import app
from taxonomy.tree import load_taxonomy
from tests.taxonomy.corpora import build, conversation, words


def test_balance_decides_what_is_in_the_shards_and_curation_what_it_can_choose(
    tmp_path: Path,
) -> None:
    tree = load_taxonomy(None)
    leaves = [tree.text_path(leaf.id) for leaf in tree.leaves()][:2]
    # Ten of one leaf, three of another; one of these is too short for the recipe.
    texts = ["no"] + [words(n) for n in range(1, 13)]
    samples = [conversation(n, text, words(n + 50, 3), [n]) for n, text in enumerate(texts)]
    out = build(tmp_path / "out", samples, [leaves[0]] * 3 + [leaves[1]] * 10)
    rules = Curation.model_validate(
        {"text": {"length": {"min_characters": 100}}, "duplicates": None, "chosen": {}}
    )
    with pytest.raises(CurationError, match="taxonomy balance"):
        curate(out, rules, executor="local")
    shares = [f"--share={leaf.rpartition('/')[2]}=0.5" for leaf in leaves]
    done = CliRunner().invoke(app, ["balance", out, "--size=8", "--conversation-uses=2", *shares])
    assert done.exit_code == 0, done.output
    assert "1 conversations are not used: curation leaves them out" in done.output
    wanted = pq.read_table(f"{out}/taxonomy/mix.parquet").to_pylist()
    assert json.loads(Path(out, "taxonomy/mix.json").read_text())["distance"] == 0
    curate(out, rules, executor="local")
    build_shards(out, ShardSettings(), curation=rules, executor="local")
    held = Counter(
        without_use(entry.key)
        for shard in Path(out, "shards").rglob("*.tar")
        for entry in read_index(str(shard))
    )
    assert held == {row["key"]: row["times"] for row in wanted}
    assert held["key-0001"] == held["key-0002"] == 2, "two conversations stand for four"
    account = accounts(out)["sft"]
    assert (account.uses, account.missed, account.problems) == (8, 0, [])
    assert verify(out, workers=1).ok
