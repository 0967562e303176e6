"""Plain text: documents of any length become pieces of a sequence's length.

In: text files, HTML pages, rows of JSON lines and Parquet, the texts of a web crawl (WARC files
of the WET kind). Out: one `text` sample a piece, cut where paragraphs end, with the language of
its document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from charset_normalizer import from_bytes
from pydantic import Field

from dsvl_data.language import Language, identify_all
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import (
    Document,
    DocumentRef,
    Dropped,
    InputSpec,
    Limits,
    PathOption,
    Pipeline,
    Settings,
)
from dsvl_data.read.archives import approach, list_documents, read_bytes
from dsvl_data.read.blocks import TextBlock
from dsvl_data.read.html_blocks import read_blocks
from dsvl_data.read.html_formulas import uses_tex
from dsvl_data.read.listing import list_files
from dsvl_data.read.main_content import main_content
from dsvl_data.read.warc import is_wet, list_records, parse_record
from dsvl_data.render.parse import check_characters, parse_markup, text_of
from dsvl_data.sample import Sample, Text
from dsvl_data.shards.tokens import token_counter
from pipelines.text_chunks import cut

VERSION = "2"
_PLAIN = (".txt", ".text", ".md")
_HTML = (".html", ".htm", ".xhtml")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ud800-\udfff]")
_GAPS = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}\n?")
#: Byte order marks and the encoding that each tells.
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
#: Bytes by which an unknown encoding is told.
_GUESSED_BY = 64 << 10


class TextOptions(Settings):
    """What a recipe can set for plain text."""

    column: str = Field(default="text", description="field of JSON lines and Parquet with the text")
    sequence_tokens: int = Field(
        default=4096, ge=16, description="tokens that a sample has at most (the paper's sequence)"
    )
    min_tokens: int = Field(
        default=16, ge=1, description="tokens below which a piece is filtered: ends, stubs"
    )
    tokenizer: Annotated[str | None, PathOption(or_name=True)] = Field(
        default=None, description="tokenizer.json, its folder or a hub name; empty: an estimate"
    )


def list_texts(inputs: Sequence[InputSpec], options: TextOptions) -> Iterator[DocumentRef]:
    """List text files, HTML pages, rows with the column, and the texts of crawls."""
    yield from list_documents(inputs, suffixes=(*_PLAIN, *_HTML), column=options.column)
    for spec in inputs:
        for file in list_files(spec):
            if is_wet(file.relative) and not file.link:
                yield from list_records(spec, file)


class TextConverter:
    """Cuts texts into samples."""

    def __init__(self, options: TextOptions) -> None:
        self._options = options
        self._counter = token_counter(options.tokenizer)

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample | Dropped]:
        """Yield the pieces of each document, in their order."""
        texts = [_text(document) for document in documents]
        languages = identify_all(texts)
        for document, text, language in zip(documents, texts, languages, strict=True):
            yield from self._pieces(document, text, language)

    def close(self) -> None:
        """Nothing is held."""

    def _pieces(
        self, document: Document, text: str, language: Language
    ) -> Iterator[Sample | Dropped]:
        pieces = cut(text, self._options.sequence_tokens, self._counter)
        counts = self._counter.count(pieces)
        for position, (piece, tokens) in enumerate(zip(pieces, counts, strict=True)):
            if tokens < self._options.min_tokens:
                yield document.dropped(
                    Reason.NO_TEXT, item=f"piece {position}", detail=f"{tokens} tokens"
                )
                continue
            yield document.sample(
                position,
                category="text",
                segments=[Text(piece)],
                language=language.code,
                details={"piece": f"{position + 1} of {len(pieces)}", **_address(document)},
                scores={
                    "language_confidence": language.confidence,
                    "tokens": float(tokens),
                    "characters": float(len(piece)),
                },
            )


def _text(document: Document) -> str:
    """The document's text, cleaned; `DocumentError` when there is none."""
    ref = document.ref
    if "wet" in ref.meta:
        text = decode_text(parse_record(document.data).text)
    elif ref.uri.lower().removesuffix(".gz").endswith(_HTML):
        text = _page_text(document.data)
    else:
        text = decode_text(document.data)
    text = _GAPS.sub("\n\n", _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
    if not text.strip():
        raise DocumentError(Reason.EMPTY_DOCUMENT, "no text")
    return text.strip()


def _page_text(markup: bytes) -> str:
    """What a web page says, as Markdown: its main content, without navigation and pictures."""

    def left_out(_: object) -> bytes:
        raise DocumentError(Reason.NO_TEXT, "a picture, where text alone is wanted")

    main = main_content(parse_markup(markup))
    blocks = read_blocks(main.root, load=left_out, draw=left_out, tex=uses_tex(markup))
    texts = [block.markdown for block in blocks if isinstance(block, TextBlock)]
    if main.title is not None:
        texts.insert(0, "# " + " ".join(text_of(main.title).split()))
    return "\n\n".join(texts)


def _address(document: Document) -> dict[str, str]:
    address = document.ref.meta.get("wet")
    return {"address": address} if address else {}


def decode_text(data: bytes) -> str:
    """Decode a text: by its byte order mark, as UTF-8, else in the encoding that suits it best.

    Raises `DocumentError` (`BAD_ENCODING`) for bytes that are no text.
    """
    marked = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    try:
        text = data.decode(marked or "utf-8")
    except UnicodeDecodeError as error:
        guess = None if b"\0" in data else from_bytes(data[:_GUESSED_BY]).best()
        if guess is None:
            raise DocumentError(Reason.BAD_ENCODING, f"no text: {error}") from error
        text = data.decode(guess.encoding, "replace")
    check_characters(text)
    return text


PIPELINE = Pipeline(
    name="text",
    version=VERSION,
    options=TextOptions,
    source=list_texts,
    reader=read_bytes,
    approach=approach,
    converter=TextConverter,
    partition_size=1024,
    batch_size=32,
    limits=Limits(seconds=60, document_mb=200),
)
