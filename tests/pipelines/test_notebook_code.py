"""Line counts, magics and slices of notebook code."""

from __future__ import annotations

import ast
import contextlib
import io
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.notebook_code import Code, comments, count_lines, plain, standalone


def slice_of(*cells: str) -> str:
    """The standalone text of the last cell, by the slice."""
    found = standalone([plain(textwrap.dedent(cell).strip("\n"), "python") for cell in cells])
    assert found.method == "slice"
    ast.parse(found.text)
    return found.text


def lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", 0),
        ("# only\n\n# comments", 0),
        ("x = 1\n\n# c\ny = 2  # d", 2),
        ('"""Docstring\nof two lines"""\nx = 1', 1),
        ('def f():\n    """Doc."""\n    return 1', 2),
        ("x = '''a\n# no comment\n\nb'''", 3),
        ("f(\n    1,\n    # c\n    2,\n)", 4),
        ("%matplotlib inline\n!pip install x\nx = 1", 1),
        ("%%time\nx = 1\ny = 2", 2),
        ("%time x = f()", 1),
        ("print 'python 2'\n# c\nx = 1", 2),
    ],
)
def test_only_lines_that_do_something_count(source: str, expected: int) -> None:
    assert count_lines(plain(source, "python")) == expected


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        ("r", "# c\nplot(1)\n\nlines(2)", 2),
        ("julia", "# c\nx = 1", 1),
        ("javascript", "// c\nlet x = 1;", 1),
        ("sql", "-- c\nselect 1", 1),
        ("unheard-of", "x\n# c", 1),
    ],
)
def test_other_languages_count_by_their_own_comments(
    language: str, source: str, expected: int
) -> None:
    assert count_lines(plain(source, language)) == expected


@pytest.mark.parametrize(
    ("source", "language", "text"),
    [
        ("%matplotlib inline\nx = 1", "python", "x = 1"),
        ("!pip install a \\\n  b\nx = 1", "python", "x = 1"),
        ("df?\n?df\ndf.head??\nx = 1", "python", "x = 1"),
        ("files = !ls\nx = 1", "python", "x = 1"),
        ("if a:\n    %matplotlib inline\nx = 1", "python", "if a:\n    pass\nx = 1"),
        ("%time x = f(1)", "python", "x = f(1)"),
        ("%pylab inline\nplot(x)", "python", "from pylab import *\nplot(x)"),
        ("%%time\nx = 1", "python", "x = 1"),
        ("%%capture out\n%%time\nx = 1", "python", "x = 1"),
        ("%%R -i df\nplot(df)", "r", "plot(df)"),
        ("%%bash\nls | wc", "bash", "ls | wc"),
        ("%%unknown\nselect * from x", "unknown", "select * from x"),
        # Not magics: a remainder, a string, a line that goes on.
        ("x = (7\n  % 3)", "python", "x = (7\n  % 3)"),
        (
            's = """\n%matplotlib inline\n!ls\n"""',
            "python",
            's = """\n%matplotlib inline\n!ls\n"""',
        ),
        ('s = """\n%d\n"""\n%matplotlib inline', "python", 's = """\n%d\n"""'),
        ("x = 7 \\\n  % 3\n!ls", "python", "x = 7 \\\n  % 3"),
        ("s = 'it''s' # (\n!ls\ny = 1", "python", "s = 'it''s' # (\ny = 1"),
    ],
)
def test_magics_become_plain_code(source: str, language: str, text: str) -> None:
    code = plain(source, "python")
    assert (code.language, code.text) == (language, text)


def test_a_slice_takes_imports_data_and_functions_and_leaves_the_rest() -> None:
    text = slice_of(
        "import numpy as np\nimport os\nimport matplotlib.pyplot as plt",
        """
        def scale(x):
            return x * FACTOR

        def unused(x):
            return x
        """,
        "FACTOR = 3\nother = 4",
        "x = np.arange(5)\nprint(x)\nx",
        "y = scale(x)\nplt.plot(other)\nplt.show()",
        "plt.plot(x, y)",
    )
    assert lines(text) == [
        "import numpy as np",
        "import matplotlib.pyplot as plt",
        "def scale(x):",
        "    return x * FACTOR",
        "FACTOR = 3",
        "x = np.arange(5)",
        "y = scale(x)",
        "plt.plot(x, y)",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        'df["x"] = 1',
        "df.x = 1",
        "df.loc[0, 'x'] += 1",
        "df += 1",
        "del df['x']",
        "df.append(1)",
        "df.drop('x', inplace=True)",
        "for i in range(3):\n    df[i] = i",
        "if True:\n    df = 2",
        "try:\n    df = 2\nexcept ValueError:\n    pass",
        "with open('x') as file:\n    df.read(file)",
        "history = df.fit(1)",
        "np.fill_diagonal(df, 0)",
        "change(df)",
        "other = df\nother[0] = 1",
        "for row in df:\n    row['x'] = 1",
        "df, y = 1, 2",
        "(df := 3)",
        "poke()",
    ],
)
def test_what_changes_a_name_is_taken(statement: str) -> None:
    text = slice_of(
        "import numpy as np",
        "def change(frame):\n    frame['y'] = 2",
        "df = make()",
        "def poke():\n    df.x = 1",
        statement,
        "show(df)",
    )
    for line in statement.split("\n"):
        assert line in text.split("\n")


@pytest.mark.parametrize(
    "statement",
    [
        "df.head()",
        "print(df)",
        "df",
        "df.plot()",
        "m = df.mean()",
        "plt.plot(df)\nplt.title('earlier')",
        "other = 1",
        "len(df)",
        "look(df)",
        "df2 = df.copy()\ndf2['x'] = 1",
    ],
)
def test_what_only_looks_at_a_name_is_left(statement: str) -> None:
    text = slice_of(
        "import matplotlib.pyplot as plt",
        "def look(frame):\n    print(frame.shape)",
        "df = make()",
        statement,
        "plt.hist(df)",
    )
    assert lines(text) == ["import matplotlib.pyplot as plt", "df = make()", "plt.hist(df)"]


def test_settings_of_libraries_are_taken_under_any_name() -> None:
    text = slice_of(
        "from matplotlib import rcParams\nimport numpy as np",
        "rcParams['font.size'] = 20\nnp.random.seed(1)",
        "import matplotlib.pyplot as plt\nplt.style.use('ggplot')\nplt.title('earlier')",
        "plt.plot(np.random.rand(9))",
    )
    assert "rcParams['font.size'] = 20" in text
    assert "np.random.seed(1)" in text
    assert "plt.style.use('ggplot')" in text
    assert "earlier" not in text


def test_axes_of_an_earlier_cell_keep_what_was_drawn_on_them() -> None:
    text = slice_of(
        "import matplotlib.pyplot as plt\nfig, axes = plt.subplots(2)\nfig2, ax2 = plt.subplots()",
        "ax = axes[0]\nax.plot([1, 2])\nline, = axes[1].plot([3])\nax2.plot([4])",
        "fig.suptitle('both')\nfig",
    )
    assert "ax.plot([1, 2])" in text
    assert "line, = axes[1].plot([3])" in text
    assert "ax2.plot([4])" not in text


def test_a_function_needs_the_names_of_where_it_is_called() -> None:
    text = slice_of(
        "def f():\n    return N * g()",
        "def g():\n    return K",
        "N = 1\nK = 1",
        "a = f()",
        "N = 2",
        "b = f()",
        "plot(a)",
    )
    assert lines(text)[-3:] == ["K = 1", "a = f()", "plot(a)"]
    assert "N = 1" in text
    assert "N = 2" not in text


def test_an_object_that_was_given_a_function_needs_its_names_later() -> None:
    text = slice_of(
        "def log_prob(p):\n    return p * WIDTH",
        "sampler = Sampler(3, log_prob)",
        "WIDTH = 2",
        "sampler.run(100)",
        "hist(sampler.chain)",
    )
    assert "WIDTH = 2" in text
    assert "sampler.run(100)" in text


def test_rebinding_ends_the_need_for_what_was_before() -> None:
    text = slice_of("x = 1", "x.append(2)", "x = [3]", "plot(x)")
    assert lines(text) == ["x = [3]", "plot(x)"]


def test_unresolved_names_are_told_and_a_star_import_may_bring_them() -> None:
    cells = [plain(source, "python") for source in ("x = 1", "plot(x, mystery)\nprint(len([]))")]
    assert standalone(cells).unresolved == ("mystery", "plot")
    starred = [plain("from pylab import *", "python"), *cells]
    assert standalone(starred).unresolved == ()
    assert standalone(starred).text.startswith("from pylab import *")


def test_comprehensions_lambdas_and_classes_keep_their_own_names() -> None:
    text = slice_of(
        "i = 1\nrow = 2\nself = 3\nargs = 4",
        "key = lambda row: row[COLUMN]\nCOLUMN = 1",
        "class Model:\n    size = SIZE\n    def run(self, *args):\n        return DEPTH",
        "SIZE = 1\nDEPTH = 2",
        "plot([i for i in range(3)], key, Model().run())",
    )
    assert "i = 1" not in text
    assert "COLUMN = 1" in text
    assert "DEPTH = 2" in text


def test_future_imports_come_first_and_comments_stay_with_their_statement() -> None:
    text = slice_of(
        "# About something else.\n\nz = 1\n# The data.\nx = 1",
        "from __future__ import division\nplot(x)",
    )
    assert lines(text) == ["from __future__ import division", "# The data.", "x = 1", "plot(x)"]


def test_statements_on_one_line_stay_together_and_repeated_imports_do_not() -> None:
    text = slice_of(
        "import numpy as np\na = 1; b = 2",
        "x = np.ones(a)",
        "import numpy as np\nplot(x, np.e)",
    )
    assert "a = 1; b = 2" in text
    again = slice_of("import numpy as np", "x = np.ones(1)", "import numpy as np", "plot(x, np.e)")
    assert again.count("import numpy as np") == 1


def test_python_2_and_other_languages_give_whole_cells() -> None:
    old = [plain(s, "python") for s in ("x = 1\ny = 2", "print x", "plot(x)")]
    assert standalone(old).method == "whole_cells"
    assert standalone(old).text == "x = 1\ny = 2\n\nprint x\n\nplot(x)"
    r = [plain(s, "r") for s in ("x <- 1", "y <- 2", "plot(x)")]
    assert standalone(r).text == "x <- 1\n\ny <- 2\n\nplot(x)"
    mixed = [plain(s, "python") for s in ("x = 1", "%%R\ny <- 2", "z = 2", "%%R\nplot(y)")]
    assert standalone(mixed) == type(standalone(mixed))("y <- 2\n\nplot(y)", "whole_cells")


def test_comments_tell_the_natural_language() -> None:
    assert comments(Code("python", "x = 1  # die Daten\n# noch mehr\n")) == "die Daten\nnoch mehr"
    assert comments(Code("javascript", "// eins\nlet x;")) == "eins"


NAMES = st.sampled_from(["a", "b", "c", "d"])
STATEMENTS = st.one_of(
    st.builds("{} = [{}]".format, NAMES, st.integers(0, 9)),
    st.builds("{0} = {1} + [{2}]".format, NAMES, NAMES, st.integers(0, 9)),
    st.builds("{} = {}".format, NAMES, NAMES),
    st.builds("{} += {}[:3]".format, NAMES, NAMES),
    st.builds("{}.append({})".format, NAMES, st.integers(0, 9)),
    st.builds("{}[0] = {}".format, NAMES, st.integers(0, 9)),
    st.builds("push({}, {})".format, NAMES, st.integers(0, 9)),
    st.builds("{} = total({})".format, NAMES, NAMES),
    st.builds("{} = shared()".format, NAMES),
    st.builds("touch()".format),
    st.builds("if len({}) > 1: {} = [0]".format, NAMES, NAMES),
    st.builds("for i in range(2): {}.append(i)".format, NAMES),
    st.builds("{} = [v + 1 for v in {}]".format, NAMES, NAMES),
    st.builds("print({})".format, NAMES),
    st.builds("x, {} = {}, [1]".format, NAMES, NAMES),
    st.builds("def shared(): return {} + [7]".format, NAMES),
    st.builds("def touch(): {}.append(8)".format, NAMES),
    st.builds("{} = sorted({}, key=lambda v: -v * len({}))".format, NAMES, NAMES, NAMES),
)
SETUP = [
    "a, b, c, d = [1], [2], [3], [4]",
    "def push(target, value):\n    target.append(value)",
    "def total(values):\n    return [sum(values)]",
    "def shared(): return a + [5]",
    "def touch(): b.append(0)",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(STATEMENTS, min_size=1, max_size=4), max_size=6), NAMES)
def test_a_slice_computes_what_the_notebook_computed(bodies: list[list[str]], name: str) -> None:
    """The invariant: running the slice gives the figure the same data as running everything."""
    cells = [*SETUP, *("\n".join(body) for body in bodies), f"result = list({name})"]
    everything, alone = {}, {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec("\n".join(cells), everything)
        exec(slice_of(*cells), alone)
    assert alone["result"] == everything["result"]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab=+#%!?\"'\\()[]{}:\n \t1.,@", max_size=60))
def test_any_text_gives_code_and_never_an_error(source: str) -> None:
    code = plain(source, "python")
    assert count_lines(code) >= 0
    whole = standalone([plain("a = 1", "python"), code])
    assert code.language != "python" or not code.text.strip() or whole.text
