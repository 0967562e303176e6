"""Questions on a paper: the clean HTML of a whole one.

In: `Shown` questions of one language and a `Layout`. Out: a `Chapter`.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence

from lxml import etree

from dsvl_data.read.images import inspect
from dsvl_data.render.fitting import SVG_TYPE
from dsvl_data.render.pages import Asset, Chapter
from pipelines.exam_layouts import (
    KEY_TITLES,
    NOTICES,
    NUMERALS,
    SECTIONS,
    TITLES,
    Layout,
    answer_words,
    letter,
    words_of,
)
from pipelines.exam_text import Blocks, Shown, figure, width


def make_paper(questions: Sequence[Shown], layout: Layout, language: str, seed: str) -> Chapter:
    """Lay questions of one language out; `seed` decides between wordings."""
    paper = _Paper(layout, language, seed)
    return paper.chapter(questions)


class _Paper:
    def __init__(self, layout: Layout, language: str, seed: str) -> None:
        self._layout = layout
        self._language = language
        self._seed = seed
        self._words = words_of(language)
        self._article = etree.Element("article", {"lang": language})

    def chapter(self, questions: Sequence[Shown]) -> Chapter:
        if self._layout.sections:
            order = list(SECTIONS)
            questions = sorted(questions, key=lambda q: order.index(q.question.kind))
        title = self._head(questions)
        numbered = _numbered(questions)
        if self._layout.answers == "only":
            self._key(numbered, self._article)
        elif self._layout.sections:
            self._sections(numbered)
        else:
            self._list(numbered, self._article)
        if self._layout.answers == "end":
            heading = etree.SubElement(self._article, "h2")
            heading.text = self._word("answers")
            self._key(numbered, self._article)
        assets: dict[str, Asset] = {}
        for shown in questions:
            assets |= shown.assets
        shown_names = {image.get("src") for image in self._article.iter("img")}
        used = {name: asset for name, asset in assets.items() if name in shown_names}
        return Chapter(self._article, self._language, title, used)

    def _head(self, questions: Sequence[Shown]) -> str:
        subjects = {_tidy(q.question.subject) for q in questions}
        subject = subjects.pop() if len(subjects) == 1 else ""
        grades = {q.question.grade for q in questions}
        grade = grades.pop() if len(grades) == 1 else ""
        known = KEY_TITLES if self._layout.answers == "only" else TITLES
        titles = known.get(self._language, known["en"])
        title = titles[self._pick("title", len(titles))]
        header = etree.SubElement(self._article, "div", {"class": "head"})
        etree.SubElement(header, "h1").text = title
        about = []
        if subject:
            about.append(f"{self._word('subject')}{self._word('colon')}{subject}")
        if grade:
            about.append(f"{self._word('grade')}{self._word('colon')}{grade}")
        points = [_points(q) for q in questions]
        if all(points) and self._layout.answers != "only":
            about.append(self._word("total").format(f"{sum(points):g}"))
        if about:
            line = etree.SubElement(header, "p", {"class": "about"})
            _spread(line, about)
        if self._layout.student:
            line = etree.SubElement(header, "p", {"class": "student"})
            for key in ("name", "class", "score"):
                field = etree.SubElement(line, "span", {"class": "field"})
                field.text = self._word(key) + self._word("colon")
                etree.SubElement(field, "span", {"class": "rule"})
                field.tail = " "
        if self._layout.notice:
            notices = NOTICES[self._pick("notice", len(NOTICES))]
            box = etree.SubElement(header, "div", {"class": "notice"})
            etree.SubElement(etree.SubElement(box, "p"), "strong").text = "注意事项："
            listed = etree.SubElement(box, "ol")
            for notice in notices:
                etree.SubElement(listed, "li").text = notice
        return (subject + ("" if self._language == "zh" else " ") + title).strip()

    def _sections(self, numbered: Sequence[tuple[int, Shown]]) -> None:
        section = 0
        while numbered:
            kind = numbered[0][1].question.kind
            group = [entry for entry in numbered if entry[1].question.kind == kind]
            numbered = [entry for entry in numbered if entry[1].question.kind != kind]
            points = [_points(shown) for _, shown in group]
            total = ""
            asked = [entry for entry in group if entry[1].question.kind != "description"]
            if all(points) and points:
                total = f"，共 {sum(points):g} 分"
            heading = etree.SubElement(self._article, "h2")
            heading.text = (
                f"{NUMERALS[section % 10]}、{SECTIONS[kind]}（本大题共 {len(asked) or len(group)} "
                f"小题{total}）"
            )
            self._list(group, self._article)
            section += 1

    def _list(self, numbered: Sequence[tuple[int, Shown]], parent: etree._Element) -> None:
        listed: etree._Element | None = None
        for number, shown in numbered:
            if shown.question.kind == "description":
                listed = None
                box = etree.SubElement(parent, "div", {"class": "material"})
                box.extend(copy.deepcopy(block) for block in shown.stem)
                box.extend(figure(name) for name in shown.figures)
                continue
            if listed is None:
                listed = etree.SubElement(
                    parent, "ol", {"class": "questions", "start": str(number)}
                )
            self._question(shown, etree.SubElement(listed, "li"))

    def _question(self, shown: Shown, item: etree._Element) -> None:
        stem = [copy.deepcopy(block) for block in shown.stem]
        points = _points(shown)
        if points and self._layout.answers != "each":
            word = self._word("point" if points == 1 else "points").format(f"{points:g}")
            _mark_points(stem, word, before=self._language == "zh")
        item.extend(stem)
        if shown.figures:
            box = etree.SubElement(item, "figure")
            for name in shown.figures:
                image = etree.SubElement(box, "img", {"src": name})
                image.tail = " "
            box.set("class", "several" if len(shown.figures) > 1 else _shape(shown))
        for i, left in enumerate(shown.items, 1):
            self._labelled(f"({i})", left, item)
        self._options(shown, item)
        if self._layout.lines:
            self._room(shown, item)
        if self._layout.answers == "each":
            self._answer(shown, item, labelled=True)
            if self._layout.solutions:
                self._solution(shown, item)

    def _options(self, shown: Shown, item: etree._Element) -> None:
        options = shown.options
        if shown.question.kind == "true_false":
            options = [[_paragraph(self._word(key))] for key in ("true", "false")]
        if not options:
            return
        widest = max(width(option) for option in options) + 4
        a_row = next(
            (n for n in (len(options), 4, 2) if 1 < n <= 5 and widest * n <= self._layout.measure),
            1,
        )
        for start in range(0, len(options), a_row):
            row = options[start : start + a_row]
            if a_row == 1:
                self._labelled(f"{letter(start)}.", row[0], item)
                continue
            line = etree.SubElement(item, "p", {"class": "options"})
            for i, option in enumerate(row, start):
                cell = etree.SubElement(line, "span", {"class": f"option of-{a_row}"})
                cell.text = f"{letter(i)}. "
                _move(option[0], cell)
                cell.tail = " "

    def _labelled(self, label: str, blocks: Blocks, item: etree._Element) -> None:
        line = etree.SubElement(item, "p", {"class": "choice"})
        line.text = f"{label} "
        rest = blocks
        if blocks and blocks[0].tag == "p":
            _move(blocks[0], line)
            rest = blocks[1:]
        item.extend(copy.deepcopy(block) for block in rest)

    def _room(self, shown: Shown, item: etree._Element) -> None:
        kind = shown.question.kind
        if kind in ("choice", "true_false", "matching"):
            line = etree.SubElement(item, "p", {"class": "reply"})
            line.text = self._word("reply") + " "
            etree.SubElement(line, "span", {"class": "rule"})
            return
        box = etree.SubElement(item, "div", {"class": "lines"})
        for _ in range(7 if kind == "essay" else 3):
            etree.SubElement(box, "div", {"class": "line"})

    def _answer(self, shown: Shown, item: etree._Element, *, labelled: bool) -> None:
        letters = answer_words(shown, self._language)
        if not letters and not shown.answer:
            return
        line = etree.SubElement(item, "p", {"class": "answer"})
        if labelled:
            etree.SubElement(line, "strong").text = self._word("answer")
            line[-1].tail = " "
        if letters:
            _append(line, letters)
            return
        if shown.answer[0].tag == "p":
            _move(shown.answer[0], line)
            item.extend(copy.deepcopy(block) for block in shown.answer[1:])
        else:
            item.extend(copy.deepcopy(block) for block in shown.answer)

    def _solution(self, shown: Shown, item: etree._Element) -> None:
        blocks = [copy.deepcopy(block) for block in shown.solution]
        if not blocks:
            return
        text = "".join(map(str, blocks[0].itertext())).lstrip()
        own = text.startswith(("【", "解析", "解:", "解：", "Solution"))
        if not own:
            first = blocks[0]
            if first.tag != "p":
                first = etree.Element("p")
                blocks.insert(0, first)
            label = etree.Element("strong")
            label.text = self._word("solution")
            label.tail = " " + (first.text or "")
            first.text = None
            first.insert(0, label)
        box = etree.SubElement(item, "div", {"class": "solution"})
        box.extend(blocks)

    def _key(self, numbered: Sequence[tuple[int, Shown]], parent: etree._Element) -> None:
        asked = [entry for entry in numbered if entry[1].question.kind != "description"]
        short = [(n, q) for n, q in asked if 0 < _answer_width(q, self._language) <= 6]
        if len(short) > 1:
            self._key_table(short, parent)
        tabled = {n for n, _ in short} if len(short) > 1 else set()
        rest = [
            (n, q)
            for n, q in asked
            if (n not in tabled and (q.answer or answer_words(q, self._language)))
            or (self._layout.solutions and q.solution)
        ]
        if not rest:
            return
        listed = etree.SubElement(parent, "ol", {"class": "questions", "start": str(rest[0][0])})
        for number, shown in rest:
            item = etree.SubElement(listed, "li", {"value": str(number)})
            if number not in tabled:
                self._answer(shown, item, labelled=bool(shown.solution))
            if self._layout.solutions:
                self._solution(shown, item)

    def _key_table(self, short: Sequence[tuple[int, Shown]], parent: etree._Element) -> None:
        a_row = 10 if self._layout.measure > 60 else 5
        table = etree.SubElement(parent, "table", {"class": "key"})
        body = etree.SubElement(table, "tbody")
        for start in range(0, len(short), a_row):
            part = short[start : start + a_row]
            numbers = etree.SubElement(body, "tr")
            etree.SubElement(numbers, "th").text = self._word("question")
            answers = etree.SubElement(body, "tr")
            etree.SubElement(answers, "th").text = self._word("answer").strip("【】:")
            for number, shown in part:
                etree.SubElement(numbers, "td").text = str(number)
                cell = etree.SubElement(answers, "td")
                letters = answer_words(shown, self._language)
                if letters:
                    cell.text = letters
                else:
                    _move(shown.answer[0], cell)

    def _word(self, key: str) -> str:
        return self._words[key]

    def _pick(self, what: str, count: int) -> int:
        digest = hashlib.blake2b(f"{self._seed}\0{what}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) % count


def _numbered(questions: Sequence[Shown]) -> list[tuple[int, Shown]]:
    """Number what is asked from 1; a text to read has no number of its own."""
    numbered, number = [], 1
    for shown in questions:
        numbered.append((number, shown))
        number += shown.question.kind != "description"
    return numbered


def _shape(shown: Shown) -> str:
    """A picture much higher than wide is shown larger: often it is several in one."""
    asset = shown.assets[shown.figures[0]]
    if asset.media_type == SVG_TYPE:
        return "single"
    info = inspect(asset.data)
    return "tall" if info.height > 1.5 * info.width else "single"


def _points(shown: Shown) -> float:
    try:
        points = float(shown.question.points)
    except ValueError:
        return 0.0
    return points if 0 < points < 1000 else 0.0


def _tidy(subject: str) -> str:
    return " ".join(subject.replace("_", " ").split())[:60]


def _answer_width(shown: Shown, language: str) -> float:
    letters = answer_words(shown, language)
    if letters:
        return len(letters)
    return width(shown.answer) if shown.answer else 0.0


def _mark_points(stem: Blocks, word: str, *, before: bool) -> None:
    if not stem or stem[0].tag != "p":
        stem.insert(0, _paragraph(word))
    elif before:
        stem[0].text = word + (stem[0].text or "")
    else:
        last = stem[-1] if stem[-1].tag == "p" else stem[0]
        _append(last, " " + word)


def _paragraph(text: str) -> etree._Element:
    made = etree.Element("p")
    made.text = text
    return made


def _spread(line: etree._Element, texts: Sequence[str]) -> None:
    for text in texts:
        field = etree.SubElement(line, "span", {"class": "field"})
        field.text = text
        field.tail = " "


def _append(element: etree._Element, text: str) -> None:
    if len(element):
        element[-1].tail = (element[-1].tail or "") + text
    else:
        element.text = (element.text or "") + text


def _move(source: etree._Element, target: etree._Element) -> None:
    """Copy a paragraph's content to the end of another element."""
    copied = copy.deepcopy(source)
    _append(target, copied.text or "")
    target.extend(list(copied))
