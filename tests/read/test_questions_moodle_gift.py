# ruff: noqa: E501 - a quiz file is written as Moodle writes it
"""Moodle XML and GIFT: every kind of question, and files that mean harm."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.questions import Question, Refused
from dsvl_data.read.questions.gift import BLANK, read_gift
from dsvl_data.read.questions.moodle import read_moodle
from dsvl_data.read.questions.record import shuffle_matches

GIFT = r"""
// a comment
$CATEGORY: $course$/top/Sea

::Tide:: What makes tides? {=the moon#right ~the wind ~%-50%fish####It pulls.}

Salt \{NaCl\} tastes \= {T}

The capital of France is {=Paris =paris} , they say.

[html]Is <b>this</b> essay? {}

::Range::Pi is about {#3.14:0.01}

A number {#1..5}

Several {#=%50%7:1 =8:0}

Match {=cat -> feline =dog -> canine = -> equine}

Two right {~%50%a ~%50%b ~c}

[markdown]A *word* and \\(x_1 * y_1\\) {=1}

Just a text
that goes on.

Broken { brace

Stray {nothing}
"""


def gift() -> list[Question | Refused]:
    return list(read_gift(GIFT))


def test_gift_reads_every_kind_of_question():
    tide, salt, paris, essay, pi, span, several, match, two, md, text, broken, stray = gift()
    assert (tide.item, tide.subject, tide.correct) == ("Tide", "Sea", (0,))
    assert [o.text for o in tide.options] == ["the moon", "the wind", "fish"]
    assert tide.solution.text == "It pulls."
    assert (salt.kind, salt.stem.text, salt.correct) == ("true_false", "Salt {NaCl} tastes =", (0,))
    assert paris.stem.text == f"The capital of France is {BLANK} , they say."
    assert (paris.kind, paris.answer.text) == ("short", "Paris")
    assert (essay.kind, essay.stem.markup) == ("essay", "html")
    assert (pi.item, pi.answer.text) == ("Range", "3.14 ± 0.01")
    assert span.answer.text == "1 – 5"
    assert several.answer.text == "8"
    assert [i.text for i in match.items] == ["cat", "dog"]
    assert sorted(o.text for o in match.options) == ["canine", "equine", "feline"]
    assert [match.options[i].text for i in match.correct] == ["feline", "canine"]
    assert (two.kind, two.correct) == ("choice", (0, 1))
    assert "<em>word</em>" in md.stem.text
    assert r"\(x_1 * y_1\)" in md.stem.text
    assert (text.kind, text.stem.text) == ("description", "Just a text\nthat goes on.")
    assert isinstance(broken, Refused)
    assert isinstance(stray, Refused)
    assert stray.reason is Reason.BAD_QUESTION


PICTURE = base64.b64encode(b"a picture").decode()
MOODLE = f"""<?xml version="1.0" encoding="UTF-8"?><quiz>
<question type="category"><category><text>$course$/top/Physics</text></category></question>
<question type="multichoice"><name><text>n</text></name>
  <questiontext format="html"><text><![CDATA[<p>See <img src="@@PLUGINFILE@@/a%20b.png"> \\(x^2\\)</p>]]></text>
    <file name="a b.png" path="/" encoding="base64">{PICTURE}</file></questiontext>
  <generalfeedback format="html"><text>Because.</text></generalfeedback>
  <defaultgrade>2.0000000</defaultgrade><single>true</single>
  <answer fraction="0" format="html"><text>no</text></answer>
  <answer fraction="100" format="html"><text>yes</text></answer></question>
<question type="truefalse"><questiontext format="html"><text>Water is wet.</text></questiontext>
  <answer fraction="0"><text>true</text></answer><answer fraction="100"><text>false</text></answer></question>
<question type="numerical"><questiontext format="plain_text"><text>How many?</text></questiontext>
  <answer fraction="100"><text>42</text><tolerance>0.5</tolerance></answer></question>
<question type="matching"><questiontext format="html"><text>Match</text></questiontext>
  <subquestion format="html"><text>cat</text><answer><text>feline</text></answer></subquestion>
  <subquestion format="html"><text>dog</text><answer><text>canine</text></answer></subquestion>
  <subquestion format="html"><text></text><answer><text>equine</text></answer></subquestion></question>
<question type="cloze"><questiontext format="html"><text>&lt;p&gt;{{1:SHORTANSWER:=Paris#ok~%50%Lyon}} has {{2:MULTICHOICE:~1~=2}} towers, {{1:NUMERICAL:=3:0.1}} m&lt;/p&gt;</text></questiontext></question>
<question type="essay"><questiontext format="html"><text>Write.</text></questiontext></question>
<question type="ddmarker"><questiontext format="html"><text>Drag.</text></questiontext></question>
<question type="shortanswer"><questiontext format="html"><text></text></questiontext>
  <answer fraction="100"><text>x</text></answer></question>
<question type="description"><questiontext format="html"><text><![CDATA[<p>Read <script>alert(1)</script>this.</p>]]></text></questiontext></question>
</quiz>""".encode()


def test_moodle_reads_every_kind_of_question():
    choice, truth, number, match, cloze, essay, drag, empty, text = read_moodle(MOODLE)
    assert (choice.kind, choice.correct, choice.subject, choice.points) == (
        "choice", (1,), "Physics", "2",
    )  # fmt: skip
    assert choice.pictures[0].data == b"a picture"
    assert f'src="{choice.pictures[0].name}"' in choice.stem.text
    assert (truth.kind, truth.correct) == ("true_false", (1,))
    assert number.answer.text == "42 ± 0.5"
    assert [i.text for i in match.items] == ["cat", "dog"]
    assert sorted(o.text for o in match.options) == ["canine", "equine", "feline"]
    assert [match.options[i].text for i in match.correct] == ["feline", "canine"]
    assert cloze.stem.text == f"<p>{BLANK} has {BLANK} (1 / 2) towers, {BLANK} m</p>"
    assert cloze.answer.text == "(1) Paris; (2) 2; (3) 3 ± 0.1"
    assert essay.kind == "essay"
    assert isinstance(drag, Refused)
    assert "ddmarker" in drag.detail
    assert isinstance(empty, Refused)
    assert text.kind == "description"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'<!DOCTYPE quiz [<!ENTITY x SYSTEM "file:///etc/passwd">]><quiz><question/></quiz>',
         Reason.XML_ENTITIES),
        (b'<!DOCTYPE quiz [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><quiz>&b;</quiz>',
         Reason.XML_ENTITIES),
        # A comment that looks like the root must not hide what follows it.
        (b'<!DOCTYPE quiz [<!-- <quiz> --><!ENTITY a "aaaa">]><quiz><x y="&a;"/></quiz>',
         Reason.XML_ENTITIES),
        (b'<!DOCTYPE quiz [<!ENTITY % x SYSTEM "http://a.invalid/x">%x;]><quiz></quiz>',
         Reason.XML_ENTITIES),
        (b'<!DOCTYPE quiz SYSTEM "http://a.invalid/x"><quiz><question>&nbsp;</question></quiz>',
         Reason.XML_ENTITIES),
        (b"<quiz><question>&nbsp;</question></quiz>", Reason.BAD_MARKUP),
        (b"", Reason.BAD_MARKUP),
        (b'<?xml version="1.0" encoding="UTF-7"?><quiz></quiz>', Reason.BAD_MARKUP),
        ('<?xml version="1.0"?><quiz></quiz>'.encode("utf-16"), Reason.BAD_MARKUP),
        (b"<quiz><question></quiz>", Reason.BAD_MARKUP),
        (b"<rss></rss>", Reason.BAD_MARKUP),
    ],
)  # fmt: skip
def test_files_that_are_no_quiz(data: bytes, reason: Reason):
    with pytest.raises(DocumentError) as error:
        list(read_moodle(data))
    assert error.value.reason is reason


ASKED = "<question type='description'><questiontext><text>Read.</text></questiontext></question>"


@pytest.mark.parametrize(
    "prolog",
    [
        "<!-- written without <!ENTITY --> ",
        "<!DOCTYPE quiz>",
        '<!DOCTYPE quiz SYSTEM "http://a.invalid/moodle.dtd">',
        "<!DOCTYPE quiz [<!ELEMENT quiz ANY>]>",
        '<?xml version="1.0" encoding="windows-1252"?>',
    ],
)
def test_a_prolog_that_does_no_harm_is_read(prolog: str):
    (question,) = read_moodle(f"{prolog}<quiz>{ASKED}<!-- <!ENTITY --></quiz>".encode())
    assert question.stem.text == "Read."


def test_a_distractor_may_stand_between_the_pairs():
    pairs = [("cat", "feline"), ("", "equine"), ("dog", "canine"), ("lion", "feline")]
    subquestions = "".join(
        f"<subquestion><text>{left}</text><answer><text>{right}</text></answer></subquestion>"
        for left, right in pairs
    )
    (question,) = read_moodle(
        f"<quiz><question type='matching'><questiontext><text>Match</text></questiontext>"
        f"{subquestions}</question></quiz>".encode()
    )
    assert [i.text for i in question.items] == ["cat", "dog", "lion"]
    assert [question.options[i].text for i in question.correct] == ["feline", "canine", "feline"]
    assert len(question.options) == 3


@given(st.lists(st.text("abcdef", max_size=3), max_size=8), st.lists(st.text("abxyz"), max_size=3))
def test_the_order_of_matches_does_not_tell_the_solution(matches, distractors):
    options = shuffle_matches(matches, distractors)
    assert sorted(options) == sorted({*matches, *distractors})
    assert options == shuffle_matches(matches, list(reversed(distractors)))
    solution = list(dict.fromkeys(matches))
    if len(solution) > 1:
        assert [option for option in options if option in solution] != solution


def test_options_are_not_in_one_order_for_all_questions():
    orders = {tuple(shuffle_matches(["a", "b", "c", "d", str(i)])[:4]) for i in range(40)}
    assert len(orders) > 20
