"""Pictures of untrusted documents, made fit to be printed.

In: a picture's bytes, raster or SVG, or an inline `<svg>`. Out: an `Asset` of the type that it
really is, or a `DocumentError` with the reason. An SVG has no scripts left, no references to
anywhere and a bounded number of shapes; it stays a picture of its own, so that its words never
become text of the page.
"""

from __future__ import annotations

import base64
import binascii
import copy
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from lxml import etree

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read import images
from dsvl_data.render.pages import Asset
from dsvl_data.render.parse import attribute, name_of, parse_xml

MAX_SHAPES = 20_000
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_DROPPED = frozenset(
    {"script", "foreignobject", "iframe", "audio", "video", "handler", "set", "animate",
     "animatemotion", "animatetransform", "filter", "metadata"}
)  # fmt: skip
# An HTML parser writes all names small; SVG's are not.
_CASED = {
    name.lower(): name
    for name in (
        "linearGradient", "radialGradient", "clipPath", "textPath", "viewBox", "gradientUnits",
        "gradientTransform", "preserveAspectRatio", "patternUnits", "patternTransform",
        "patternContentUnits", "markerWidth", "markerHeight", "markerUnits", "refX", "refY",
        "clipPathUnits", "maskUnits", "maskContentUnits", "spreadMethod", "textLength",
        "lengthAdjust", "startOffset", "pathLength",
    )
}  # fmt: skip
_OUTSIDE = re.compile(r"@import[^;]*;?|url\(\s*['\"]?(?!#)[^)]*\)|expression\(", re.IGNORECASE)
_NUMBER = re.compile(r"\s*([\d.]+(?:e[+-]?\d+)?)\s*(px|pt|mm|cm|in|em|pc)?\s*\Z", re.IGNORECASE)
_UNITS = {
    "px": 1.0,
    "pt": 4 / 3,
    "mm": 96 / 25.4,
    "cm": 96 / 2.54,
    "in": 96.0,
    "em": 16.0,
    "pc": 16.0,
}

#: Finds the bytes that a document names by a relative path; None when they are not there.
Resolve = Callable[[str], Asset | None]


def raster_asset(data: bytes) -> Asset:
    """Check a raster picture by its header; the type is what it is, not what it was called.

    Raises `DocumentError` (`BAD_IMAGE`, `IMAGE_BOMB`).
    """
    return Asset(data, f"image/{images.inspect(data).format}")


def data_asset(url: str) -> Asset | None:
    """The asset in a `data:` URL; None when it is malformed."""
    head, comma, body = url.partition(",")
    if not comma:
        return None
    media_type = head.removeprefix("data:").partition(";")[0].lower()
    try:
        raw = unquote_to_bytes(body)
        if head.lower().endswith(";base64"):
            raw = base64.b64decode(b"".join(raw.split()), validate=False)
    except (binascii.Error, ValueError):
        return None
    return Asset(raw, media_type)


def is_svg(asset: Asset) -> bool:
    """Whether an asset is an SVG, by its type or its first bytes."""
    head = asset.data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    return asset.media_type == "image/svg+xml" or (head.startswith(b"<") and b"<svg" in head)


def clean_svg(source: bytes | etree._Element, resolve: Resolve | None = None) -> bytes:
    """Return an SVG document that runs nothing and reaches nothing.

    Raster pictures in it are found by `resolve` and carried along. Raises `DocumentError`:
    `XML_ENTITIES`, `BAD_IMAGE` when it is no SVG, `IMAGE_BOMB` beyond `MAX_SHAPES` shapes,
    those drawn again by `use` counted.
    """
    try:
        root = parse_xml(source) if isinstance(source, bytes) else copy.deepcopy(source)
    except DocumentError as error:
        if error.reason is Reason.BAD_MARKUP:
            raise DocumentError(Reason.BAD_IMAGE, error.detail) from error
        raise
    if name_of(root) != "svg":
        raise DocumentError(Reason.BAD_IMAGE, f"an SVG whose root is {name_of(root)!r}")
    root.tail = None
    for element in list(root.iter()):
        if name_of(element) in _DROPPED and element.getparent() is not None:
            _remove(element)
    _check_shapes(root)
    spaces: dict[Any, str] = {None: _SVG, "xlink": _XLINK}
    clean = etree.Element(f"{{{_SVG}}}svg", nsmap=spaces)
    width, height = _size(root)
    _copy_svg(root, clean, resolve)
    clean.set("width", f"{width:g}")
    clean.set("height", f"{height:g}")
    if "viewBox" not in clean.attrib:
        clean.set("viewBox", f"0 0 {width:g} {height:g}")
    return etree.tostring(clean)


def _copy_svg(source: etree._Element, target: etree._Element, resolve: Resolve | None) -> None:
    for key, value in source.attrib.items():
        _copy_attribute(str(key), str(value), target)
    target.text = _OUTSIDE.sub("", source.text) if source.text else None
    for child in source:
        if not name_of(child) or name_of(child) in _DROPPED:
            continue
        local = str(child.tag).rpartition("}")[2].rpartition(":")[2]
        local = _CASED.get(local, local)
        made = etree.SubElement(target, f"{{{_SVG}}}{local}")
        _copy_svg(child, made, resolve)
        made.tail = child.tail
        if local.lower() == "image":
            _carry(attribute(child, "href"), made, resolve)


def _copy_attribute(key: str, value: str, target: etree._Element) -> None:
    local = key.rpartition("}")[2].rpartition(":")[2]
    if local.lower().startswith("on") or local in ("src", "base", "type"):
        return
    if local == "href":
        if value.strip().startswith("#"):
            target.set(f"{{{_XLINK}}}href", value.strip())
        return
    if ":" in key or "}" in key:
        return
    target.set(_CASED.get(local, local), _OUTSIDE.sub("", value))


def _carry(href: str, target: etree._Element, resolve: Resolve | None) -> None:
    found = data_asset(href) if href.startswith("data:") else (resolve(href) if resolve else None)
    if found is None:
        return
    asset = raster_asset(found.data)
    encoded = base64.b64encode(asset.data).decode()
    target.set(f"{{{_XLINK}}}href", f"data:{asset.media_type};base64,{encoded}")


def _check_shapes(root: etree._Element) -> None:
    """Count what is drawn: a `use` draws its target again, and that may use others."""
    ids = {element.get("id"): element for element in root.iter() if element.get("id")}
    known: dict[etree._Element, int] = {}

    def shapes(element: etree._Element, depth: int) -> int:
        if element in known:
            return known[element]
        if depth > 100:
            raise DocumentError(Reason.IMAGE_BOMB, "an SVG nested too deep")
        known[element] = MAX_SHAPES + 1  # for one that uses itself
        total = 1
        if name_of(element) == "use":
            target = ids.get(attribute(element, "href").strip().removeprefix("#"))
            total += shapes(target, depth + 1) if target is not None else 0
        for child in element:
            if name_of(child):
                total += shapes(child, depth + 1)
            if total > MAX_SHAPES:
                break
        known[element] = total
        return total

    if shapes(root, 0) > MAX_SHAPES:
        raise DocumentError(Reason.IMAGE_BOMB, f"an SVG of more than {MAX_SHAPES} shapes")


def _size(root: etree._Element) -> tuple[float, float]:
    """Width and height in CSS pixels, by the attributes or the view box."""
    box = [
        float(n)
        for n in re.findall(
            r"-?\d+(?:\.\d+)?", attribute(root, "viewBox") or attribute(root, "viewbox")
        )
    ]
    view = (box[2], box[3]) if len(box) == 4 and box[2] > 0 and box[3] > 0 else (300.0, 150.0)
    width, height = _length(root.get("width")), _length(root.get("height"))
    if width and height:
        return width, height
    if width:
        return width, width * view[1] / view[0]
    if height:
        return height * view[0] / view[1], height
    return view


def _length(text: str | None) -> float | None:
    match = _NUMBER.match(text or "")
    if not match:
        return None
    try:
        value = float(match[1]) * _UNITS[(match[2] or "px").lower()]
    except ValueError:
        return None
    return min(value, 20_000.0) or None


def _remove(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        element.tail = None
        parent.remove(element)
