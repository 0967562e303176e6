"""What kinds an image may be of, by three simple measures: bytes in; a group of kinds out.

Entropy of the grey levels parts what a camera or a painter made (above 4.5 bits) from what is
drawn; of the drawn, what has next to no colour (share of saturated pixels below 1 %) may be a page
or line drawing, the rest a chart, map or screen. That is coarse: a group holds several kinds, and
a prompt may not suit the image. Who knows better gives the kinds (`read_kinds`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dsvl_data.curate.image_hash import reduced
from dsvl_data.curate.image_scores import score
from dsvl_data.outcome import UserError
from taxonomy.tree_file import IMAGE_KINDS

PHOTO = frozenset({"photo", "artwork"})
PAGE = frozenset({"document", "handwriting", "formula", "table", "diagram", "puzzle"})
DRAWN = frozenset({"chart", "diagram", "map", "interface", "table"})

_ENTROPY = 4.5
_SATURATED = 60  # of 255
_COLOURFUL = 0.01


def kinds_of(data: bytes) -> frozenset[str]:
    """Return the kinds that an encoded image may be of.

    Raises `DocumentError`: `BAD_IMAGE`, `IMAGE_BOMB`.
    """
    picture = reduced(data).convert("RGB")
    if score(picture)["entropy"] >= _ENTROPY:
        return PHOTO
    saturation = np.asarray(picture.convert("HSV"))[..., 1]
    return DRAWN if float((saturation > _SATURATED).mean()) >= _COLOURFUL else PAGE


def read_kinds(path: Path) -> Mapping[str, frozenset[str]]:
    """Read kinds by image from JSON lines of `{"image": name, "kinds": [kind, ..]}`.

    Raises `UserError` naming the line that is wrong.
    """
    found = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            image, kinds = line["image"], frozenset(line["kinds"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{path}:{number}: expected {{"image": name, "kinds": [..]}}: {error}'
            ) from None
        unknown = sorted(map(str, kinds - IMAGE_KINDS.keys()))
        if unknown or not kinds or not isinstance(image, str):
            known = ", ".join(IMAGE_KINDS)
            raise UserError(f"{path}:{number}: no kinds: {unknown}; there are {known}")
        found[image] = kinds
    return found
