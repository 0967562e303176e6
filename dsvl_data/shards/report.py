"""The statistics report: one HTML file with totals, histograms and a contact sheet.

In: `Statistics` and the contact sheet's samples. Out: HTML that opens from disk, fetches
nothing and runs nothing: charts are SVG, thumbnails are data URIs, and a content policy
forbids everything else. All text of samples is hostile and stands escaped.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from dsvl_data import storage
from dsvl_data.sample import Text
from dsvl_data.shards.sheet import Picture, Thumbnail, contact_sheet
from dsvl_data.shards.stats import Distribution, Slice, Statistics, human, statistics
from dsvl_data.shards.write import ShardError

_MOST_CHARACTERS = 2500
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_SPREADS = {
    "text_characters": ("characters a sample", "Text length"),
    "widths": ("pixels", "Image width"),
    "heights": ("pixels", "Image height"),
}
#: Their text is code or tables, which need columns to line up.
_MONOSPACED = ("table_chart", "web_code", "sft_table_chart", "sft_web_code")
#: More small charts than this nobody compares; the tables have all values.
_MOST_CHARTS = 12


def write_report(out: str, path: str, *, count: int = 24, seed: int = 0) -> None:
    """Write the report on an output folder's shards to `path`, with `count` samples shown.

    Raises `ShardError` when there is no manifest, a shown sample is damaged, or `path` cannot be
    written: that is tried before the work.
    """
    _try_to_write(path)
    page = render(statistics(out), contact_sheet(out, count=count, seed=seed))
    try:
        storage.atomic_write(path, page.encode())
    except OSError as error:
        raise _unwritable(path, error) from error


def _try_to_write(path: str) -> None:
    """Raise `ShardError` if `path` can be no file; leaves what stands there as it is."""
    if not storage.is_local(path):
        return  # a store tells only by a write, and its listing may be forbidden where that is not
    file = Path(path)
    try:
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str, error: OSError) -> ShardError:
    return ShardError(
        f"the page cannot be written to {path}: {error.strerror or error}; give --html a file in "
        "a folder that you may write to"
    )


def render(stats: Statistics, sheet: Sequence[Picture]) -> str:
    """Return the report as HTML."""
    css = resources.files("dsvl_data.shards").joinpath("report.css").read_text("utf-8")
    total = stats.total
    blocks = [
        f"<h1>{escape(stats.name)}</h1>",
        f'<p class="soft">What {stats.shards:,} WebDataset shards hold. Text tokens counted by: '
        f"{escape(stats.tokenizer)}.</p>",
        _tiles(stats),
        "<h2>What training reads</h2>",
        _token_mix(stats.by["category"]),
        "<h2>How it is spread</h2>",
        '<div class="grid">',
        *_charts("", total),
        "</div>",
        _charts_by_category(stats.by["category"]),
        "<h2>In numbers</h2>",
        *(_table(dimension, rows, total) for dimension, rows in stats.by.items()),
    ]
    if sheet:
        blocks += [
            "<h2>Samples</h2>",
            '<p class="soft">Drawn at random, evenly over category and pipeline.</p>',
            '<div class="sheet">',
            *map(_sample, sheet),
            "</div>",
        ]
    body = "\n".join(blocks)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(stats.name)}: statistics</title>
<style>
{css}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _tiles(stats: Statistics) -> str:
    total = stats.total
    tiles = (
        (human(total.samples), "samples"),
        (human(total.images), "images"),
        (human(total.text_tokens), "text tokens"),
        (human(total.image_tokens), "image tokens"),
        (human(stats.shard_bytes) + "B", "in shards"),
        (str(len(stats.by["source"])), "sources"),
        (str(len(stats.by["language"])), "languages"),
    )
    cells = "".join(
        f'<div class="card tile"><b>{number}</b><span>{label}</span></div>'
        for number, label in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _token_mix(rows: Mapping[str, Slice]) -> str:
    """One bar a category, its text and image tokens; the longest fills the track."""
    most = max((row.text_tokens + row.image_tokens for row in rows.values()), default=0) or 1
    everything = sum(row.text_tokens + row.image_tokens for row in rows.values()) or 1
    bars = []
    for name, row in sorted(rows.items(), key=lambda r: -(r[1].text_tokens + r[1].image_tokens)):
        both = row.text_tokens + row.image_tokens
        parts = "".join(
            f'<div class="{kind}" style="width:{100 * tokens / most:.3f}%" '
            f'title="{tokens:,} {kind} tokens"></div>'
            for kind, tokens in (("text", row.text_tokens), ("image", row.image_tokens))
        )
        share = f'<span class="soft">{both / everything:.1%}</span>'
        bars.append(
            f'<div class="name">{escape(name)}</div><div class="track">{parts}</div>'
            f'<div class="sum">{human(both)} {share}</div>'
        )
    key = (
        '<div class="key"><span><i style="background:var(--text-bar)"></i>text tokens</span>'
        '<span><i style="background:var(--image-bar)"></i>image tokens</span></div>'
    )
    return f'<div class="card"><div class="mix">{"".join(bars)}</div>{key}</div>'


def _charts_by_category(rows: Mapping[str, Slice]) -> str:
    if len(rows) < 2:
        return ""
    charts = [chart for name, row in rows.items() for chart in _charts(f"{name}: ", row)]
    return f'<h2>By category</h2><div class="grid">{"".join(charts[:_MOST_CHARTS])}</div>'


def _charts(prefix: str, row: Slice) -> Iterable[str]:
    for attribute, (unit, title) in _SPREADS.items():
        spread: Distribution | None = getattr(row, attribute)
        if spread is not None:  # text has no image sizes
            yield _chart(prefix + (title.lower() if prefix else title), unit, spread)


def _chart(title: str, unit: str, spread: Distribution) -> str:
    """A histogram with its quantiles; bars stand at equal widths, the axis names their edges."""
    width, height, bottom, top = 360, 130, 18, 12
    most = max(spread.bins)
    step = width / len(spread.bins)
    bars = []
    for number, count in enumerate(spread.bins):
        if not count:
            continue
        # One sample among millions must still be seen.
        tall = max(1.5, (height - bottom - top) * count / most)
        low, high = spread.edges[number], spread.edges[number + 1]
        bars.append(
            f'<rect x="{number * step + 0.75:.2f}" y="{height - bottom - tall:.2f}" '
            f'width="{step - 1.5:.2f}" height="{tall:.2f}" rx="1.5">'
            f"<title>{low:,.0f} to {high:,.0f}: {count:,}</title></rect>"
        )
    marks = _marks(spread.edges, step, height)
    q = spread.quantiles
    svg = (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f'<line x1="0" x2="{width}" y1="{height - bottom}" y2="{height - bottom}"/>'
        f"{''.join(bars)}{''.join(marks)}"
        f'<text x="0" y="8">{most:,}</text></svg>'
    )
    first, last = (spread.edges[n + 1] - spread.edges[n] for n in (0, len(spread.bins) - 1))
    scale = "" if last < 2 * first else ", logarithmic axis"
    return (
        f'<figure class="card"><h3>{escape(title)}</h3>{svg}<figcaption>{unit}{scale}: median '
        f"{q['median']:,}, middle half {q['p25']:,} to {q['p75']:,}, 90&nbsp;% between "
        f"{q['p5']:,} and {q['p95']:,}</figcaption></figure>"
    )


def _marks(edges: Sequence[float], step: float, height: int) -> Iterable[str]:
    """Numbers under the axis, at five edges at most."""
    last = len(edges) - 1
    chosen = sorted({round(last * part / 4) for part in range(5)})
    for number in chosen:
        anchor = "start" if number == 0 else "end" if number == last else "middle"
        yield (
            f'<text x="{number * step:.1f}" y="{height - 5}" text-anchor="{anchor}">'
            f"{human(round(edges[number]))}</text>"
        )


def _table(dimension: str, rows: Mapping[str, Slice], total: Slice) -> str:
    heads = (
        dimension,
        "samples",
        "images",
        "text tokens",
        "image tokens",
        "MB",
        "image size, median",
        "characters: p5",
        "median",
        "p95",
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr><td>{escape(name)}</td>{_cells(row)}</tr>" for name, row in rows.items())
    foot = f"<tfoot><tr><td>all</td>{_cells(total)}</tr></tfoot>" if len(rows) > 1 else ""
    return (
        f'<div class="card scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody>{foot}</table></div>"
    )


def _cells(row: Slice) -> str:
    size, lengths = "–", ["–"] * 3
    if row.widths is not None and row.heights is not None:
        size = f"{row.widths.quantiles['median']:,} × {row.heights.quantiles['median']:,}"
    if row.text_characters is not None:
        lengths = [f"{row.text_characters.quantiles[q]:,}" for q in ("p5", "median", "p95")]
    cells = [
        f"{row.samples:,}",
        f"{row.images:,}",
        f"{row.text_tokens:,}",
        f"{row.image_tokens:,}",
        f"{row.bytes / 1e6:,.1f}",
        size,
        *lengths,
    ]
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _sample(picture: Picture) -> str:
    sample = picture.sample
    template = sample.provenance.details.get("template")
    facts = [sample.provenance.pipeline, sample.language, sample.source.licence]
    if template:
        facts.append(f"template {template}")
    head = (
        f"<header><b>{escape(sample.category)}</b> · {' · '.join(map(escape, facts))}"
        f"<br>{escape(sample.document)}<br>{escape(sample.key)}</header>"
    )
    shown = "".join(map(_image, picture.thumbnails))
    more = len(sample.images) - len(picture.thumbnails)
    if more > 0:
        shown += f'<span class="soft">and {more:,} more</span>'
    images = f'<div class="images">{shown}</div>' if shown else ""
    return (
        f'<article class="card sample">{head}<div class="pair">{images}'
        f'<div class="words" lang="{escape(sample.language)}">{"".join(_words(picture))}</div>'
        "</div></article>"
    )


def _image(thumbnail: Thumbnail) -> str:
    if thumbnail.fault:
        return f'<span class="soft">{escape(thumbnail.alt)}: {escape(thumbnail.fault)}</span>'
    size = f'width="{thumbnail.width}" height="{thumbnail.height}"'
    alt = escape(thumbnail.alt)
    return f'<img src="{escape(thumbnail.uri)}" {size} alt="{alt}" title="{alt}">'


def _words(picture: Picture) -> Iterable[str]:
    """The text segments, cut short where a person would stop reading."""
    left = _MOST_CHARACTERS
    style = ' class="code"' if picture.sample.category in _MONOSPACED else ""
    for segment in picture.sample.segments:
        if not isinstance(segment, Text):
            continue
        if segment.role:
            yield f'<div class="role">{escape(segment.role)}</div>'
        yield f'<pre dir="auto"{style}>{escape(segment.text[:left])}</pre>'
        left -= len(segment.text)
        if left <= 0:
            yield f'<p class="soft">… {len(picture.sample.text):,} characters in all</p>'
            return
