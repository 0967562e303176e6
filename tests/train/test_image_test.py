"""A model trained through all three stages reads words that it has never seen.

The words are ours: printed by the renderer of the e-book and exam pipelines, one card a page, on
a design of this test. Their letters are drawn at random, so that nothing but the picture tells what
they are. About one card in ten is held out.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_lowercase

import pytest
import torch
from lxml import etree

from dsvl_data.render.pages import Chapter, Page
from dsvl_data.render.printer import Printer
from dsvl_data.render.template import parse_template
from dsvl_data.sample import Origin, Provenance, Sample, Text
from dsvl_data.shards.build import ShardSettings, build_shards
from model.config import LanguageConfig, ModelConfig, SiglipConfig, preset
from tests.shards.conftest import write_part
from tests.train.small import SMALL, write_recipe
from train.run import train
from train.settings import STAGES
from train.summary import read_summary

#: By how much the loss of held-out cards must be lower with the right image: nats a token, and
#: times its standard error.
MARGIN, ERRORS = 1.0, 5

#: Sixteen tokens an image, and enough width for 26 letters.
READER = replace(
    SMALL,
    siglip=SiglipConfig(image_size=64, width=64, layers=2, heads=4, mlp_width=128),
    language=LanguageConfig(
        vocab_size=320, width=96, ffn_width=192, layers=3, heads=4, kv_heads=4, max_positions=1024
    ),
)


@dataclass(frozen=True)
class _Case:
    """A model, its cards (side in pixels, letters, how many), steps of each stage, their rate."""

    config: ModelConfig
    side: int
    letters: str
    cards: int
    steps: tuple[int, int, int]
    rate: float


SMALL_READER = _Case(READER, 64, ascii_lowercase, 800, (20, 150, 80), 2e-3)
#: What `make train` trains, on 144 tokens an image: minutes of a core.
TINY = _Case(preset("tiny"), 384, ascii_lowercase[:8], 1200, (5, 10, 130), 1e-3)
_SLOW = pytest.mark.skipif("DSVL_SLOW" not in os.environ, reason="minutes; set DSVL_SLOW=1")

#: Two words of four letters, as large as the page lets them be.
_DESIGN = """/* A card: two short words in large type, and nothing else. */
@page {{ size: {side}px {side}px; margin: 0; }}
html, body, article {{ padding: 0; }}
body {{ font: {letter:g}px/{line:g}px var(--mono); }}
p {{ margin: 0; white-space: pre; break-after: page; }}
"""


def _print_cards(case: _Case) -> list[Page]:
    random_ = random.Random(8)
    article = etree.Element("article")
    for _ in range(case.cards):
        words = ["".join(random_.choices(case.letters, k=4)) for _ in range(2)]
        card = etree.SubElement(article, "p")
        card.text = words[0]
        etree.SubElement(card, "br").tail = words[1]
    # Four letters, each 0.602 of its height wide, fill a line.
    css = _DESIGN.format(side=case.side, letter=case.side * 0.414, line=case.side * 0.47)
    printer = Printer(longest_side=case.side)
    try:
        return list(printer.pages(Chapter(article, "en"), parse_template("card", "books", css)))
    finally:
        printer.close()


def _build(case: _Case, out: Path) -> None:
    """A corpus of cards."""
    pages = _print_cards(case)
    assert len(pages) == case.cards
    assert not [page.detail for page in pages if page.failure]
    samples = [
        Sample(
            key=f"card{page.number:05d}",
            document="cards",
            category="document_ocr",
            segments=(page.image, Text(page.text)),
            language="en",
            source=Origin("cards", str(page.number), "CC0-1.0"),
            provenance=Provenance("cards", "1", {}),
        )
        for page in pages
    ]
    write_part(out, "cards/part-00000.parquet", samples)
    build_shards(str(out), ShardSettings(), executor="local")


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    "case", [pytest.param(SMALL_READER, id="small"), pytest.param(TINY, id="tiny", marks=_SLOW)]
)
def test_a_trained_model_reads_held_out_words(case: _Case, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    cards = tmp_path / "cards"
    _build(case, cards)
    # The image, beginning and end, two words, and two spaces and a new line between them.
    size = case.config.image_tokens + 13
    padded = {"rows": 16, "micro_rows": 16, "tokens": size, "packing": False, "warmup": 5}
    both = {"learning_rate": case.rate, "shares": {"document_ocr": 1.0}, **padded}
    both |= {"schedule": "step"}
    packed = {"rows": 1, "micro_rows": 1, "tokens": 16 * size, "packing": True}
    one, two, three = case.steps
    recipe = write_recipe(
        tmp_path,
        cards,
        config=case.config,
        log_every=10,
        checkpoint_every=1000,
        hold_out=10,
        held_out=64,
        stages={
            "stage_1": {**both, "steps": one},
            "stage_2": {**both, **packed, "steps": two},
            "stage_3": {**both, "steps": three},
        },
    )
    try:
        finals = train(recipe)
    finally:
        torch.set_num_threads(before)

    stages = [read_summary(n, final.parent) for n, final in zip(STAGES, finals, strict=True)]
    for stage in stages:
        assert stage.samples > 50
        assert stage.after < stage.before - 0.1, stage
    tests = [stage.image_test for stage in stages]
    assert tests[0] is not None
    assert tests[2] is not None
    # What stage 1 trains cannot be enough: the language model knows no letter yet.
    assert tests[0]["value"] < 0.1
    assert tests[2]["items"] > 50
    assert tests[2]["value"] > max(MARGIN, ERRORS * tests[2]["error"]), tests[2]
