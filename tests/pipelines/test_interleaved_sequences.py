"""Sequences: within the budget, in order, nothing lost, cut where sections begin."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.read.blocks import TextBlock
from dsvl_data.sample import Image, Segment, Text
from dsvl_data.shards.tokens import Estimate
from pipelines.interleaved_sequences import Budget, make_parts, make_sequences

Blocks = list[TextBlock | tuple[Image, str]]
COUNTER = Estimate()


def budget(tokens: int = 256, *, images: int = 3, repeat: bool = True) -> Budget:
    return Budget(tokens, 64, images, COUNTER, repeat)


def picture(number: int) -> Image:
    return Image(str(number).encode(), "png", 100, 100)


def pack(chapters: list[Blocks], room: Budget) -> list[list[Segment]]:
    return make_sequences([make_parts(blocks, room) for blocks in chapters], room)


def cost(segments: list[Segment], room: Budget) -> int:
    texts = "\n\n".join(s.text for s in segments if isinstance(s, Text))
    pictures = sum(isinstance(s, Image) for s in segments)
    return COUNTER.count([texts])[0] + pictures * room.image


def words(text: str) -> list[str]:
    return text.split()


PIECES = st.one_of(
    st.builds(
        lambda level, n: TextBlock("heading", f"{'#' * level} Head {n}", level),
        st.integers(1, 4),
        st.integers(0, 999),
    ),
    st.builds(
        lambda t: TextBlock("paragraph", t),
        st.text("ab中. ", min_size=1, max_size=900).map(lambda text: text.strip() or "x"),
    ),
    st.builds(
        lambda n: TextBlock("list", "\n".join(f"- item {i}" for i in range(n))), st.integers(1, 200)
    ),
    st.builds(
        lambda n, c: (picture(n), c),
        st.integers(0, 99),
        st.sampled_from(("", "a caption", "word " * 600)),
    ),
    st.builds(lambda n: TextBlock("formula", f"$$\n{'x+' * n}x\n$$"), st.integers(0, 400)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=12), max_size=3), st.booleans())
def test_every_sequence_is_within_its_budget_and_nothing_is_lost(
    chapters: list[Blocks], repeat: bool
) -> None:
    room = budget(repeat=repeat)
    sequences = pack(chapters, room)
    blocks = [block for chapter in chapters for block in chapter]
    for segments in sequences:
        assert cost(segments, room) <= room.tokens
        assert sum(isinstance(s, Image) for s in segments) <= room.images
        assert segments
    shown = [s.data for segments in sequences for s in segments if isinstance(s, Image)]
    assert shown == [block[0].data for block in blocks if isinstance(block, tuple)]
    if not repeat:
        said = [w for seq in sequences for s in seq if isinstance(s, Text) for w in words(s.text)]
        given_ = [
            word
            for block in blocks
            for word in words(block.markdown if isinstance(block, TextBlock) else block[1])
        ]
        assert "".join(said) == "".join(given_)


def prose(number: int) -> TextBlock:
    return TextBlock("paragraph", f"p{number} " + "some words of a paragraph " * 8)


def heading(level: int, text: str) -> TextBlock:
    return TextBlock("heading", f"{'#' * level} {text}", level)


def test_a_sequence_ends_where_the_highest_section_begins() -> None:
    blocks: Blocks = [heading(1, "Title"), *(prose(n) for n in range(4)), heading(2, "Two")]
    blocks += [prose(5), heading(3, "Three"), prose(6), prose(7)]
    _, second = pack([blocks], budget(300, repeat=False))
    assert isinstance(second[0], Text)
    assert second[0].text.startswith("## Two")


def test_a_continuation_begins_with_the_headings_it_stands_under() -> None:
    blocks: Blocks = [heading(1, "Title"), heading(2, "Part"), *(prose(n) for n in range(9))]
    sequences = pack([blocks], budget(300))
    assert len(sequences) > 1
    for segments in sequences:
        assert isinstance(segments[0], Text)
        assert segments[0].text.startswith("# Title\n\n## Part\n\np")


def test_a_heading_stays_with_what_follows_it() -> None:
    blocks: Blocks = []
    for n in range(12):
        blocks += [prose(n), heading(3, f"S{n}")]
    blocks.append(prose(99))
    for segments in pack([blocks], budget(300)):
        assert isinstance(segments[-1], Text)
        assert not segments[-1].text.rpartition("\n\n")[2].startswith("#")


def test_chapters_are_the_best_borders_and_end_the_headings() -> None:
    chapters: list[Blocks] = [
        [heading(1, "A"), prose(1), prose(2), prose(3)], [prose(4), prose(5), prose(6)]
    ]  # fmt: skip
    _, second = pack(chapters, budget(256))
    assert isinstance(second[0], Text)
    assert second[0].text.startswith("p4")


def test_a_long_table_is_cut_between_rows_and_keeps_its_header() -> None:
    rows = "\n".join(f"| row {n} | value |" for n in range(200))
    table = TextBlock("table", f"About it\n\n| name | value |\n| --- | --- |\n{rows}")
    sequences = pack([[table]], budget(300, repeat=False))
    texts = [s.text for segments in sequences for s in segments if isinstance(s, Text)]
    assert len(texts) > 2
    assert all("| name | value |\n| --- | --- |\n| row" in text for text in texts)
    assert sum(text.count("| row ") for text in texts) == 200


def test_long_code_is_cut_between_lines_and_keeps_its_fence_and_indentation() -> None:
    code = "\n".join(f"    line_{n} = {n}" for n in range(200))
    sequences = pack([[TextBlock("code", f"```py\n{code}\n```")]], budget(300))
    texts = [s.text for segments in sequences for s in segments if isinstance(s, Text)]
    assert all(text.startswith("```py\n    line_") and text.endswith("\n```") for text in texts)
    assert sum(text.count(" = ") for text in texts) == 200
