"""Samples of a WebDataset that somebody else wrote, read as ours.

In: a sample's members (`jpg`, `txt`, `json`, ...) and a `Form`, which says where its text stands.
Out: the record that a `KEY.json` of ours would hold, and the images that it names. The form is
kept in the shard's index, so whoever opens a shard by its index reads it right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import Field

from dsvl_data.pipeline import Settings
from dsvl_data.sample import ImageFormat

_Data = TypeVar("_Data", bytes, memoryview)

#: Endings of members that are images, and the ending that a sample of ours gives the format.
_ENDINGS: dict[str, ImageFormat] = {
    "jpg": "jpg",
    "jpeg": "jpg",
    "png": "png",
    "webp": "webp",
    "gif": "gif",
}


class Form(Settings):
    """What a sample's members are: images by their endings, in the tar's order, and one text."""

    text: str = Field(
        default="txt",
        description="member with the text, or MEMBER:FIELD.FIELD for a string in a JSON member",
    )
    text_first: bool = Field(default=False, description="the text stands before the images")

    def read(
        self, key: str, members: Mapping[str, _Data]
    ) -> tuple[dict[str, Any], dict[str, _Data]]:
        """The record of a sample (`key`, `segments`) and its images, by member.

        Raises `ValueError` for a sample with neither text nor image, or whose text is none.
        """
        images = {name: data for name, data in members.items() if is_image(name)}
        text = self._text(members)
        segments: list[dict[str, Any]] = [{"type": "image", "member": name} for name in images]
        if text:
            place = 0 if self.text_first else len(segments)
            segments.insert(place, {"type": "text", "text": text})
        if not segments:
            raise ValueError("it has no image and no text")
        return {"key": key, "segments": segments}, images

    def _text(self, members: Mapping[str, Any]) -> str:
        member, _, path = self.text.partition(":")
        if member not in members:
            return ""
        if not path:
            return bytes(members[member]).decode()
        value = orjson.loads(members[member])
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{self.text} is no string")
        return value or ""


def is_image(member: str) -> bool:
    """Whether a member's name ends as an image's does."""
    return member.rpartition(".")[2].lower() in _ENDINGS


def image_format(member: str) -> ImageFormat:
    """The format that an image's name tells."""
    return _ENDINGS[member.rpartition(".")[2].lower()]
