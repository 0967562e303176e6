"""The structure of the project: who may import whom, no circles, no dumping grounds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "dsvl_data": {"dsvl_data"},
    "pipelines": {"pipelines", "dsvl_data"},
    "taxonomy": {"taxonomy", "dsvl_data"},
    "model": {"model"},
    "train": {"train", "model", "dsvl_data"},
}
DOOR = Path("dsvl_data/cli.py")
FILES = sorted(
    path.relative_to(ROOT) for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py")
)


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Full names of the modules that a file imports."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    allowed = MAY_IMPORT[path.parts[0]]
    if path == DOOR:
        # The door may open every room, but only inside the command that needs it.
        allowed = set(MAY_IMPORT)
        early = {name.split(".")[0] for name in imports(path, top_level_only=True)}
        assert not early & (set(MAY_IMPORT) - {"dsvl_data"})
    ours = {name.split(".")[0] for name in imports(path)} & set(MAY_IMPORT)
    assert ours <= allowed, f"{path} imports {ours - allowed}"


@pytest.mark.parametrize("path", [f for f in FILES if f.parts[0] == "pipelines"], ids=str)
def test_a_pipeline_knows_nothing_of_the_engine(path: Path) -> None:
    leaks = [
        name for name in imports(path) if name.split(".")[0] == "ray" or "dsvl_data.engine" in name
    ]
    assert not leaks


def test_there_is_no_import_circle() -> None:
    modules = {module_name(path): path for path in FILES}
    graph = {
        name: {i for i in imports(path, top_level_only=True) if i in modules and i != name}
        for name, path in modules.items()
    }
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, "import circle: " + " -> ".join((*way, name))
        if name not in done:
            for following in sorted(graph[name]):
                walk(following, (*way, name))
            done.add(name)

    for name in graph:
        walk(name, ())


def test_no_file_is_a_dumping_ground() -> None:
    for path in FILES:
        assert path.stem not in {"utils", "util", "common", "helpers", "misc"}, path


@pytest.mark.parametrize("path", [f for f in FILES if (ROOT / f).stat().st_size], ids=str)
def test_a_file_says_what_it_is_for(path: Path) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{path} has no docstring"
