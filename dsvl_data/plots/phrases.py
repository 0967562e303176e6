"""How questions are put, in English and Chinese, several ways each.

`{m}` is the measure, `{l}` what the labels are, `{a}` what the series are, `{x}` and `{y}` labels,
`{s}` a series.
"""

from __future__ import annotations

from collections.abc import Mapping

from dsvl_data.plots.chart import ChartKind, Words

_Phrases = Mapping[Words, tuple[str, ...]]

NOUNS: Mapping[ChartKind, Mapping[Words, str]] = {
    "bar": {"en": "bars", "zh": "根柱子"},
    "horizontal_bar": {"en": "bars", "zh": "根条形"},
    "lollipop": {"en": "stems", "zh": "根线杆"},
    "pie": {"en": "slices", "zh": "个扇区"},
    "donut": {"en": "segments", "zh": "个扇区"},
}

PHRASES: Mapping[str, _Phrases] = {
    "count": {
        "en": ("How many {noun} does the chart have?", "How many {noun} are shown?"),
        "zh": ("图中共有多少{noun}？", "图表显示了多少{noun}？"),
    },
    "largest": {
        "en": ("Which {l} has the highest {m}?", "For which {l} is the {m} highest?"),
        "zh": ("哪个{l}的{m}最高？", "{m}最大的{l}是哪个？"),
    },
    "smallest": {
        "en": ("Which {l} has the lowest {m}?", "For which {l} is the {m} lowest?"),
        "zh": ("哪个{l}的{m}最低？", "{m}最小的{l}是哪个？"),
    },
    "second": {
        "en": ("Which {l} has the second highest {m}?",),
        "zh": ("哪个{l}的{m}排第二高？",),
    },
    "largest_when": {
        "en": ("When was the {m} highest?", "At which {l} does the {m} reach its maximum?"),
        "zh": ("{m}何时最高？", "{m}在哪个{l}达到最大？"),
    },
    "smallest_when": {
        "en": ("When was the {m} lowest?", "At which {l} does the {m} reach its minimum?"),
        "zh": ("{m}何时最低？", "{m}在哪个{l}达到最小？"),
    },
    "second_when": {
        "en": ("At which {l} is the {m} second highest?",),
        "zh": ("{m}第二高出现在哪个{l}？",),
    },
    "larger": {
        "en": ("Which has the higher {m}, {x} or {y}?", "Is the {m} higher for {x} or for {y}?"),
        "zh": ("{x}和{y}，哪个的{m}更高？", "{x}与{y}相比，哪个{m}更大？"),
    },
    "rise": {
        "en": ("Is the {m} higher at the end of the period ({x}) than at its start ({y})?",
               "Did the {m} go up from the first point shown ({y}) to the last ({x})?"),
        "zh": ("期末（{x}）的{m}是否高于期初（{y}）？", "从起点{y}到终点{x}，{m}是否上升？"),
    },
    "lookup": {
        "en": ("What is the {m} of {x}?", "What {m} does the chart show for {x}?"),
        "zh": ("{x}的{m}是多少？", "图中{x}对应的{m}是多少？"),
    },
    "gap": {
        "en": (
            "By how much does the {m} of {x} exceed that of {y}?",
            "What is the difference in {m} between {x} and {y}?",
        ),
        "zh": ("{x}的{m}比{y}高多少？", "{x}与{y}的{m}相差多少？"),
    },
    "above": {
        "en": ("How many values of the {m} are above {t}?", "How often is the {m} above {t}?"),
        "zh": ("{m}高于{t}的有几个？", "有多少项的{m}超过{t}？"),
    },
    "total": {
        "en": ("What is the sum of all values shown?", "What do all the values add up to?"),
        "zh": ("图中所有数值之和是多少？", "各项{m}合计是多少？"),
    },
    "share": {
        "en": ("What percentage of the total is {x}? Round to 1 decimal place.",),
        "zh": ("{x}占总数的百分之几？保留1位小数。",),
    },
    "average": {
        "en": (
            "What is the average of the values shown? Round to {p}.",
            "What is the mean of all values in the chart, rounded to {p}?",
        ),
        "zh": ("图中各数值的平均值是多少？保留{p}。", "这些数值的平均数是多少（保留{p}）？"),
    },
    "series": {
        "en": ("How many entries does the legend list?", "How many entries has the legend?"),
        "zh": ("图例中共有几项？", "图例列出了几种{a}？"),
    },
    "columns": {
        "en": ("How many columns does the heat map have?",),
        "zh": ("热力图共有几列？",),
    },
    "largest_of": {
        "en": ("Which {a} has the highest {m} for {x}?", "Which {a} is highest for {x}?"),
        "zh": ("{x}处，哪个{a}的{m}最高？", "在{x}，{m}最大的{a}是哪个？"),
    },
    "smallest_of": {
        "en": ("Which {a} has the lowest {m} for {x}?", "Which {a} is lowest for {x}?"),
        "zh": ("{x}处，哪个{a}的{m}最低？", "在{x}，{m}最小的{a}是哪个？"),
    },
    "peak": {
        "en": ("For which {l} is {s} highest?", "Where does {s} have its highest value?"),
        "zh": ("{s}在哪个{l}最高？", "{s}的最大值出现在哪个{l}？"),
    },
    "least": {
        "en": ("For which {l} is {s} lowest?", "Where does {s} have its lowest value?"),
        "zh": ("{s}在哪个{l}最低？", "{s}的最小值出现在哪个{l}？"),
    },
    "rise_of": {
        "en": ("Is {s} higher at the end of the period ({x}) than at its start ({y})?",
               "Did {s} go up from the first point shown ({y}) to the last ({x})?"),
        "zh": ("{s}在期末（{x}）是否高于期初（{y}）？", "从起点{y}到终点{x}，{s}是否上升？"),
    },
    "cell": {
        "en": ("What is the value of {s} for {x}?", "What value does the chart give {s} for {x}?"),
        "zh": ("{x}的{s}数值是多少？", "{s}在{x}的数值是多少？"),
    },
    "gap_of": {
        "en": (
            "By how much is {s} higher for {x} than for {y}?",
            "What is the difference between {x} and {y} for {s}?",
        ),
        "zh": ("{s}在{x}比在{y}高多少？", "就{s}而言，{x}与{y}相差多少？"),
    },
    "total_of": {
        "en": ("What do all values for {x} add up to?", "What is the total for {x}?"),
        "zh": ("{x}的各项数值合计是多少？", "{x}的总和是多少？"),
    },
    "hottest": {
        "en": ("Which combination of {l} and {a} has the highest {m}?",),
        "zh": ("哪一组{l}与{a}的{m}最高？",),
    },
    "relation": {
        "en": ("How are {x} and {y} related?", "What relation between {x} and {y} can be seen?"),
        "zh": ("{x}与{y}有什么关系？", "图中{x}和{y}呈现怎样的关系？"),
    },
    "groups": {
        "en": ("How many {a} groups does the legend list?",),
        "zh": ("图例中列出了多少种{a}？",),
    },
    "rightmost": {
        "en": ("Which {a} has the point farthest to the right?",
               "To which {a} does the point with the largest {n} belong?"),
        "zh": ("最靠右的点属于哪个{a}？", "{n}最大的点属于哪个{a}？"),
    },
    "topmost": {
        "en": ("Which {a} has the highest point in the chart?",
               "To which {a} does the point with the largest {n} belong?"),
        "zh": ("图中最高的点属于哪个{a}？", "{n}最大的点属于哪个{a}？"),
    },
    "bin_most": {
        "en": ("Which interval of {l} has the most rows?", "Where is the tallest bar?"),
        "zh": ("哪个{l}区间的数量最多？", "最高的柱子对应哪个区间？"),
    },
    "bin": {
        "en": ("What is the count between {f} and {t}?",
               "How many rows fall in the interval from {f} to {t}?"),
        "zh": ("{f}至{t}区间内有多少个？", "{l}在{f}到{t}之间的数量是多少？"),
    },
    "bin_total": {
        "en": ("How many rows do all bars together stand for?", "What is the sum of all counts?"),
        "zh": ("所有柱子的数量合计是多少？", "各区间的数量之和是多少？"),
    },
    "bin_below": {
        "en": ("How many rows lie in the intervals to the left of {t}?",),
        "zh": ("{t}左侧各区间的数量合计是多少？",),
    },
    "bins": {
        "en": ("Into how many intervals is {l} divided?", "How many intervals are there?"),
        "zh": ("{l}被分成了多少个区间？", "图中共有多少个区间？"),
    },
    "boxes": {
        "en": ("How many boxes are drawn?", "How many {l} groups are compared?"),
        "zh": ("图中有多少个箱体？", "共比较了多少组{l}？"),
    },
    "median_most": {
        "en": ("Which {l} has the highest median {m}?",),
        "zh": ("哪个{l}的{m}中位数最高？",),
    },
    "median_least": {
        "en": ("Which {l} has the lowest median {m}?",),
        "zh": ("哪个{l}的{m}中位数最低？",),
    },
    "reach_most": {
        "en": ("For which {l} does the upper whisker reach highest?",),
        "zh": ("哪个{l}的上须最高？",),
    },
    "range_most": {
        "en": ("Which {l} has the widest range from minimum to maximum?",),
        "zh": ("哪个{l}从最小值到最大值的跨度最大？",),
    },
}  # fmt: skip
