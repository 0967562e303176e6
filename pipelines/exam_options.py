"""What a recipe can set for exams, and the mappings that say which field of a file is what.

In: a recipe's options. Out: the same, checked, and the mappings that they name, loaded.
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, field_validator

from dsvl_data.pipeline import PathOption, Settings
from dsvl_data.read.questions import Format, Mapping
from pipelines.exam_layouts import LAYOUTS

_MAPPINGS = Path(__file__).parent / "mappings"


class ExamOptions(Settings):
    """What a recipe can set for exams."""

    mapping: Annotated[str, PathOption(or_name=True)] = Field(
        "auto",
        description="which field is what: the name of a mapping that comes with the project, the "
        "path of a YAML file, or auto: the first of the project's that fits a file",
    )
    format: Format | None = Field(
        None, description="format of the files; by default each file's suffix says it"
    )
    slice_rows: int = Field(
        200, ge=1, le=100_000, description="records a document, where a file can be cut"
    )
    questions_per_paper: int = Field(
        8, ge=1, le=100, description="questions a paper, give or take a half"
    )
    layouts: tuple[str, ...] = Field((), description="names of the layouts to use; empty: all")
    longest_side: int = Field(
        1024, ge=256, le=4096, description="longer side of a page image in pixels"
    )
    seed: int = Field(0, description="decides which paper gets which layout and title")
    print_seconds: float = Field(
        60, gt=0, description="wall-clock seconds that one paper's print may take"
    )

    @field_validator("layouts")
    @classmethod
    def _known_layouts(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in LAYOUTS:
                near = difflib.get_close_matches(name, LAYOUTS, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"no layout is called {name!r}{hint}")
        if names and all(LAYOUTS[name].languages for name in names):
            raise ValueError("name one layout that is for every language")
        return names

    @field_validator("mapping")
    @classmethod
    def _sound_mapping(cls, value: str) -> str:
        load_mappings(value)
        return value


@cache
def load_mappings(name: str) -> tuple[Mapping, ...]:
    """Return the mappings that an option names. `ValueError` says which file and key is wrong."""
    known = {path.stem: path for path in sorted(_MAPPINGS.glob("*.yaml"))}
    if name == "auto":
        return tuple(_load_mapping(path) for path in known.values())
    path = known.get(name, Path(name))
    if not path.is_file():
        raise ValueError(
            f"there is no mapping {name!r}: it is a YAML file, or one of {', '.join(known)}"
        )
    return (_load_mapping(path),)


def _load_mapping(path: Path) -> Mapping:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Mapping.model_validate(loaded)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        hint = ""
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(first["loc"][-1]), Mapping.model_fields, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{path}: {key}: {first['msg']}{hint}") from error
