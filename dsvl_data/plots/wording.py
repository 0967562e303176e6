"""The words that we add to a chart: titles, axes and notes, in English and Chinese."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from dsvl_data.plots.chart import Words

MEAN = {"en": "mean {}", "zh": "平均{}"}
COUNT = {"en": "number of rows", "zh": "数量"}
VALUE = {"en": "value", "zh": "数值"}
SERIES = {"en": "series", "zh": "系列"}
RANGE = {"en": "{} to {}", "zh": "{} 至 {}"}
BOX = {
    "en": ("Minimum", "Lower quartile", "Median", "Upper quartile", "Maximum"),
    "zh": ("最小值", "下四分位数", "中位数", "上四分位数", "最大值"),
}
SIZE = {
    "en": "Area of a bubble: {name}, from {low} to {high}",
    "zh": "气泡面积：{name}，从{low}到{high}",
}
JOIN = {"en": "; ", "zh": "；"}
_SCALES = {
    "en": ((9, "billion"), (6, "million")),
    "zh": ((8, "亿"), (4, "万")),
}

_TITLES: Mapping[str, Mapping[Words, tuple[str, ...]]] = {
    "by": {
        "en": ("{m} by {l}", "{m} for each {l}", "{m}: comparison by {l}"),
        "zh": ("各{l}的{m}", "按{l}统计的{m}", "不同{l}的{m}对比"),
    },
    "top": {
        "en": ("Top {n} by {m}", "The {n} largest by {m}"),
        "zh": ("{m}前{n}名", "{m}最高的{n}项"),
    },
    "across": {
        "en": ("{m} by {l} and {a}", "{m} by {a}, for each {l}"),
        "zh": ("各{l}、各{a}的{m}", "按{l}和{a}统计的{m}"),
    },
    "several": {
        "en": ("{s} by {l}", "{l}: {s}"),
        "zh": ("各{l}的{s}", "{l}：{s}"),
    },
    "time": {
        "en": ("{m}, {f} to {t}", "{m} over time", "{m} from {f} to {t}"),
        "zh": ("{f}至{t}{m}变化", "{m}的变化趋势", "{m}（{f}—{t}）"),
    },
    "share": {
        "en": ("{m} by {l}", "Share of {m} by {l}"),
        "zh": ("{m}的{l}构成", "各{l}{m}分布"),
    },
    "points": {
        "en": ("{y} against {x}", "{y} and {x}", "{y} vs. {x}"),
        "zh": ("{x}与{y}的关系", "{y}与{x}"),
    },
    "spread": {
        "en": ("Distribution of {m}", "Spread of {m}"),
        "zh": ("{m}的分布", "{m}分布直方图"),
    },
    "boxes": {
        "en": ("Distribution of {m} by {l}", "Spread of {m} for each {l}"),
        "zh": ("各{l}{m}的分布", "不同{l}{m}的分布"),
    },
}  # fmt: skip

_NOTES = {
    "part": {"en": "{n} of {of} rows", "zh": "共{of}行，图中为{n}行"},
    "sample": {"en": "Random sample: {n} of {of} rows", "zh": "随机抽取{n}行（共{of}行）"},
    "mean": {"en": "Means of {n} rows", "zh": "{n}行数据的平均值"},
    "count": {"en": "{n} rows counted", "zh": "共统计{n}行"},
    "rows": {"en": "{n} rows", "zh": "共{n}行"},
    "missing": {"en": "{n} rows without a value left out", "zh": "缺失值{n}行未计入"},
    "points": {"en": "{n} of {of} points in time", "zh": "共{of}个时间点，图中为{n}个"},
    "first": {"en": "first {n} of {of} rows of the table", "zh": "取自表格{of}行中的前{n}行"},
}


def title(which: str, words: Words, rng: random.Random, **parts: object) -> str:
    """One of the titles of a kind, begun with a capital letter."""
    text: str = rng.choice(_TITLES[which][words]).format(**parts)
    return text[:1].upper() + text[1:]


def note(words: Words, *parts: tuple[str, int, int]) -> str:
    """Remarks joined to one line; each is (which, n, of) and left out where n is 0."""
    texts = [_NOTES[which][words].format(n=f"{n:,}", of=f"{of:,}") for which, n, of in parts if n]
    texts = [re.sub(r"^1 rows\b", "1 row", text) for text in texts]
    text = JOIN[words].join(texts)
    return text[:1].upper() + text[1:]


def listed(names: Sequence[str], words: Words) -> str:
    """Names in a row: a, b and c."""
    if words == "zh":
        return "、".join(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def scale_of(largest: object, words: Words) -> tuple[int, str]:
    """The power of ten, and its name, by which such numbers are shown; 0 for small ones."""
    digits = len(str(int(abs(float(str(largest))))))
    if digits <= 6:
        return 0, ""
    return next(((p, name) for p, name in _SCALES[words] if digits > p), (0, ""))


def with_scale(name: str, unit: str, scale: str, words: Words) -> tuple[str, str]:
    """An axis' name and unit when its numbers are shown in millions."""
    if not scale:
        return name, unit
    whole = f"{scale} {unit}".strip() if words == "en" else f"{scale}{unit}"
    bare = name.removesuffix(f"({unit})").rstrip() if unit else name
    shown = f"{scale}s" if words == "en" and not unit else whole
    return f"{bare} ({shown})", whole


def mean_name(name: str, words: Words) -> str:
    """What the means of a measure are called."""
    return MEAN[words].format(name)


def common_name(unit: str, words: Words) -> str:
    """What an axis is called that several measures share."""
    return f"{VALUE[words]} ({unit})" if unit else VALUE[words]
