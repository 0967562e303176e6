"""Published screenshots with their code: WebSight, Design2Code and pix2code.

In: a row with both, or a file of code beside its screenshot. Out: the image, then the code as
published, nothing cleaned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from dsvl_data.read.published.conversations import first_picture
from dsvl_data.read.published.fields import image_of, required_text, text_of
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Reader, Record, Rows
from dsvl_data.sample import Text


def _pictures(record: Record) -> Sequence[str | bytes]:
    if name := text_of(record.get("name")):
        return (str(PurePosixPath(name).with_suffix(".png")),)
    image = image_of(record.get("image"))
    return () if image is None else (image,)


def _convert(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    code = required_text(record, "text")
    idea = text_of(record.get("llm_generated_idea"))
    extras = {"idea": idea} if idea else {}
    yield Item([first_picture(pictures), Text(code)], "en", extras=extras)


_READERS = (
    Reader(
        name="websight",
        category="web_code",
        licence="CC-BY-4.0",
        # v0.1 (`text` with its own CSS) and v0.2 (Tailwind; also `llm_generated_idea`).
        layout="https://huggingface.co/datasets/HuggingFaceM4/WebSight",
        rows=Rows(("**/train-*.parquet",)),
        convert=_convert,
        pictures=_pictures,
        images="inside",
    ),
    Reader(
        name="design2code",
        category="web_code",
        licence="ODC-By-1.0",
        # A folder of `1.html` beside `1.png` (and `rick.jpg`, which the pages show in place of
        # their images), or the Parquet of SALT-NLP/Design2Code-hf.
        layout="https://github.com/NoviScl/Design2Code#testset",
        rows=Rows(("**/*.html", "**/*.parquet")),
        convert=_convert,
        pictures=_pictures,
        images="inside",
    ),
    Reader(
        name="pix2code",
        category="web_code",
        licence="Apache-2.0",
        # `datasets/{web,android,ios}/all_data/ID.gui`, in pix2code's own language, beside `ID.png`.
        layout="https://github.com/tonybeltramelli/pix2code#usage",
        rows=Rows(("**/*.gui",)),
        convert=_convert,
        pictures=_pictures,
        images="inside",
    ),
)

READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
