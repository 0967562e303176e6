"""Notebook JSON of every version, and what is no notebook."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read import notebooks
from dsvl_data.read.notebooks import decode_image, parse

PNG = base64.b64encode(b"\x89PNG...").decode()


def encode(root: Any) -> bytes:
    return json.dumps(root).encode()


def v4(*cells: dict[str, Any], **metadata: Any) -> bytes:
    return encode({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": list(cells)})


def failure(data: bytes) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse(data)
    return caught.value


def test_versions_2_3_and_4_give_the_same_cells() -> None:
    new = v4(
        {"cell_type": "markdown", "source": ["# Ti", "tle"]},
        {
            "cell_type": "code",
            "source": "plot(1)\r\nx",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": "hi"},
                {"output_type": "display_data", "data": {"image/png": PNG}, "metadata": {}},
                {"output_type": "execute_result", "data": {"text/html": ["<b>", "x</b>"]}},
                {"output_type": "error", "ename": "ValueError", "evalue": "no"},
            ],
        },
    )
    old = {
        "nbformat": 3,
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "heading", "level": 1, "source": "# Title"},
                    {
                        "cell_type": "code",
                        "language": "python",
                        "input": ["plot(1)\n", "x"],
                        "outputs": [
                            {"output_type": "stream", "stream": "stdout", "text": "hi"},
                            {"output_type": "display_data", "png": PNG},
                            {"output_type": "pyout", "html": ["<b>", "x</b>"]},
                            {"output_type": "pyerr", "ename": "ValueError", "evalue": "no"},
                        ],
                    },
                ]
            }
        ],
    }
    first, second = parse(new), parse(encode(old))
    third = parse(encode({**old, "nbformat": 2}))
    assert first.cells == second.cells == third.cells
    assert [cell.kind for cell in first.cells] == ["markdown", "code"]
    assert first.cells[1].source == "plot(1)\nx"
    outputs = first.cells[1].outputs
    assert [output.kind for output in outputs] == ["stream", "display", "display", "error"]
    assert outputs[1].data == {"image/png": PNG}
    assert outputs[3].error == "ValueError: no"
    assert (first.version, second.version) == ("4.5", "3.0")


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"", Reason.EMPTY_DOCUMENT, "white space"),
        (b'{"cells": [', Reason.BAD_JSON, "Expecting"),
        (b"[]", Reason.BAD_JSON, "a list"),
        (b"{}", Reason.BAD_JSON, "neither"),
        (b'{"cells": 3}', Reason.BAD_JSON, "neither"),
        (b'{"cells": [7]}', Reason.BAD_JSON, "cell 0 is a number"),
        (b'{"cells": [{"cell_type": "code", "source": 7}]}', Reason.BAD_JSON, "cell 0"),
        (b'{"cells": [{"cell_type": "code", "outputs": 7}]}', Reason.BAD_JSON, "outputs of cell 0"),
        (b'{"cells": [{"cell_type": "code", "outputs": [7]}]}', Reason.BAD_JSON, "output of cell"),
        (b'{"worksheets": [{"cells": 7}]}', Reason.BAD_JSON, "worksheet"),
        (b"[" * 200_000, Reason.BAD_JSON, "recursion"),
        (b'{"cells": ' + b"9" * 9000 + b"}", Reason.BAD_JSON, "digits"),
        (b'\xff\xfe{"cells": []}', Reason.BAD_JSON, ""),
    ],
)
def test_what_is_no_notebook_says_why(data: bytes, reason: Reason, words: str) -> None:
    error = failure(data)
    assert error.reason is reason
    assert words in error.detail


def test_an_empty_notebook_and_a_byte_order_mark_are_fine() -> None:
    assert parse(b"\xef\xbb\xbf" + v4()).cells == ()


def test_half_surrogates_become_text_that_can_be_stored() -> None:
    data = b'{"cells": [{"cell_type": "code", "source": "s = \'\\ud83d\\ude00 \\ud83d\'"}]}'
    source = parse(data).cells[0].source
    assert "\U0001f600" in source
    source.encode()


def test_one_huge_payload_is_left_out_and_its_neighbours_stay() -> None:
    outputs = [
        {"output_type": "display_data", "data": {"text/html": "x" * 2000, "image/png": PNG}},
        {"output_type": "display_data", "data": {"image/png": PNG}},
    ]
    cell = {"cell_type": "code", "source": "x", "outputs": outputs}
    big, small = parse(v4(cell), max_output_bytes=1000).cells[0].outputs
    assert (big.oversized, dict(big.data)) == (2000, {"image/png": PNG})
    assert (small.oversized, dict(small.data)) == (0, {"image/png": PNG})


def test_json_that_would_fill_the_memory_is_refused_before_it_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notebooks, "MAX_TREE_BYTES", 10 << 20)
    monkeypatch.setattr(notebooks.json, "loads", lambda _: pytest.fail("built"))
    for value in (b"[],", b"{},", b'"",', b"[[[1,1]]],", b'{"a":0},'):
        assert failure(b'{"cells": [' + value * 200_000 + b"0]}").reason is Reason.TOO_LARGE


def test_text_with_as_many_commas_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "MAX_TREE_BYTES", 100_000)
    assert len(parse(v4({"cell_type": "code", "source": '[1, \\"' * 20_000})).cells) == 1


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({}, "python"),
        ({"language_info": {"name": "R"}}, "r"),
        ({"kernelspec": {"language": "julia", "name": "julia-1.9"}}, "julia"),
        ({"kernelspec": {"name": "ir"}}, "r"),
        ({"kernelspec": {"name": "julia-1.0"}}, "julia"),
        ({"kernelspec": {"name": "conda-env-x"}}, "python"),
        ({"kernelspec": 7}, "python"),
    ],
)
def test_the_kernel_tells_the_language(metadata: dict[str, Any], language: str) -> None:
    assert parse(v4(**metadata)).language == language


@pytest.mark.parametrize("payload", ["ab!c", "abc", {"a": 1}, "\u00e9"])
def test_an_image_that_is_no_base64(payload: Any) -> None:
    with pytest.raises(DocumentError) as caught:
        decode_image(payload)
    assert caught.value.reason is Reason.BAD_IMAGE


def test_base64_may_be_broken_into_lines() -> None:
    assert decode_image("iVBO\nRw==\n") == b"\x89PNG"


KEYS = "cells worksheets source input outputs data output_type image/png cell_type metadata name"
WORDS = st.sampled_from(["code", "display_data", "error", "markdown"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS.split()), inner | WORDS, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_any_json_is_a_notebook_or_has_a_reason(root: Any) -> None:
    reasons = []
    for value in (root, {"cells": root}, {"cells": [root]}, {"cells": [{"cell_type": "code"}]}):
        try:
            parse(encode(value))
        except DocumentError as error:
            reasons.append(error.reason)
    assert set(reasons) <= {Reason.BAD_JSON}
    assert len(reasons) < 4
