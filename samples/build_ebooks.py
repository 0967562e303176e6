"""In: `ebooks/src/BOOK/` (`book.toml`, `NN-name.html`, `images/`). Out: `ebooks/BOOK.epub`.

A chapter is the well-formed inside of a `body`. Two short forms save typing: `<note>..</note>`
becomes a footnote with its reference, `<m>..</m>` and `<M>..</M>` become inline and displayed
`math`. The same sources give the same bytes: dates are fixed, members sorted. Standard library
only:

    python samples/build_ebooks.py
"""

from __future__ import annotations

import re
import tomllib
import xml.etree.ElementTree as ET
import zipfile
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "ebooks"
MATHML = 'xmlns="http://www.w3.org/1998/Math/MathML"'
TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
STYLE = """body { margin: 1em; line-height: 1.5; }
table { border-collapse: collapse; margin: 1em auto; }
th, td { border: 1px solid #888; padding: 0.2em 0.6em; }
figure { margin: 1em 0; text-align: center; }
img, svg { max-width: 100%; }
.poem { margin: 1em 2em; }
aside { font-size: 85%; }
"""
VERTICAL = """html { writing-mode: vertical-rl; -webkit-writing-mode: vertical-rl;
  -epub-writing-mode: vertical-rl; }
.tcy { text-combine-upright: all; -webkit-text-combine: horizontal; }
"""


def main() -> None:
    """Build every book under `ebooks/src`."""
    for folder in sorted(p.parent for p in (HERE / "src").glob("*/book.toml")):
        target = HERE / f"{folder.name}.epub"
        write(target, build(folder))
        print(target.name, target.stat().st_size)


def build(folder: Path) -> dict[str, bytes]:
    """All members of one book but `mimetype`, by name."""
    about = tomllib.loads((folder / "book.toml").read_text("utf-8"))
    chapters = sorted(folder.glob("*.html"))
    pages: dict[str, tuple[str, str]] = {}
    for source in chapters:
        body = source.read_text("utf-8")
        heading = re.search(r"<h1>(.*?)</h1>", body)
        if heading is None:
            raise SystemExit(f"{source}: no h1")
        title = re.sub(r"<[^>]+>", "", heading[1])
        pages[f"{source.stem}.xhtml"] = (title, page(about, title, body))
    images = {f"images/{p.name}": p.read_bytes() for p in sorted(folder.glob("images/*"))}
    texts = {name: text for name, (_, text) in pages.items()}
    texts["toc.ncx"] = ncx(about, {name: title for name, (title, _) in pages.items()})
    if about["version"] == 3:
        texts["nav.xhtml"] = nav(about, {name: title for name, (title, _) in pages.items()})
    texts["content.opf"] = opf(about, list(pages), list(images), texts)
    for name, text in texts.items():
        try:
            ET.fromstring(text)
        except ET.ParseError as error:
            raise SystemExit(f"{folder.name}/{name}: {error}") from error
    texts["style.css"] = STYLE + (VERTICAL if about.get("vertical") else "")
    members = {f"OEBPS/{name}": text.encode() for name, text in texts.items()}
    members |= {f"OEBPS/{name}": data for name, data in images.items()}
    members["META-INF/container.xml"] = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        b'<rootfiles><rootfile full-path="OEBPS/content.opf" '
        b'media-type="application/oebps-package+xml"/></rootfiles></container>\n'
    )
    return members


def page(about: dict[str, Any], title: str, body: str) -> str:
    """A chapter as XHTML: notes numbered and moved to its end, math in its namespace."""
    notes: list[str] = []

    def note(match: re.Match[str]) -> str:
        notes.append(match[1])
        number = len(notes)
        return f'<a epub:type="noteref" id="ref{number}" href="#note{number}">{number}</a>'

    body = re.sub(r"<note>(.*?)</note>", note, body, flags=re.S)
    for number, text in enumerate(notes, 1):
        body += (
            f'<aside epub:type="footnote" id="note{number}"><p>'
            f'<a href="#ref{number}">{number}</a> {text}</p></aside>\n'
        )
    body = re.sub(r"<m>(.*?)</m>", rf"<math {MATHML}>\1</math>", body, flags=re.S)
    body = re.sub(
        r"<M>(.*?)</M>", rf'<p><math {MATHML} display="block">\1</math></p>', body, flags=re.S
    )
    head = (
        f'<title>{escape(title)}</title><link rel="stylesheet" type="text/css" href="style.css"/>'
    )
    language = about["language"]
    if about["version"] == 3:
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n'
            '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" '
            f'xml:lang="{language}" lang="{language}">\n'
            f'<head><meta charset="UTF-8"/>{head}</head>\n<body>\n{body}</body>\n</html>\n'
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" '
        '"http://www.w3.org/TR/xhtml11/DTD/xhtml11.dtd">\n'
        f'<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="{language}">\n'
        f"<head>{head}</head>\n<body>\n{body}</body>\n</html>\n"
    )


def nav(about: dict[str, Any], titles: dict[str, str]) -> str:
    """The table of contents of EPUB 3."""
    rows = "".join(f'<li><a href="{n}">{escape(t)}</a></li>\n' for n, t in titles.items())
    body = f'<nav epub:type="toc"><h1>{about["contents"]}</h1>\n<ol>\n{rows}</ol></nav>\n'
    return page(about, about["contents"], body)


def ncx(about: dict[str, Any], titles: dict[str, str]) -> str:
    """The table of contents of EPUB 2, which readers of EPUB 3 still look for."""
    points = "".join(
        f'<navPoint id="p{i}" playOrder="{i}"><navLabel><text>{escape(t)}</text></navLabel>'
        f'<content src="{n}"/></navPoint>\n'
        for i, (n, t) in enumerate(titles.items(), 1)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1">\n'
        f'<head><meta name="dtb:uid" content="{about["identifier"]}"/>'
        '<meta name="dtb:depth" content="1"/><meta name="dtb:totalPageCount" content="0"/>'
        '<meta name="dtb:maxPageNumber" content="0"/></head>\n'
        f"<docTitle><text>{escape(about['title'])}</text></docTitle>\n"
        f"<navMap>\n{points}</navMap>\n</ncx>\n"
    )


def opf(about: dict[str, Any], pages: list[str], images: list[str], texts: dict[str, str]) -> str:
    """The package document: metadata, manifest, spine."""
    three = about["version"] == 3
    items = ['<item id="css" href="style.css" media-type="text/css"/>']
    items.append('<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>')
    if three:
        items.append(
            '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        )
    for number, name in enumerate(pages, 1):
        kinds = [k for k, mark in (("mathml", "<math "), ("svg", "<svg ")) if mark in texts[name]]
        extra = f' properties="{" ".join(kinds)}"' if kinds and three else ""
        items.append(
            f'<item id="c{number:02d}" href="{name}" media-type="application/xhtml+xml"{extra}/>'
        )
    for number, name in enumerate(images, 1):
        kind = TYPES[Path(name).suffix]
        items.append(f'<item id="i{number:02d}" href="{name}" media-type="{kind}"/>')
    spine = "".join(f'<itemref idref="c{n:02d}"/>' for n in range(1, len(pages) + 1))
    direction = ' page-progression-direction="rtl"' if about.get("vertical") and three else ""
    modified = '<meta property="dcterms:modified">2026-01-01T00:00:00Z</meta>\n' if three else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<package xmlns="http://www.idpf.org/2007/opf" version="{about["version"]}.0" '
        'unique-identifier="uid">\n'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">\n'
        f'<dc:identifier id="uid">{about["identifier"]}</dc:identifier>\n'
        f"<dc:title>{escape(about['title'])}</dc:title>\n"
        f"<dc:creator>{escape(about['creator'])}</dc:creator>\n"
        f"<dc:description>{escape(about['subtitle'])}</dc:description>\n"
        f"<dc:language>{about['language']}</dc:language>\n"
        f"<dc:rights>{about['rights']}</dc:rights>\n{modified}</metadata>\n"
        "<manifest>\n" + "\n".join(items) + "\n</manifest>\n"
        f'<spine toc="ncx"{direction}>{spine}</spine>\n</package>\n'
    )


def write(target: Path, members: dict[str, bytes]) -> None:
    """Zip the members, `mimetype` first and stored, all with one date."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in [("mimetype", b"application/epub+zip"), *sorted(members.items())]:
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o644 << 16
            packed = name != "mimetype" and not name.endswith(".png")
            info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            archive.writestr(info, data)


if __name__ == "__main__":
    main()
