"""Documents of every kind become interleaved samples; what is broken or hostile says why not."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageDraw
from pydantic import ValidationError

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import Document, Dropped, InputSpec
from dsvl_data.sample import Image, Sample, Text
from dsvl_data.shards.tokens import Estimate
from pipelines.interleaved import PIPELINE, InterleavedConverter, InterleavedOptions
from tests.epubs import make_epub, make_zip
from tests.hostile_inputs import giant_png
from tests.read.test_zim import write_zim

PROSE = "<p>" + "The tide came in twice a day and took the measure of the wall. " * 5 + "</p>"
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{0}">'
    '<rect width="{0}" height="{0}" fill="red"/></svg>'
)


def png(seed: int = 0, size: tuple[int, int] = (120, 120), kind: str = "PNG") -> bytes:
    picture = Pillow.new("RGB", size, (10 * seed % 256, 80, 160))
    ImageDraw.Draw(picture).line([(0, seed), size], "white", 3)
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def run(
    path: Path, **options: object
) -> tuple[dict[str, list[Sample]], list[Dropped], dict[str, DocumentError]]:
    """Samples by document, what was dropped, and the documents that failed."""
    chosen = InterleavedOptions.model_validate(options)
    converter = InterleavedConverter(chosen)
    samples: dict[str, list[Sample]] = {}
    dropped: list[Dropped] = []
    failed: dict[str, DocumentError] = {}
    for ref in PIPELINE.source([InputSpec(path=str(path), dataset="d")], chosen):
        document = Document(ref, lambda ref=ref: PIPELINE.reader(ref), "interleaved", "1")
        try:
            for made in converter([document]):
                if isinstance(made, Sample):
                    samples.setdefault(ref.uri, []).append(made)
                else:
                    dropped.append(made)
        except DocumentError as error:
            failed[ref.uri] = error
    return samples, dropped, failed


def shape(sample: Sample) -> list[str]:
    return ["image" if isinstance(each, Image) else "text" for each in sample.segments]


def test_a_page_becomes_text_and_pictures_in_order_with_their_bytes(tmp_path: Path) -> None:
    first, second = png(1), png(2, kind="JPEG")
    write(tmp_path, {
        "a/page.html": f"<nav>gone</nav><h1>Tides</h1>{PROSE}<figure><img src='../i/1.png'>"
        f"<figcaption>One.</figcaption></figure>{PROSE}<img src='two%20b.jpg'>",
        "i/1.png": first,
        "a/two b.jpg": second,
    })  # fmt: skip
    samples, dropped, failed = run(tmp_path)
    (sample,) = samples["a/page.html"]
    assert shape(sample) == ["text", "image", "text", "image"]
    assert [image.data for image in sample.images] == [first, second]
    assert sample.category == "interleaved"
    assert sample.language == "en"
    last = sample.segments[2]
    assert isinstance(last, Text)
    assert last.text.startswith("One.\n\nThe tide")
    assert "gone" not in sample.text
    assert not dropped
    assert not failed


def test_bytes_that_are_no_text_are_no_page(tmp_path: Path) -> None:
    rubbish = bytes(range(256)) * 50
    write(tmp_path, {
        "a.html": rubbish, "b.md": rubbish, "c.html": b"<p>" + rubbish,
        "sound.html": f"<p>one\0{PROSE}",
    })  # fmt: skip
    samples, _, failed = run(tmp_path)
    assert list(samples) == ["sound.html"]
    assert {uri: error.reason for uri, error in failed.items()} == dict.fromkeys(
        ("a.html", "b.md", "c.html"), Reason.BAD_ENCODING
    )


@pytest.mark.parametrize("kind", ["folder", "tar", "zip", "zim", "epub", "markdown"])
def test_every_kind_of_document_finds_its_own_pictures(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "oh!no"  # the mark of a member, but here it is of no archive
    folder.mkdir()
    picture = png(3)
    page = f"<html><body><h1>T</h1>{PROSE}<img src='img/p.png'></body></html>"
    if kind == "folder":
        write(folder, {"x.html": page, "img/p.png": picture})
    elif kind == "markdown":
        text = "# T\n\n" + "The tide came in twice a day. " * 9 + "\n\n![](img/p.png)\n"
        write(folder, {"x.md": text, "img/p.png": picture})
    elif kind == "tar":
        with tarfile.open(folder / "x.tar", "w") as archive:
            for name, data in (("s/x.html", page.encode()), ("s/img/p.png", picture)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    elif kind == "zip":
        (folder / "x.zip").write_bytes(make_zip({"s/x.html": page, "s/img/p.png": picture}))
    elif kind == "zim":
        write_zim(folder / "x.zim", [("x", "text/html", page), ("img/p.png", "image/png", picture)])
    else:
        (folder / "x.epub").write_bytes(
            make_epub({"c.xhtml": f"<h1>T</h1>{PROSE}<img src='img/p.png' alt=''/>"},
                      files={"OEBPS/img/p.png": picture})
        )  # fmt: skip
    samples, _, failed = run(tmp_path)
    assert not failed
    ((sample,),) = samples.values()
    assert [image.data for image in sample.images] == [picture]
    assert sample.text.startswith("# T\n\nThe tide")


def test_logos_icons_rules_and_ornaments_are_left_out_with_their_reasons(tmp_path: Path) -> None:
    pages = {
        f"{n}.html": f"{PROSE}<img src=logo.png><img src={n}.png><img src=icon.png><img src=hr.png>"
        for n in range(5)
    }
    pictures = {f"{n}.png": png(n) for n in range(5)}
    write(tmp_path, {**pages, **pictures, "logo.png": png(9), "icon.png": png(1, (40, 40)),
                     "hr.png": png(1, (900, 100))})  # fmt: skip
    write(tmp_path, {"orn.html": (PROSE + "<img src=star.png>") * 4, "star.png": png(7)})
    samples, dropped, _ = run(tmp_path)
    for n in range(5):
        assert [image.data for image in samples[f"{n}.html"][0].images] == [pictures[f"{n}.png"]]
    reasons = {(item.item, item.reason) for item in dropped}
    assert reasons == {
        ("logo.png", Reason.REPEATED_IMAGE), ("star.png", Reason.REPEATED_IMAGE),
        ("icon.png", Reason.REPEATED_IMAGE), ("hr.png", Reason.REPEATED_IMAGE),
    }  # fmt: skip
    page = f"{PROSE}<img src=icon.png><img src=hr.png>"
    alone = tmp_path / "alone"
    write(alone, {"a.html": page, "icon.png": png(1, (40, 40)), "hr.png": png(1, (900, 100))})
    _, dropped, _ = run(alone)
    assert [item.reason for item in dropped] == [Reason.IMAGE_TOO_SMALL, Reason.IMAGE_RATIO]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("http://host.example/x.png", Reason.NEEDS_NETWORK),
        ("//host.example/x.png", Reason.NEEDS_NETWORK),
        ("file:///etc/passwd", Reason.UNSAFE_PATH),
        ("../outside.png", Reason.UNSAFE_PATH),
        ("%2e%2e/outside.png", Reason.UNSAFE_PATH),
        ("/etc/passwd", Reason.UNSAFE_PATH),
        ("link.png", Reason.MISSING_IMAGE),
        ("nowhere.png", Reason.MISSING_IMAGE),
        ("empty.png", Reason.BAD_IMAGE),
        ("text.png", Reason.BAD_IMAGE),
        ("cut.png", Reason.BAD_IMAGE),
        ("bomb.png", Reason.IMAGE_BOMB),
        ("data:image/png;base64,AAAA", Reason.BAD_IMAGE),
        ("http://[bad", Reason.MISSING_IMAGE),
    ],
)
def test_a_picture_that_cannot_be_had_costs_the_page_nothing_else(
    source: str, reason: Reason, tmp_path: Path
) -> None:
    (tmp_path / "outside.png").write_bytes(png())
    folder = write(tmp_path / "in", {
        "a.html": f"{PROSE}<img src='{source}'><img src=good.png>",
        "good.png": png(4), "empty.png": b"", "text.png": "no picture",
        "cut.png": png()[:60], "bomb.png": giant_png() if "bomb" in source else b"",
    })  # fmt: skip
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    samples, dropped, failed = run(folder)
    assert not failed
    assert [image.data for image in samples["a.html"][0].images] == [png(4)]
    assert [item.reason for item in dropped] == [reason]


def test_pictures_in_the_page_itself_and_drawings_are_shown(tmp_path: Path) -> None:
    inline = base64.b64encode(png(5)).decode()
    write(tmp_path, {
        "a.html": f"{PROSE}<img src='data:image/png;base64,{inline}'>{PROSE}<img src=d.svg>{PROSE}"
        f"{SVG.format(150)}{SVG.format(24)}",
        "d.svg": SVG.format(200),
    })  # fmt: skip
    samples, dropped, _ = run(tmp_path)
    images = samples["a.html"][0].images
    assert [(image.format, image.width) for image in images] == [
        ("png", 120), ("png", 400), ("png", 384),
    ]  # fmt: skip
    assert Pillow.open(io.BytesIO(images[1].data)).convert("RGB").getpixel((200, 200)) == (
        255,
        0,
        0,
    )
    assert [item.reason for item in dropped] == [Reason.IMAGE_TOO_SMALL]


def test_a_turned_photograph_is_shown_upright_and_says_so(tmp_path: Path) -> None:
    picture = Pillow.new("RGB", (200, 100), "blue")
    exif = Pillow.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "p.jpg", exif=exif)
    write(tmp_path, {"a.html": f"{PROSE}<img src=p.jpg>"})
    samples, _, _ = run(tmp_path)
    (sample,) = samples["a.html"]
    assert (sample.images[0].width, sample.images[0].height) == (100, 200)
    assert "exif" in sample.provenance.details["images_changed"]


def test_long_documents_are_cut_to_the_budget_and_keys_do_not_change(tmp_path: Path) -> None:
    body = "".join(
        f"<h2>Section {n}</h2>{PROSE * 3}<figure><img src={n}.png><figcaption>Picture {n}"
        "</figcaption></figure>"
        for n in range(12)
    )
    write(tmp_path, {"a.html": f"<h1>All</h1>{body}", **{f"{n}.png": png(n) for n in range(12)}})
    samples, _, _ = run(tmp_path, sequence_tokens=2000)
    made = samples["a.html"]
    assert len(made) > 3
    counter = Estimate()
    for sample in made:
        assert counter.count([sample.text])[0] + 576 * len(sample.images) <= 2000
        assert sample.text.startswith("# All\n\n## Section")
    assert [f"Picture {n}" in "\n".join(s.text for s in made) for n in range(12)] == [True] * 12
    again, _, _ = run(tmp_path, sequence_tokens=2000)
    assert [s.key for s in again["a.html"]] == [s.key for s in made]


def test_sequences_without_a_picture_are_text_or_dropped(tmp_path: Path) -> None:
    write(tmp_path, {"a.html": f"<h1>T</h1>{PROSE}"})
    samples, _, _ = run(tmp_path)
    assert samples["a.html"][0].category == "text"
    samples, dropped, _ = run(tmp_path, without_picture="drop")
    assert not samples
    assert [item.reason for item in dropped] == [Reason.NO_PICTURE]


def test_documents_without_use_or_with_ill_intent_have_their_reasons(tmp_path: Path) -> None:
    links = "".join(f"<li><a href={n}.html>Chapter {n} of the book</a>" for n in range(20))
    write(tmp_path, {
        "short.html": "<p>Hello.</p>",
        "toc.html": f"<h1>T</h1><ul>{links}</ul>",
        "empty.html": "",
        "large.html": "<p>" + "x " * 10_000_000,
        "deep.html": "<div>" * 5000 + PROSE,
        "entities.html": '<!DOCTYPE html [<!ENTITY a "aaaa">]><p>&a;</p>',
        "binary.html": bytes(range(256)) * 40,
        "bad.epub": b"PK\x03\x04 no archive",
        "bad.zim": b"ZIM\x04" + bytes(100),
        "bad.pdf": b"%PDF-1.4 no more",
        "fine.html": PROSE,
    })  # fmt: skip
    samples, _, failed = run(tmp_path)
    assert {uri: error.reason for uri, error in failed.items() if uri != "binary.html"} == {
        "short.html": Reason.NO_TEXT, "toc.html": Reason.NAVIGATION,
        "empty.html": Reason.EMPTY_DOCUMENT, "large.html": Reason.TOO_LARGE,
        "deep.html": Reason.BAD_MARKUP, "entities.html": Reason.XML_ENTITIES,
        "bad.epub": Reason.BAD_ARCHIVE, "bad.zim": Reason.BAD_ARCHIVE, "bad.pdf": Reason.BAD_PDF,
    }  # fmt: skip
    assert set(samples) - {"binary.html"} == {"fine.html"}


def test_chapters_of_a_book_that_fail_take_nothing_else_with_them(tmp_path: Path) -> None:
    (tmp_path / "b.epub").write_bytes(make_epub({
        "a.xhtml": f"<h1>A</h1>{PROSE}", "b.xhtml": "", "c.xhtml": f"<h1>C</h1>{PROSE}",
        "toc.xhtml": f"<nav epub:type='toc'>{PROSE}</nav>",
    }))  # fmt: skip
    samples, dropped, _ = run(tmp_path)
    (sample,) = samples["b.epub"]
    assert sample.text.count("# ") == 2
    assert [item.reason for item in dropped] == [Reason.NAVIGATION]


def test_a_picture_must_fit_into_a_sequence() -> None:
    with pytest.raises(ValidationError, match="half"):
        InterleavedOptions(sequence_tokens=1000)


def test_the_handbook_keeps_its_figures_with_their_captions(real_data: Path) -> None:
    samples, dropped, failed = run(real_data / "interleaved" / "debian_handbook" / "en-US")
    assert not failed
    (sample,) = samples["sect.apt-frontends.html"]
    assert shape(sample) == ["text", "image", "text", "image", "text"]
    assert isinstance(sample.segments[2], Text)
    assert sample.segments[2].text.startswith("**Figure 6.1. The `aptitude` package manager**")
    assert "Download the ebook" not in sample.text
    assert {item.reason for item in dropped} == {Reason.REPEATED_IMAGE}
    assert len(dropped) == 12
