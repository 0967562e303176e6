"""Exam questions from the files that teachers and data sets keep them in."""

from dsvl_data.read.questions.files import (
    Format,
    approach_slice,
    list_questions,
    read_questions,
    read_slice,
)
from dsvl_data.read.questions.mapping import Mapping
from dsvl_data.read.questions.record import Passage, Picture, Question, Refused

__all__ = [
    "Format",
    "Mapping",
    "Passage",
    "Picture",
    "Question",
    "Refused",
    "approach_slice",
    "list_questions",
    "read_questions",
    "read_slice",
]
