"""Pictures no larger than a page image can show.

In: an `Asset` of a chapter. Out: the same picture as it is to be printed: big ones made
smaller (they dominate the cost of a print), transparent ones on white, or a `DocumentError`
that says why it cannot be shown. Layout does not change: what is made smaller still fills
the content area.
"""

from __future__ import annotations

import io

from PIL import Image as Pillow

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.images import decode, inspect
from dsvl_data.render.pages import Asset
from dsvl_data.render.template import Template

SVG_TYPE = "image/svg+xml"
_MAX_SVG = 5_000_000


def fit_picture(asset: Asset, template: Template, *, longest_side: int) -> Asset:
    """Return the picture for a page image of `longest_side` pixels.

    Raises `DocumentError` (`BAD_IMAGE`, `IMAGE_BOMB`, `TOO_LARGE`).
    """
    if asset.media_type.startswith(SVG_TYPE):
        if len(asset.data) > _MAX_SVG:
            raise DocumentError(Reason.TOO_LARGE, f"an SVG of {len(asset.data)} bytes")
        return Asset(asset.data, SVG_TYPE)
    info = inspect(asset.data)
    picture = decode(asset.data)
    left, top, right, bottom = template.content
    scale = max(1.0, longest_side / max(template.width, template.height))
    limit = (round((right - left) * scale), round((bottom - top) * scale))
    fits = picture.width <= limit[0] * 1.25 and picture.height <= limit[1] * 1.25
    opaque = picture.mode in ("RGB", "L", "1", "P") and "transparency" not in picture.info
    if fits and opaque and info.format in ("png", "jpeg"):
        return Asset(asset.data, f"image/{info.format}")
    if not opaque:
        picture = _on_white(picture)
    elif picture.mode not in ("RGB", "L"):
        picture = picture.convert("RGB")
    if not fits:
        picture.thumbnail(limit, Pillow.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if info.format == "jpeg":
        picture.save(buffer, "JPEG", quality=92)
        return Asset(buffer.getvalue(), "image/jpeg")
    picture.save(buffer, "PNG", compress_level=1)
    return Asset(buffer.getvalue(), "image/png")


def _on_white(picture: Pillow.Image) -> Pillow.Image:
    layered = picture.convert("RGBA")
    ground = Pillow.new("RGBA", layered.size, "white")
    ground.alpha_composite(layered)
    return ground.convert("RGB")
