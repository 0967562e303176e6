"""The layouts of exam papers, and every word on a paper that is not a question's own.

The words are in Chinese for Chinese papers and in English for all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dsvl_data.read.questions.record import Kind
from pipelines.exam_text import Shown


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

TITLES = {
    "en": ("Practice paper", "Unit test", "End-of-term examination", "Revision paper",
           "Class test", "Mock examination", "Problem set"),
    "zh": ("单元测试卷", "期中练习卷", "期末模拟试卷", "课堂检测", "阶段性质量检测", "综合练习",
           "考前模拟试题"),
}  # fmt: skip
KEY_TITLES = {
    "en": ("Answer key", "Answers and solutions", "Marking guide"),
    "zh": ("参考答案", "参考答案与解析", "答案及评分参考"),
}
WORDS = {
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
SECTIONS: dict[Kind, str] = {
    "choice": "选择题", "true_false": "判断题", "matching": "连线题", "short": "填空题",
    "essay": "解答题", "description": "阅读材料",
}  # fmt: skip
NUMERALS = "一二三四五六七八九十"
NOTICES = (
    (
        "答题前，请先在规定的位置写清自己的姓名和班级。",
        "选择题每题选出答案后，把字母填在题后的括号里。",
        "保持卷面整洁，字迹清楚；交卷前请再检查一遍。",
    ),
    (
        "本卷包括若干道小题，请合理安排时间。",
        "作图先用铅笔，确认后再描黑。",
        "写在草稿纸上的答案不计分。",
    ),
)


def answer_words(shown: Shown, language: str) -> str:
    """The answer as the letters of options; empty where it is none of them."""
    question, sign = shown.question, words_of(language)
    if question.kind == "matching":
        pairs = [f"({i}) {letter(c)}" for i, c in enumerate(question.correct, 1)]
        return sign["between"].join(pairs)
    if question.kind == "true_false" and question.correct:
        return letter(question.correct[0])
    return "".join(letter(index) for index in question.correct)


def words_of(language: str) -> dict[str, str]:
    """Our words in a language; in English where we have none."""
    return WORDS.get(language, WORDS["en"])


def letter(index: int) -> str:
    """The letter of an option."""
    return chr(ord("A") + index)
