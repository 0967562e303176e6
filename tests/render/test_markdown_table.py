"""Tables as Markdown: each row has its columns, whatever its cells say."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.render.inline import SIGNS, escape_signs
from dsvl_data.render.markdown_table import write_cell, write_table


def test_rows_are_cut_and_filled_to_the_columns_and_a_header_may_be_missing():
    assert write_table(["a", "b"], [["1"], ["1", "2", "3"]]) == (
        "| a | b |\n| --- | --- |\n| 1 |  |\n| 1 | 2 |"
    )
    assert write_table([], [["x"]], 2) == "|  |  |\n| --- | --- |\n| x |  |"


@given(st.lists(st.lists(st.text(alphabet="a|\n`*_$<>[] "), min_size=2, max_size=2), min_size=1))
def test_no_text_ends_a_cell_or_a_row(rows: list[list[str]]):
    cells = [[write_cell(escape_signs(text)) for text in row] for row in rows]
    lines = write_table(["h", "i"], cells).split("\n")
    assert len(lines) == len(rows) + 2
    for line, row in zip(lines[2:], rows, strict=True):
        assert len(re.findall(r"(?<!\\)\|", line)) == 3
        bare = "".join(part for part in re.split(r"\\(?=[|`*_$<>\[\]\\])", line)[0:])
        assert bare == "| " + " | ".join(text.replace("\n", " ") for text in row) + " |"


def test_every_sign_is_escaped():
    assert escape_signs(SIGNS) == "".join("\\" + sign for sign in SIGNS)
