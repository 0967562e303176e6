"""Hashes of images: copies are found; pages of other texts, and blank ones, are no copies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import ExifTags, ImageDraw
from PIL import Image as Pillow

from dsvl_data.curate.image_hash import (
    TRAITS,
    Fingerprint,
    distance,
    fingerprint,
    perceptual_hash,
    reduced,
)
from dsvl_data.outcome import DocumentError, Reason
from tests.curate.pictures import copies, encode, page, scene


def known(data: bytes) -> Fingerprint:
    found = fingerprint(reduced(data))
    assert found is not None
    return found


@pytest.mark.parametrize("make", [scene, page])
def test_copies_are_found_and_others_are_not(make: object) -> None:
    originals = [known(encode(make(seed))) for seed in range(8)]  # type: ignore[operator]
    for seed, original in enumerate(originals):
        for name, copy in copies(make(seed)).items():  # type: ignore[operator]
            assert original.resembles(known(copy.data)), name
    for one, other in itertools.combinations(originals, 2):
        assert not one.resembles(other, bits=64)


def test_flags_of_one_layout_are_told_apart_by_colour() -> None:
    def flag(*colours: str) -> bytes:
        picture = Pillow.new("RGB", (300, 200))
        for position, colour in enumerate(colours):
            ImageDraw.Draw(picture).rectangle((100 * position, 0, 100 * position + 99, 200), colour)
        return encode(picture)

    france, italy = (
        known(flag("#00209f", "white", "#f02030")),
        known(flag("#006000", "white", "#f02030")),
    )
    assert distance(france.hash, italy.hash) <= 4
    assert not france.resembles(italy)


def test_flat_images_have_no_hash() -> None:
    for colour in ("white", "black", "#7f3010"):
        assert perceptual_hash(encode(Pillow.new("RGB", (200, 300), colour))) is None
    assert perceptual_hash(encode(Pillow.new("RGB", (1, 1)))) is None


def test_turned_by_exif_and_16_bits() -> None:
    picture = scene(3)
    exif = Pillow.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = picture.transpose(Pillow.Transpose.ROTATE_90)
    assert known(encode(picture)).resembles(known(encode(turned, "JPEG", quality=90, exif=exif)))
    grey = picture.convert("L")
    deep = Pillow.fromarray(np.asarray(grey).astype("uint16") * 257)
    assert known(encode(grey)).resembles(known(encode(deep)))


def test_hash_and_traits_fit_their_columns() -> None:
    found = known(encode(scene(1)))
    assert 0 <= found.hash < 1 << 64
    assert len(found.traits) == TRAITS
    assert perceptual_hash(encode(scene(1))) == found.hash


def test_what_is_no_image_is_told() -> None:
    whole = encode(scene(1))
    for broken in (b"", b"no image", whole[: len(whole) // 2]):
        with pytest.raises(DocumentError) as caught:
            perceptual_hash(broken)
        assert caught.value.reason is Reason.BAD_IMAGE
    bomb = encode(Pillow.new("1", (20_000, 20_000)))
    with pytest.raises(DocumentError) as caught:
        perceptual_hash(bomb)
    assert caught.value.reason is Reason.IMAGE_BOMB
