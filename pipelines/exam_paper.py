"""Questions on a paper: layouts, the words they need, and the clean HTML of a whole paper.

In: `Shown` questions of one language and a `Layout`. Out: a `Chapter`. Every word on the
paper that is not a question's own is written here.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from dsvl_data.read.questions.record import Kind
from dsvl_data.render.pages import Asset, Chapter
from pipelines.exam_text import Blocks, Shown, figure, width


@dataclass(frozen=True)
class Layout:
    """What a paper shows besides its look, which is the template's of the same name.

    `measure` is how many letters of half an em fit on a line. `answers`: none, after each
    question, at the end, or nothing but answers. `lines` is room to write, `sections` groups
    by kind of question under numbered headings, `languages` are those the layout is for.
    """

    measure: int
    answers: Literal["none", "each", "end", "only"] = "none"
    solutions: bool = False
    lines: bool = False
    sections: bool = False
    student: bool = True
    notice: bool = False
    languages: tuple[str, ...] = ()

    def suits(self, questions: Sequence[Shown], language: str) -> bool:
        """Whether these questions have what the layout shows."""
        if self.languages and language not in self.languages:
            return False
        if self.answers in ("each", "only"):
            return all(answer_words(q, language) or q.answer or q.solution for q in questions)
        return self.answers == "none" or any(answer_words(q, language) for q in questions)


#: By the name of the template in `render/templates/papers`.
LAYOUTS: dict[str, Layout] = {
    "one_column": Layout(measure=88),
    "two_columns": Layout(measure=44),
    "worked_examples": Layout(measure=84, answers="each", solutions=True, student=False),
    "workbook": Layout(measure=66, lines=True),
    "answer_key": Layout(measure=80, answers="only", solutions=True, student=False),
    "revision_sheet": Layout(measure=44, answers="end", student=False),
    "chinese_exam": Layout(measure=76, sections=True, notice=True, languages=("zh",)),
    "chinese_exam_wide": Layout(
        measure=50, sections=True, notice=True, answers="end", languages=("zh",)
    ),
    "chinese_explained": Layout(
        measure=80, answers="each", solutions=True, student=False, languages=("zh",)
    ),
    "pocket_quiz": Layout(measure=52, answers="end", solutions=True, student=False),
}

_TITLES = {
    "en": ("Practice paper", "Unit test", "End-of-term examination", "Revision paper",
           "Class test", "Mock examination", "Problem set"),
    "zh": ("单元测试卷", "期中练习卷", "期末模拟试卷", "课堂检测", "阶段性质量检测", "综合练习",
           "考前模拟试题"),
}  # fmt: skip
_KEY_TITLES = {
    "en": ("Answer key", "Answers and solutions", "Marking guide"),
    "zh": ("参考答案", "参考答案与解析", "答案及评分参考"),
}
_WORDS = {
    "en": {
        "subject": "Subject", "grade": "Grade", "name": "Name", "class": "Class",
        "date": "Date", "score": "Score", "total": "Total: {} points", "points": "({} points)",
        "point": "({} point)", "answer": "Answer:", "solution": "Solution.",
        "answers": "Answers", "solutions": "Solutions", "question": "Question",
        "true": "True", "false": "False", "colon": ": ", "reply": "Answer:",
        "between": "; ",
    },
    "zh": {
        "subject": "科目", "grade": "年级", "name": "姓名", "class": "班级", "date": "日期",
        "score": "得分", "total": "满分：{} 分", "points": "（{} 分）", "point": "（{} 分）",
        "answer": "【答案】", "solution": "【解析】", "answers": "参考答案", "solutions": "解析",
        "question": "题号", "true": "正确", "false": "错误", "colon": "：", "reply": "答：",
        "between": "；",
    },
}  # fmt: skip
_SECTIONS: dict[Kind, str] = {
    "choice": "选择题", "true_false": "判断题", "matching": "连线题", "short": "填空题",
    "essay": "解答题", "description": "阅读材料",
}  # fmt: skip
_NUMERALS = "一二三四五六七八九十"
_NOTICES = (
    ("答题前，请先在规定的位置写清自己的姓名和班级。", "选择题每题选出答案后，把字母填在题后的括号里。",
     "保持卷面整洁，字迹清楚；交卷前请再检查一遍。"),
    ("本卷包括若干道小题，请合理安排时间。", "作图先用铅笔，确认后再描黑。", "写在草稿纸上的答案不计分。"),
)  # fmt: skip


def make_paper(
    questions: Sequence[Shown], layout: Layout, language: str, seed: str
) -> Chapter:
    """Lay questions of one language out; `seed` decides between wordings."""
    paper = _Paper(layout, language, seed)
    return paper.chapter(questions)


def answer_words(shown: Shown, language: str) -> str:
    """The answer as the letters of options; empty where it is none of them."""
    question, sign = shown.question, _words(language)
    if question.kind == "matching":
        pairs = [f"({i}) {_letter(c)}" for i, c in enumerate(question.correct, 1)]
        return sign["between"].join(pairs)
    if question.kind == "true_false" and question.correct:
        return _letter(question.correct[0])
    return "".join(_letter(index) for index in question.correct)


class _Paper:
    def __init__(self, layout: Layout, language: str, seed: str) -> None:
        self._layout = layout
        self._language = language
        self._seed = seed
        self._words = _words(language)
        self._article = etree.Element("article", {"lang": language})

    def chapter(self, questions: Sequence[Shown]) -> Chapter:
        if self._layout.sections:
            order = list(_SECTIONS)
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
        known = _KEY_TITLES if self._layout.answers == "only" else _TITLES
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
            notices = _NOTICES[self._pick("notice", len(_NOTICES))]
            box = etree.SubElement(header, "div", {"class": "notice"})
            etree.SubElement(etree.SubElement(box, "p"), "strong").text = "注意事项："
            listed = etree.SubElement(box, "ol")
            for notice in notices:
                etree.SubElement(listed, "li").text = notice
        return f"{subject} {title}".strip()

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
                f"{_NUMERALS[section % 10]}、{_SECTIONS[kind]}（本大题共 {len(asked) or len(group)} "
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
                listed = etree.SubElement(parent, "ol", {"class": "questions", "start": str(number)})
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
            box.set("class", "several" if len(shown.figures) > 1 else "single")
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
            (n for n in (len(options), 4, 2) if 1 < n <= 5 and widest * n <= self._layout.measure), 1
        )
        for start in range(0, len(options), a_row):
            row = options[start : start + a_row]
            if a_row == 1:
                self._labelled(f"{_letter(start)}.", row[0], item)
                continue
            line = etree.SubElement(item, "p", {"class": "options"})
            for i, option in enumerate(row, start):
                cell = etree.SubElement(line, "span", {"class": f"option of-{a_row}"})
                cell.text = f"{_letter(i)}. "
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
            line[-1].tail = "" if self._language == "zh" else " "
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
        text = "".join(blocks[0].itertext()).lstrip()
        own = text.startswith(("【", "解析", "解:", "解：", "Solution"))
        if not own:
            first = blocks[0]
            if first.tag != "p":
                first = etree.Element("p")
                blocks.insert(0, first)
            label = etree.Element("strong")
            label.text = self._word("solution")
            label.tail = ("" if self._language == "zh" else " ") + (first.text or "")
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


def _words(language: str) -> dict[str, str]:
    return _WORDS.get(language, _WORDS["en"])


def _numbered(questions: Sequence[Shown]) -> list[tuple[int, Shown]]:
    """Number what is asked from 1; a text to read has no number of its own."""
    numbered, number = [], 1
    for shown in questions:
        numbered.append((number, shown))
        number += shown.question.kind != "description"
    return numbered


def _letter(index: int) -> str:
    return chr(ord("A") + index)


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
