"""Tokenizers: from text to token ids and back.

In: text from anywhere. Out: ids that are text and nothing else: the marks of the format (begin and
end of sentence, image) are ids of their own, which no text can spell.

`load_tokenizer` takes any Hugging Face tokenizer; `ByteTokenizer` is the tiny model's. Each saves
itself beside a model's weights, where `load_tokenizer` finds it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from model.chat import IMAGE_PLACEHOLDER
from model.config import TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: Says in a folder that its model reads bytes; transformers has no such tokenizer to name.
BYTES_FILE = "byte_tokenizer.json"


class Tokenizer(Protocol):
    """What the processor asks of a tokenizer. `bos_id` is None where a sequence has no beginning.

    `vocab_size` counts every id, so that all ids are below it. `digest` changes whenever the ids
    of a text may, whatever the tokenizer is called.
    """

    @property
    def digest(self) -> str: ...

    @property
    def bos_id(self) -> int | None: ...
    @property
    def eos_id(self) -> int: ...
    @property
    def image_id(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: Iterable[int]) -> str: ...
    def save(self, folder: Path) -> None: ...


class ByteTokenizer:
    """One id a byte of UTF-8, then three marks: nothing to train, nothing to download."""

    bos_id = 256
    eos_id = 257
    image_id = 258
    vocab_size = 259
    digest = "bytes"

    def encode(self, text: str) -> list[int]:
        """The bytes of a text; a lone surrogate, which has none, is a question mark."""
        return list(text.encode("utf-8", errors="replace"))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the bytes among some ids; bytes that are no UTF-8 are replaced."""
        return bytes(i for i in ids if 0 <= i < 256).decode("utf-8", errors="replace")

    def save(self, folder: Path) -> None:
        """Mark a folder as one whose model reads bytes."""
        facts = {"bos_id": self.bos_id, "eos_id": self.eos_id, "image_id": self.image_id}
        (folder / BYTES_FILE).write_text(json.dumps(facts) + "\n", encoding="utf-8")


class HuggingFaceTokenizer:
    """A tokenizer of transformers, with an image placeholder of its own (added where it lacks one).

    DeepSeek-LLM's gives the ids that the published models have: 100000, 100001 and, for the image,
    100015. Raises `ValueError` for a tokenizer without an end-of-sentence token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, image: str = IMAGE_PLACEHOLDER) -> None:
        if tokenizer.eos_token_id is None:
            raise ValueError(
                f"{tokenizer.name_or_path or 'the tokenizer'} has no end-of-sentence token: "
                "set its eos_token"
            )
        if image not in tokenizer.get_vocab():
            tokenizer.add_tokens([image], special_tokens=True)
        self._tokenizer = tokenizer
        self.bos_id: int | None = tokenizer.bos_token_id
        self.eos_id: int = tokenizer.eos_token_id
        self.image_id: int = tokenizer.get_vocab()[image]
        self.vocab_size: int = max(tokenizer.get_vocab().values()) + 1

    @property
    def digest(self) -> str:
        """A hash of its vocabulary and, where it is of the tokenizers library, of all its rules."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        vocabulary = sorted(self._tokenizer.get_vocab().items(), key=lambda item: item[1])
        facts = [backend.to_str() if backend is not None else "", vocabulary, self.bos_id]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def encode(self, text: str) -> list[int]:
        """A text's ids, without any that begins or ends it; a mark's name in it is letters."""
        ids: list[int] = self._tokenizer.encode(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )
        return ids

    def decode(self, ids: Sequence[int] | Iterable[int]) -> str:
        """The text of some ids, without the marks among them."""
        text = self._tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        assert isinstance(text, str)
        return text

    def save(self, folder: Path) -> None:
        """Write the tokenizer, its image placeholder too, as transformers loads it."""
        self._tokenizer.save_pretrained(str(folder))


def load_tokenizer(source: str | Path) -> Tokenizer:
    """The tokenizer of that name: `bytes`, or a folder or a Hub name that transformers loads.

    A folder where `ByteTokenizer` was saved gives that one.

    Raises `ValueError` with the source's name where transformers cannot load it.
    """
    if str(source) == "bytes" or (Path(source) / BYTES_FILE).is_file():
        return ByteTokenizer()
    # Seconds to import, which the bytes do not need.
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(source))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no tokenizer at {source}: expected `bytes`, or a folder or a Hub name with a "
            f"tokenizer.json; {error}"
        ) from error
    return HuggingFaceTokenizer(tokenizer)


def token_ids(tokenizer: Tokenizer) -> TokenIds:
    """The ids that a model made for this tokenizer has in its configuration."""
    bos = tokenizer.eos_id if tokenizer.bos_id is None else tokenizer.bos_id
    return TokenIds(bos, tokenizer.eos_id, tokenizer.image_id)
