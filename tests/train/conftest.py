"""A small built corpus, and the tiny model's processor."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dsvl_data.sample import Image, Origin, Provenance, Sample, Text
from dsvl_data.shards.build import ShardSettings, build_shards
from model.config import preset
from model.processor import Processor
from model.tokenizer import ByteTokenizer
from tests.shards.conftest import make_sample, picture, write_part
from train.corpus import Corpus, Counter
from train.encode import count_tokens


def text_sample(number: int) -> Sample:
    """Plain text; every seventh one is longer than a row."""
    random_ = random.Random(number)
    length = random_.randint(900, 2500) if number % 7 == 0 else random_.randint(5, 300)
    return Sample(
        key=f"{number:08x}",
        document=f"text:{number}",
        category="text",
        segments=(Text("".join(random_.choices("abcdefgh 文字", k=length))),),
        language="en",
        source=Origin("text", str(number), "CC0-1.0"),
        provenance=Provenance("text", "1", {}),
    )


def conversation(number: int) -> Sample:
    """Two questions about one picture, and their answers."""
    random_ = random.Random(number)
    image = picture(random_)
    return Sample(
        key=f"c{number:07x}",
        document=f"sft:{number}",
        category="sft_general",
        segments=(
            Image(image.data, image.format, image.width, image.height, role="user"),
            Text(f"What is this, {number}?", "user", trained=False),
            Text("A picture.", "assistant"),
            Text("And what else?", "user", trained=False),
            Text("Nothing " * random_.randint(1, 20), "assistant"),
        ),
        language="en",
        source=Origin("sft", str(number), "CC0-1.0"),
        provenance=Provenance("sft", "1", {}),
    )


@pytest.fixture(scope="session")
def processor() -> Processor:
    return Processor(preset("tiny"), ByteTokenizer())


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages with one picture, texts and conversations, in a few shards each."""
    out = tmp_path_factory.mktemp("corpus")
    for part in range(3):
        pages = [make_sample(100 * part + i) for i in range(40)]
        write_part(out, f"ebooks/part-{part:05d}.parquet", pages)
        texts = [text_sample(100 * part + i) for i in range(60)]
        write_part(out, f"text/part-{part:05d}.parquet", texts)
        talks = [conversation(100 * part + i) for i in range(12)]
        write_part(out, f"sft/part-{part:05d}.parquet", talks)
    build_shards(str(out), ShardSettings(target_mb=0.06, group_mb=0.2), executor="local")
    return out


@pytest.fixture
def corpus(built: Path, processor: Processor, tmp_path: Path) -> Corpus:
    counter = Counter("tiny bytes", lambda record: count_tokens(record, processor))
    return Corpus([str(built)], counter, tmp_path / "lengths")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order, and no test's threads in another's way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
