"""A recipe: one YAML file that says what goes into a corpus, and every value of it.

In: YAML. Out: a validated, immutable `Recipe` with every default filled in, and the engine's
jobs made of it, with paths resolved against the recipe's own folder. A mistake is a
`RecipeError` that names file, line, key, and the nearest right key.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError

from dsvl_data.curate.settings import Curation
from dsvl_data.engine.job import Job, load_pipeline
from dsvl_data.outcome import UserError
from dsvl_data.pipeline import InputSpec, Limits, Settings, map_paths
from dsvl_data.shards.plan import ShardSettings

_Kind = TypeVar("_Kind", bound=Settings)

#: What pydantic calls by Python's names, in those of YAML.
_KINDS = {
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
}


class RecipeError(UserError):
    """A recipe that cannot be used; the message says where and what to do."""


class PipelineRecipe(Settings):
    """What a recipe says of one pipeline."""

    inputs: tuple[InputSpec, ...] = Field(min_length=1, description="what the pipeline reads")
    options: dict[str, Any] = Field(default_factory=dict, description="the pipeline's own options")
    limits: Limits | None = Field(default=None, description="else the pipeline's own defaults")
    partition_size: int | None = Field(
        default=None, gt=0, description="documents a partition; else the pipeline's own default"
    )
    licences: tuple[str, ...] = Field(
        default=(), description="SPDX ids of the licences to keep; empty: all"
    )


class Recipe(Settings):
    """A whole corpus: its pipelines and how its shards are cut."""

    name: str = Field(description="name of the corpus, on its data card")
    description: str = Field(default="", description="a sentence or two for the data card")
    pipelines: dict[str, PipelineRecipe] = Field(min_length=1)
    curation: Curation | None = Field(
        default=None, description="what is kept of the samples; none: all of them"
    )
    shards: ShardSettings = ShardSettings()


def load(path: str | Path, known: Mapping[str, str]) -> Recipe:
    """Read a recipe. `known` maps pipeline names to where they are (`module:ATTRIBUTE`).

    Raises `RecipeError` for a missing file, YAML that does not parse, a key given twice, an
    unknown key or pipeline, or a value of the wrong kind; pipelines' options are checked too.
    """
    return parse(_read(path), str(path), known)


def load_settings(path: str | Path, kind: type[_Kind]) -> _Kind:
    """Read a YAML file of any kind of settings; its paths start at the file's folder.

    Raises `RecipeError` as `load` does.
    """
    source = _read(path)
    settings, _ = _validate(source, str(path), kind)
    given = _with_whole_paths(kind, settings.model_dump(mode="json"), Path(path).parent)
    return kind.model_validate(given)


def explained(
    path: str | Path, error: ValidationError, kind: type[Settings], prefix: Sequence[str]
) -> RecipeError:
    """What is wrong with the values that a recipe has below `prefix`, as `load` would tell it.

    For those that are put together with others before they are validated as a `kind`.
    """
    tree = yaml.compose(_read(path), Loader=yaml.SafeLoader)
    return RecipeError(_explain(error, kind, tree, str(path), prefix))


def _read(path: str | Path) -> str:
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text: {error}") from error


def _validate(source: str, path: str, kind: type[_Kind]) -> tuple[_Kind, yaml.Node | None]:
    """Settings from YAML, and the tree that tells the lines."""
    try:
        tree = yaml.compose(source, Loader=yaml.SafeLoader)
        _refuse_repeated_keys(tree, path)
        values = yaml.safe_load(source)
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} must be a mapping with the keys {', '.join(kind.model_fields)}")
    try:
        return kind.model_validate(values), tree
    except ValidationError as error:
        raise RecipeError(_explain(error, kind, tree, path, ())) from error


def parse(source: str, path: str, known: Mapping[str, str]) -> Recipe:
    """Read a recipe from its text; `path` is what messages call it. Raises as `load` does."""
    recipe, tree = _validate(source, path, Recipe)
    pipelines = {}
    for name, part in recipe.pipelines.items():
        at = ("pipelines", name)
        if name not in known:
            raise RecipeError(
                f"{_place(tree, path, at)}: there is no pipeline {name!r}{_nearest(name, known)}"
            )
        pipeline = load_pipeline(known[name])
        try:
            given = _with_whole_paths(pipeline.options, part.options, Path(path).parent)
            options = pipeline.options.model_validate(given)
        except ValidationError as error:
            raise RecipeError(
                _explain(error, pipeline.options, tree, path, (*at, "options"))
            ) from error
        pipelines[name] = PipelineRecipe(
            inputs=part.inputs,
            options=options.model_dump(mode="json"),
            limits=part.limits or pipeline.limits,
            partition_size=part.partition_size or pipeline.partition_size,
            licences=part.licences,
        )
    curation = recipe.curation
    if curation is not None:
        # Again with whole paths: of benchmarks, and of models.
        said = curation.model_dump(mode="json")
        curation = Curation.model_validate(_with_whole_paths(Curation, said, Path(path).parent))
    return recipe.model_copy(update={"pipelines": pipelines, "curation": curation})


def jobs(recipe: Recipe, folder: Path, known: Mapping[str, str]) -> list[Job]:
    """Turn a loaded recipe into jobs for the engine; local paths are relative to `folder`."""
    return [
        Job(
            name=name,
            pipeline=known[name],
            inputs=tuple(
                spec
                if "://" in spec.path
                else spec.model_copy(update={"path": _absolute(folder, spec.path)})
                for spec in part.inputs
            ),
            options=part.options,
            limits=part.limits,
            partition_size=part.partition_size,
            licences=part.licences,
        )
        for name, part in recipe.pipelines.items()
    ]


def _with_whole_paths(
    kind: type[Settings], given: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Settings in which paths no longer depend on the recipe's place."""
    here = str(folder.absolute())
    whole: dict[str, Any] = map_paths(kind, given, lambda mark, path: mark.resolve(path, here))
    return whole


def _absolute(folder: Path, path: str) -> str:
    # normpath and not resolve: a glob or a link must stay what it is.
    return os.path.normpath(folder.resolve() / path)


def show(recipe: Recipe) -> str:
    """Write a recipe out as YAML with every default."""
    values = recipe.model_dump(mode="json")
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def _refuse_repeated_keys(node: yaml.Node | None, path: str) -> None:
    for child in _nodes(node):
        if not isinstance(child, yaml.MappingNode):
            continue
        seen: set[str] = set()
        for key, _ in child.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise RecipeError(f"{path}:{line}: the key {key.value!r} is given twice")
            seen.add(key.value)


def _nodes(node: yaml.Node | None) -> Iterator[yaml.Node]:
    if node is None:
        return
    yield node
    if isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _nodes(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _nodes(value)


def _explain(
    error: ValidationError,
    model: type[BaseModel],
    tree: yaml.Node | None,
    path: str,
    prefix: Sequence[str],
) -> str:
    lines = []
    problems = error.errors()
    # A list whose element is wrong is also said to be too short: true only where it is empty.
    false = [p for p in problems if p["type"] == "too_short" and p["input"]]
    for problem in problems:
        if problem in false and len(problems) > len(false):
            continue
        location = [*prefix, *problem["loc"]]
        place = _place(tree, path, location)
        key = ".".join(str(part) for part in location)
        if problem["type"] == "extra_forbidden":
            known = _fields_at(model, problem["loc"][:-1])
            lines.append(f"{place}: unknown key {key!r}{_nearest(str(location[-1]), known)}")
        elif problem["type"] == "missing":
            lines.append(f"{place}: the key {key!r} is missing")
        else:
            said = problem["msg"].removeprefix("Value error, ")
            ours = said != problem["msg"]  # a sentence of a validator of ours says it all
            said = _KINDS.get(problem["type"], said)
            lines.append(
                f"{place}: {key}: {said}" + ("" if ours else f", not {problem['input']!r}")
            )
    return "\n".join(lines)


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Names of the fields of the model at `location` inside `model`."""
    here: Any = model
    for part in location:
        if isinstance(here, type) and issubclass(here, BaseModel):
            annotation: Any = here.model_fields[str(part)].annotation
        else:
            annotation = get_args(here)[-1 if get_origin(here) is dict else 0]
        # `Limits | None` and the like: the model among the alternatives.
        models = [
            a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, Settings)
        ]
        if get_origin(annotation) not in (dict, tuple, list) and models:
            annotation = models[0]
        here = annotation
    return list(here.model_fields)


def _nearest(wrong: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    close = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; the keys here are: {', '.join(known)}"


def _place(tree: yaml.Node | None, path: str, location: Sequence[str | int]) -> str:
    """`file:line` of the deepest node on the way to `location` that the file has."""
    node, line = tree, 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return f"{path}:{line}"
