"""Samples as the model takes them: loss falls where a sample says, and nowhere else."""

from __future__ import annotations

import pytest

from dsvl_data.sample import Origin, Provenance, Sample, Text, to_json
from model.processor import IGNORED, Example, Processor
from train.encode import count_tokens, encode


def _talk(*segments: Text) -> Sample:
    return Sample(
        key="k",
        document="sft:k",
        category="sft_text",
        segments=segments,
        language="en",
        source=Origin("sft", "k", "CC0-1.0"),
        provenance=Provenance("sft", "1", {}),
    )


def _trained(example: Example) -> str:
    """What loss falls on, with a bar at each end of sentence."""
    ids = [int(label) for label in example.labels if label != IGNORED]
    return "".join("|" if i == 257 else chr(i) for i in ids)


_ASKED = Text("What is 2 + 2?", "user", trained=False)
_AGAIN = Text("Are you sure?", "user", trained=False)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(True, True, " 5| 4|"), (False, True, " 4|"), (True, False, " 5|"), (False, False, "")],
)
def test_an_answer_that_is_not_trained_on_carries_no_loss(
    processor: Processor, *, first: bool, second: bool, expected: str
) -> None:
    def sample(first: bool, second: bool) -> Sample:
        answers = Text("5", "assistant", first), Text("4", "assistant", second)
        return _talk(_ASKED, answers[0], _AGAIN, answers[1])

    record = to_json(sample(first, second))
    example = encode(record, {}, processor).example
    assert _trained(example) == expected
    # The model still sees it, and the plan reckons with it.
    whole = encode(to_json(sample(True, True)), {}, processor).example
    assert example.tokens.tolist() == whole.tokens.tolist()
    assert count_tokens(record, processor) == len(example.tokens)


def test_an_answer_in_parts_is_trained_on_only_as_a_whole(processor: Processor) -> None:
    talk = _talk(_ASKED, Text("5, no: ", "assistant", trained=False), Text("4", "assistant"))
    assert _trained(encode(to_json(talk), {}, processor).example) == ""
