"""Interleaved samples from web pages on one core, side by side with trafilatura alone.

Pages of about 20 KB without pictures to decode: an article between navigation, scripts and a
footer, made here from a seed, and the Debian handbook's pages of that size where the real data
are. Ours is the whole way from bytes to samples (main content, blocks, sequences, language,
token counts); trafilatura's is `extract` to Markdown with tables, which gives text only. Both are
timed in turns, by the processor's time, so that other work on the machine counts less.

The second table compares what the two keep of real pages: words of one that the other lacks.

    python benchmarks/interleaved_html.py
"""

from __future__ import annotations

import os
import random
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from trafilatura import extract

from dsvl_data.pipeline import Document, DocumentRef, InputSpec
from dsvl_data.sample import Sample
from pipelines.interleaved import PIPELINE, InterleavedConverter, InterleavedOptions

ROUNDS, PAGES = 7, 40
TEXT = """the of and to in a is that for it as was with be by on not he his but at are this
have from or had an they which one you were all her she there would their we him
been has when who will no more if out so up said what its about than into them can
only other time new some river harbour lantern granite meadow copper orchard signal
anchor velvet winter timber"""
WORDS = TEXT.split()


def main() -> None:
    """Print the medians of each round, their ratio, and what each loses."""
    real = Path(os.environ.get("DSVL_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    handbook = sorted((real / "interleaved" / "debian_handbook").glob("*/*.html"))
    compare("made pages", [made_page(n) for n in range(PAGES)])
    if not handbook:
        print(f"no real pages: {real} (DSVL_REAL_DATA) is not there")
        return
    near = [page for page in handbook if 15_000 <= page.stat().st_size <= 25_000]
    compare("handbook", [page.read_bytes() for page in near] * (PAGES // max(len(near), 1)))
    pages = handbook + sorted((real / "webpages").glob("*/*.html"))
    losses([page for page in pages if page.is_file()])


def made_page(seed: int) -> bytes:
    """An article of about 20 KB with what stands around articles."""
    draw = random.Random(seed)

    def words(count: int) -> str:
        return " ".join(draw.choices(WORDS, k=count)).capitalize() + "."

    def sentence(number: int) -> str:
        link = f'<a href="/wiki/{draw.choice(WORDS)}">{draw.choice(WORDS)}</a>'
        named = link if number % 2 else draw.choice(WORDS)
        stressed = f"<em>{draw.choice(WORDS)}</em>" if number % 4 == 0 else draw.choice(WORDS)
        return f"{words(draw.randint(6, 14))} The {stressed} and {named} are. "

    links = "".join(f'<li><a class="item" href="/s/{n}">{words(2)}</a></li>' for n in range(30))
    sections = []
    for number in range(6):
        paragraphs = "".join(
            f'<p class="para">{"".join(sentence(n) for n in range(5))}</p>' for _ in range(3)
        )
        items = "".join(f"<li>{words(8)}</li>" for _ in range(4))
        rows = "".join(
            f"<tr><td>{draw.choice(WORDS)}</td><td>{draw.random():.3f}</td></tr>" for _ in range(4)
        )
        extra = f"<ul>{items}</ul>" if number % 2 else f"<table><tr><th>a<th>b</tr>{rows}</table>"
        sections.append(f'<h2 id="s{number}">{words(3)}</h2>{paragraphs}{extra}')
    script = "var settings = {" + ", ".join(f"'k{n}': {n * seed}" for n in range(560)) + "};"
    return (
        f"<!DOCTYPE html><html lang=en><head><title>{words(4)}</title><script>{script}</script>"
        "<style>body { margin: 0 } nav li { display: inline }</style></head><body>"
        f'<header class="site-header"><nav class="site-nav"><ul>{links}</ul></nav></header>'
        f"<main><article><h1>{words(4)}</h1>{''.join(sections)}</article></main>"
        f'<aside class="sidebar"><ul>{links[:900]}</ul></aside>'
        "<footer><p>All rights of the made page.</p></footer></body></html>"
    ).encode()


def compare(name: str, pages: Sequence[bytes]) -> None:
    """Time both over the same pages, in turns."""
    options = InterleavedOptions()
    converter = InterleavedConverter(options)
    with tempfile.TemporaryDirectory() as folder:
        for number, page in enumerate(pages):
            Path(folder, f"{number:04d}.html").write_bytes(page)
        refs = list(PIPELINE.source([InputSpec(path=folder, dataset="bench")], options))

        def ours() -> None:
            for ref in refs:
                assert any(isinstance(made, Sample) for made in convert(converter, ref))

        def theirs() -> None:
            for page in pages:
                extract(page, output_format="markdown", include_tables=True, include_links=False)

        runs = {"ours": ours, "trafilatura": theirs}
        rates: dict[str, list[float]] = {label: [] for label in runs}
        for run in runs.values():
            run()  # what is loaded on first use
        for _ in range(ROUNDS):
            for label, run in runs.items():
                rates[label].append(len(pages) / seconds(run))
    mean = sum(map(len, pages)) / len(pages) / 1000
    medians = {label: statistics.median(values) for label, values in rates.items()}
    print(f"{name}: {len(pages)} pages of {mean:.1f} KB, {ROUNDS} rounds, one core")
    for label, values in rates.items():
        print(
            f"  {label:12} {medians[label]:7.1f} pages/s ({min(values):.1f} to {max(values):.1f})"
        )
    print(f"  ratio        {medians['ours'] / medians['trafilatura']:7.2f}")


def convert(converter: InterleavedConverter, ref: DocumentRef) -> list[object]:
    """One document's samples and drops."""
    return list(converter([Document(ref, lambda: PIPELINE.reader(ref), "interleaved", "1")]))


def seconds(run: Callable[[], None]) -> float:
    """Processor seconds of this process."""
    started = time.process_time()
    run()
    return time.process_time() - started


def losses(paths: Sequence[Path]) -> None:
    """Count, over real pages, the words that one keeps and the other does not."""
    converter = InterleavedConverter(InterleavedOptions(min_characters=1))
    totals: Counter[str] = Counter()
    for path in paths:
        options = InterleavedOptions()
        (ref,) = PIPELINE.source([InputSpec(path=str(path), dataset="x")], options)
        try:
            made = convert(converter, ref)
        except Exception as error:  # noqa: BLE001 whatever it is, it is printed
            print(f"  {path.name}: {error}")
            continue
        ours = bag("\n".join(sample.text for sample in made if isinstance(sample, Sample)))
        theirs = bag(extract(path.read_bytes(), include_tables=True, include_links=False) or "")
        totals["pages"] += 1
        totals["ours"] += ours.total()
        totals["theirs"] += theirs.total()
        totals["only ours"] += (ours - theirs).total()
        totals["only theirs"] += (theirs - ours).total()
        totals["pictures"] += sum(len(s.images) for s in made if isinstance(s, Sample))
    print(f"words kept of {totals['pages']} real pages")
    print(f"  ours         {totals['ours']:7}, of which trafilatura lacks {totals['only ours']}")
    print(f"  trafilatura  {totals['theirs']:7}, of which ours lacks {totals['only theirs']}")
    print(f"  pictures in their place: ours {totals['pictures']}, trafilatura 0 (it names them)")


def bag(text: str) -> Counter[str]:
    """The words of a text, Chinese by character, signs of Markdown left out."""
    return Counter(re.findall(r"[a-z0-9]+|[\u4e00-\u9fff]", text.lower()))


if __name__ == "__main__":
    main()
