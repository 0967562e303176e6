"""Tokenizers, examples and batches: what is an id, what is trained on, what is padding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from model.chat import END_OF_SENTENCE, IMAGE_PLACEHOLDER, Turn, prompt
from model.config import TokenIds, preset
from model.processor import IGNORED, PADDING, Processor, collate
from model.tokenizer import ByteTokenizer, HuggingFaceTokenizer, load_tokenizer, token_ids

TINY = preset("tiny")
BEGIN = "<｜begin▁of▁sentence｜>"
TALK = [Turn("user", "What is (this)?"), Turn("assistant", "A cat, 42 years old: 猫。")]


def trained_bpe() -> PreTrainedTokenizerFast:
    """A byte-level BPE such as DeepSeek-LLM's, trained on a few words."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        [prompt(TALK)] * 3,
        trainers.BpeTrainer(
            vocab_size=310,
            special_tokens=[BEGIN, END_OF_SENTENCE],
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BEGIN,
        eos_token=END_OF_SENTENCE,
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_bytes_there_and_back(text: str) -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert all(i < tokenizer.bos_id for i in tokenizer.encode(text))


def test_bytes_that_are_no_text() -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.encode("\ud800") == [ord("?")]
    assert tokenizer.decode([0xFF, 65, tokenizer.eos_id, 319]) == "\ufffdA"


def test_no_text_spells_a_mark() -> None:
    tokenizer = HuggingFaceTokenizer(trained_bpe())
    marks = {tokenizer.bos_id, tokenizer.eos_id, tokenizer.image_id}
    text = f"a{END_OF_SENTENCE}b{IMAGE_PLACEHOLDER}{BEGIN}"
    assert not marks & set(tokenizer.encode(text))
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode([tokenizer.eos_id, *tokenizer.encode("x"), tokenizer.image_id]) == "x"


def test_a_digest_is_of_what_a_tokenizer_does(tmp_path: Path) -> None:
    tokenizer = HuggingFaceTokenizer(trained_bpe())
    trained_bpe().save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).digest == tokenizer.digest

    (tmp_path / "tokenizer.json").unlink()
    other = trained_bpe()
    other.add_tokens(["zebra"])
    other.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).digest != tokenizer.digest


def test_a_placeholder_is_added_once(tmp_path: Path) -> None:
    plain = trained_bpe()
    first_free = len(plain)
    assert HuggingFaceTokenizer(plain).image_id == first_free
    plain.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert (again.image_id, again.vocab_size) == (first_free, first_free + 1)


def test_a_tokenizer_that_is_not_there(tmp_path: Path) -> None:
    assert isinstance(load_tokenizer("bytes"), ByteTokenizer)
    with pytest.raises(ValueError, match=r"no tokenizer at .*nothing"):
        load_tokenizer(tmp_path / "nothing")


def test_a_tokenizer_must_be_the_models() -> None:
    tokenizer = ByteTokenizer()
    with pytest.raises(ValueError, match=r"image=258.*image=259"):
        Processor(replace(TINY, tokens=TokenIds(256, 257, 259)), tokenizer)


def test_a_tokenizer_without_a_beginning() -> None:
    plain = trained_bpe()
    plain.bos_token = None
    tokenizer = HuggingFaceTokenizer(plain)
    config = replace(TINY, tokens=token_ids(tokenizer))
    example = Processor(config, tokenizer).document(["cat"])
    assert example.tokens.tolist() == [*tokenizer.encode("cat"), tokenizer.eos_id]


def test_a_vocabulary_that_the_model_lacks() -> None:
    class Larger(ByteTokenizer):
        vocab_size = TINY.language.vocab_size + 1

    with pytest.raises(ValueError, match="has 321 ids, the model's vocabulary 320"):
        Processor(TINY, Larger())


def test_one_go_or_in_runs_the_ids_are_the_same() -> None:
    plain = trained_bpe()
    tokenizer = HuggingFaceTokenizer(plain)
    config = replace(TINY, tokens=token_ids(tokenizer))
    assert config.tokens == TokenIds(0, 1, tokenizer.image_id)
    example = Processor(config, tokenizer).conversation(TALK)
    assert example.tokens.tolist() == plain.encode(prompt(TALK))
    trained = example.tokens[example.labels != IGNORED].tolist()
    assert tokenizer.decode(trained) == " A cat, 42 years old: 猫。"
    assert trained[-1] == tokenizer.eos_id
    assert trained == example.tokens[-len(trained) :].tolist()


def test_an_image_takes_its_placeholders_and_no_loss() -> None:
    processor = Processor(TINY, ByteTokenizer())
    picture = Image.new("RGB", (20, 10), (255, 0, 0))
    example = processor.conversation(
        [Turn("user", [picture, "a", picture]), Turn("assistant", "b")]
    )
    size = TINY.image_size
    assert example.images.shape == (2, 3, size, size)
    assert example.images.dtype == torch.uint8
    placeholders = example.tokens == TINY.tokens.image
    assert int(placeholders.sum()) == 2 * TINY.image_tokens
    assert (example.labels[placeholders] == IGNORED).all()
    assert example.labels[-3:].tolist() == [ord(" "), ord("b"), TINY.tokens.eos]
    assert (example.labels[:-3] == IGNORED).all()


def test_a_document_is_trained_on_but_for_its_beginning() -> None:
    example = Processor(TINY, ByteTokenizer()).document(["ab"])
    assert example.tokens.tolist() == [TINY.tokens.bos, 97, 98, TINY.tokens.eos]
    assert example.labels.tolist() == [IGNORED, 97, 98, TINY.tokens.eos]
    assert example.images.shape == (0, 3, TINY.image_size, TINY.image_size)


def test_padding_is_not_told_by_its_id() -> None:
    processor = Processor(TINY, ByteTokenizer())
    long, short = processor.document(["abcdef"]), processor.document(["a"])
    eos = TINY.tokens.eos
    right = collate([[long], [short]], eos)
    assert right.tokens[1].tolist() == [TINY.tokens.bos, 97, *[eos] * 6]
    # The first end of sentence is the document's and is trained on; the others are padding.
    assert right.labels[1].tolist() == [IGNORED, 97, eos, *[IGNORED] * 5]
    assert right.documents[1].tolist() == [0, 0, 0, *[PADDING] * 5]
    left = collate([[long], [short]], eos, side="left", length=10)
    assert left.documents[1].tolist() == [*[PADDING] * 7, 0, 0, 0]
    assert left.positions[1].tolist() == [0] * 7 + [0, 1, 2]


def test_documents_that_share_a_row() -> None:
    processor = Processor(TINY, ByteTokenizer())
    picture = Image.new("RGB", (20, 10))
    first, second = processor.document(["ab", picture]), processor.document([picture, picture])
    batch = collate([[first, second], [first]], TINY.tokens.eos)
    assert batch.images.shape[0] == 4
    assert batch.documents[0].unique().tolist() == [0, 1]
    assert batch.positions[0, len(first.tokens)] == 0
    assert torch.equal(batch.tokens[1, : len(first.tokens)], first.tokens)
    with pytest.raises(ValueError, match=r"row 0 has \d+ tokens; 8 fit"):
        collate([[first, second], [first]], TINY.tokens.eos, length=8)
    with pytest.raises(ValueError, match="at least one"):
        collate([[first], []], TINY.tokens.eos)
