"""In: `notebooks/src/*.md`. Out: `notebooks/*.ipynb`, executed, byte-stable on one machine.

A source is Markdown. Its first lines say `key: value` until a `---`: `kernel` (python3, ir,
julia-1.10), `nbformat` (3 or 4), `errors` (allow). A fence of the kernel's language is a code
cell, everything between fences is a Markdown cell. In the R and Julia sources a fence
```python stand-in makes the figure of the code cell before it (their kernels are not at hand
here; matplotlib draws what that code would draw), and ```output is its printed output.

Needs matplotlib, numpy, pandas, nbclient, ipykernel, nbformat and Noto Sans CJK in a throwaway
environment; none of them is needed to use the samples:

    python -m venv ../nb && ../nb/bin/pip install matplotlib numpy pandas nbclient ipykernel
    ../nb/bin/python samples/build_notebooks.py [NAME ...]
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
)

HERE = Path(__file__).parent / "notebooks"
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
LANGUAGES = {"python3": "python", "ir": "r", "julia-1.10": "julia"}
SPECS = {
    "python3": (
        {"display_name": "Python 3", "language": "python", "name": "python3"},
        {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
    ),
    "ir": (
        {"display_name": "R", "language": "R", "name": "ir"},
        {"name": "R", "file_extension": ".r", "mimetype": "text/x-r-source"},
    ),
    "julia-1.10": (
        {"display_name": "Julia 1.10", "language": "julia", "name": "julia-1.10"},
        {"name": "julia", "file_extension": ".jl", "mimetype": "application/julia"},
    ),
}
#: Same figure, same bytes: no dates in the SVG, no random ids.
QUIET = (
    "import matplotlib, os, warnings\n"
    "os.environ['SOURCE_DATE_EPOCH'] = '1767225600'\n"
    "matplotlib.rcParams['svg.hashsalt'] = 'samples'\n"
    "warnings.filterwarnings('ignore')\n"
    "get_ipython().run_line_magic('matplotlib', 'inline')\n"
    "get_ipython().run_line_magic("
    "'config', \"InlineBackend.print_figure_kwargs = {'bbox_inches': 'tight', 'dpi': 80}\")\n"
)


def main() -> None:
    """Build all notebooks, or those named."""
    for source in sorted((HERE / "src").glob("*.md")):
        if not sys.argv[1:] or source.stem in sys.argv[1:]:
            target = HERE / f"{source.stem}.ipynb"
            target.write_text(build(source.read_text("utf-8")), "utf-8")
            print(target.name, target.stat().st_size)


def build(text: str) -> str:
    """Turn one source into the JSON of its executed notebook."""
    head, _, body = text.partition("---\n")
    options = dict(re.findall(r"^(\w+): (.*)$", head, re.M))
    kernel = options.get("kernel", "python3")
    cells, stand_ins = parse(body, LANGUAGES[kernel])
    if kernel == "python3":
        cells = execute(cells, options.get("errors") == "allow")
    else:
        drawn = execute([new_code_cell(code) for _, code in stand_ins], False)
        for (owner, _), made in zip(stand_ins, drawn, strict=True):
            cells[owner].outputs += [o for o in made.outputs if o.output_type == "display_data"]
        for count, cell in enumerate((c for c in cells if c.cell_type == "code"), 1):
            cell.execution_count = count
    spec, language = SPECS[kernel]
    book = new_notebook(cells=cells, metadata={"kernelspec": spec, "language_info": language})
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number:02d}"
        cell.metadata.clear()
    nbformat.validate(book)
    if options.get("nbformat") == "3":
        book = nbformat.convert(book, 3)
        nbformat.validate(book, version=3)
    return nbformat.writes(book, version=nbformat.NO_CONVERT) + "\n"


def parse(body: str, language: str) -> tuple[list, list[tuple[int, str]]]:
    """Split a source into cells; stand-ins come apart, each with the index of its cell."""
    cells, stand_ins, at = [], [], 0
    for fence in [*FENCE.finditer(body), None]:
        prose = body[at : fence.start() if fence else len(body)].strip()
        if prose:
            cells.append(new_markdown_cell(prose))
        if fence is None:
            break
        at, kind, code = fence.end(), fence[1].strip(), fence[2].rstrip("\n")
        if kind == language:
            cells.append(new_code_cell(code))
        elif kind == "python stand-in":
            stand_ins.append((len(cells) - 1, code))
        elif kind == "output":
            cells[-1].outputs.append(new_output("stream", name="stdout", text=code + "\n"))
        else:
            raise SystemExit(f"unknown fence {kind!r}")
    return cells, stand_ins


def execute(cells: list, allow_errors: bool) -> list:
    """Run the cells in a fresh kernel and an empty folder; the outputs come back in them."""
    book = new_notebook(cells=[new_code_cell(QUIET), *cells], metadata={})
    book.metadata["kernelspec"] = SPECS["python3"][0]
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            book,
            timeout=120,
            allow_errors=allow_errors,
            store_widget_state=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    made = book.cells[1:]
    for cell in made:
        if cell.cell_type == "code":
            cell.execution_count -= 1
            for output in cell.outputs:
                if "execution_count" in output:
                    output["execution_count"] = cell.execution_count
                if output.output_type == "error":  # a traceback names files of this machine
                    output.traceback = [x.replace(sys.prefix, "/usr") for x in output.traceback]
    return made


if __name__ == "__main__":
    main()
