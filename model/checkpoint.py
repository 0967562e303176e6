"""Checkpoints in and out: whole models, and branches from published checkpoints of their own.

In: safetensors of the official `deepseek-ai/deepseek-vl-*`, of transformers' DeepseekVL or
DeepseekVLHybrid, or of SigLIP, SAM and LLaMA. Out: the parameters of a `VisionLanguageModel`, and
folders that transformers loads to the same logits.

Tensors travel one at a time, straight into the parameter's own memory. A parameter that nothing
fills, a tensor that nothing takes, and one of another shape are errors that name them.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from model.config import ConfigError, ModelConfig
from model.key_maps import (
    LLAMA_ALONE,
    SAM_ALONE,
    SIGLIP_ALONE,
    TRANSFORMERS_4,
    WHOLE,
    Layout,
    Theirs,
    Thirds,
    Unbatched,
    their_names,
)
from model.official_config import official_config
from model.tensor_files import SHARD_BYTES, CheckpointError, TensorFiles, write_tensors
from model.tokenizer import Tokenizer
from model.transformers_config import from_transformers, to_transformers
from model.vlm import VisionLanguageModel

#: Names in one error message; its attributes have all.
_SHOWN = 30
_HEAD, _EMBEDDING = "language.head.weight", "language.embed.weight"
_POSITIONS = ("pos_embed", "rel_pos_h", "rel_pos_w")


class MismatchError(CheckpointError):
    """A checkpoint whose tensors are not the model's. `missing` and `misshapen` have our names and
    theirs, `extra` theirs.
    """

    def __init__(
        self,
        source: Path,
        layout: str,
        missing: Sequence[str],
        extra: Sequence[str],
        misshapen: Sequence[str],
    ) -> None:
        self.missing, self.extra, self.misshapen = list(missing), list(extra), list(misshapen)
        lines = [f"{source}, read as {layout}, is not this model's checkpoint"]
        for what, names in (
            ("missing", self.missing),
            ("not known", self.extra),
            ("of another shape or type", self.misshapen),
        ):
            lines += [f"  {what}: {name}" for name in names[:_SHOWN]]
            if len(names) > _SHOWN:
                lines.append(f"  {what}: and {len(names) - _SHOWN} more")
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a checkpoint gave: the layout it was read as, and by our names (`unused`: theirs)

    what was of no use, was tied to another parameter, interpolated to another size, copied from
    another parameter, and left as it was.
    """

    layout: str
    unused: list[str] = field(default_factory=list)
    tied: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def read_config(folder: Path) -> ModelConfig:
    """The model that a checkpoint's folder describes, official or transformers'.

    Raises `CheckpointError` where there is no readable `config.json`, `ConfigError` where it
    describes another kind of model.
    """
    raw = _json(folder / "config.json")
    if "aligner_config" in raw:
        return official_config(raw, name=folder.name)
    images = folder / "preprocessor_config.json"
    try:
        return from_transformers(raw, _json(images) if images.is_file() else {})
    except ConfigError as error:
        raise ConfigError(f"{folder / 'config.json'}: {error}") from error


def load(
    folder: Path,
    *,
    config: ModelConfig | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> VisionLanguageModel:
    """The model of a checkpoint; nothing but its own parameters and one tensor is held in memory.

    `config` stands in for a folder without a readable `config.json`. Raises `CheckpointError`.
    """
    with torch.device("meta"):
        model = VisionLanguageModel(config or read_config(folder)).to(dtype)
    model.to_empty(device=device)
    load_parameters(model, folder)
    return model


def load_parameters(model: VisionLanguageModel, source: Path) -> Loaded:
    """Fill a model, wherever its parameters lie, from a whole checkpoint; it must fit exactly."""
    return _fill(dict(model.named_parameters()), source, WHOLE, resize=False)


def initialise(
    model: VisionLanguageModel,
    *,
    siglip: Path | None = None,
    sam: Path | None = None,
    llama: Path | None = None,
) -> list[Loaded]:
    """Fill branches from checkpoints of their own, in that order; the adaptor stays as it is.

    Position embeddings of another size are interpolated. What had no use, was interpolated, copied
    or left is listed. Raises `CheckpointError`, and `ConfigError` for a branch that isn't there.
    """
    if sam is not None and model.config.sam is None:
        raise ConfigError(f"model {model.config.name} has no SAM branch to fill from {sam}")
    reports = []
    for branch, source, layouts in (
        ("low.", siglip, SIGLIP_ALONE),
        ("high.", sam, SAM_ALONE),
        ("language.", llama, LLAMA_ALONE),
    ):
        if source is not None:
            ours = {n: p for n, p in model.named_parameters() if n.startswith(branch)}
            reports.append(_fill(ours, source, layouts, resize=True))
    return reports


def save(
    model: VisionLanguageModel,
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write what `DeepseekVL[Hybrid]ForConditionalGeneration.from_pretrained` and `load` read.

    The folder appears whole or not at all; there must be none of its name yet. `dtype`: that of the
    file, else the model's.
    """
    write(
        model.config, dict(model.named_parameters()), folder, dtype=dtype, shard_bytes=shard_bytes
    )


def write(
    config: ModelConfig,
    parameters: Mapping[str, torch.Tensor],
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
    tokenizer: Tokenizer | None = None,
) -> None:
    """As `save`, for parameters by name that no model holds (averaged ones, gathered ones).

    `tokenizer` is saved beside them, so that the folder is all that a model needs.
    Raises `CheckpointError` where they are not those of such a model.
    """
    files = to_transformers(config)
    _check_complete(config, parameters)
    layout = TRANSFORMERS_4[0 if config.sam else 1]  # version 5 reads these names as well
    if folder.exists():
        raise FileExistsError(f"{folder} exists: a checkpoint is written to a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as unfinished:
        partial = Path(unfinished) / folder.name
        partial.mkdir()
        for name, content in files.items():
            (partial / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        tensors = (
            view
            for name, parameter in parameters.items()
            for view in _views(parameter.detach(), _found(layout, name))
        )
        write_tensors(partial, tensors, dtype=dtype, shard_bytes=shard_bytes)
        if tokenizer is not None:
            tokenizer.save(partial)
        for path in partial.iterdir():
            _sync(path)
        partial.rename(folder)
    _sync(folder.parent)


def _check_complete(config: ModelConfig, parameters: Mapping[str, torch.Tensor]) -> None:
    with torch.device("meta"):
        wanted = {n: tuple(p.shape) for n, p in VisionLanguageModel(config).named_parameters()}
    given = {name: tuple(tensor.shape) for name, tensor in parameters.items()}
    wrong = sorted(name for name in wanted | given if wanted.get(name) != given.get(name))
    if wrong:
        raise CheckpointError(
            f"not the parameters of model {config.name}: {len(wrong)} are missing, not known or of "
            f"another shape, such as {', '.join(wrong[:_SHOWN])}"
        )


def _found(layout: Layout, name: str) -> Theirs:
    theirs = layout.find(name)
    if theirs is None:
        raise CheckpointError(f"{layout.name} has no name for {name}")
    return theirs


def _views(parameter: torch.Tensor, theirs: Theirs) -> Iterator[tuple[str, torch.Tensor]]:
    """Their names, each with the part of our tensor that it is, in place."""
    if isinstance(theirs, Thirds):
        yield from zip(theirs.names, parameter.chunk(3), strict=True)
    elif isinstance(theirs, Unbatched):
        yield theirs.name, parameter[0]
    else:
        yield theirs, parameter


@torch.no_grad()
def _fill(
    parameters: Mapping[str, torch.nn.Parameter],
    source: Path,
    layouts: Sequence[Layout],
    *,
    resize: bool,
) -> Loaded:
    """Fill parameters from whichever of the layouts fits the files best; check first, then read."""
    files = TensorFiles(source)
    layout = _recognise(parameters, files, layouts)
    report = Loaded(layout.name)
    targets: dict[str, tuple[str, torch.Tensor]] = {}
    missing, misshapen = [], []
    for name, parameter in parameters.items():
        theirs = layout.find(name)
        if theirs is None:
            if not layout.covers(name):
                missing.append(name)
            continue
        for their_name, view in _views(parameter.detach(), theirs):
            if their_name not in files.shapes:
                if name == _HEAD and _is_tied(source):
                    report.tied.append(name)
                else:
                    missing.append(f"{their_name} (our {name})")
                continue
            targets[their_name] = (name, view)
            shape = files.shapes[their_name]
            if not files.floating[their_name]:
                misshapen.append(f"{their_name}: not of a floating type (our {name})")
            elif shape != tuple(view.shape):
                if resize and _resizable(name, shape, tuple(view.shape)):
                    report.resized.append(f"{name}: {list(shape)} to {list(view.shape)}")
                else:
                    misshapen.append(
                        f"{their_name}: {list(shape)}, expected {list(view.shape)} (our {name})"
                    )
    rest = [name for name in files.shapes if name not in targets]
    report.unused.extend(name for name in rest if layout.ignores(name))
    extra = [name for name in rest if not layout.ignores(name)]
    if missing or extra or misshapen:
        raise MismatchError(source, layout.name, missing, extra, misshapen)
    for their_name, tensor in files.read(targets):
        name, view = targets[their_name]
        view.copy_(tensor if tensor.shape == view.shape else _resized(name, tensor, view.shape))
    for name in report.tied:
        parameters[name].copy_(parameters[_EMBEDDING])
    _complete(parameters, layout, report)
    return report


def _complete(parameters: Mapping[str, torch.nn.Parameter], layout: Layout, report: Loaded) -> None:
    """Copy what begins as a copy, and list what the checkpoint says nothing of."""
    for copy, original in layout.copied:
        for name, parameter in parameters.items():
            if name.startswith(copy):
                from_name = original + name.removeprefix(copy)
                parameter.copy_(parameters[from_name])
                report.copied.append(f"{name} from {from_name}")
    report.left.extend(name for name in parameters if name.startswith(layout.left))


def _recognise(
    parameters: Mapping[str, torch.nn.Parameter], files: TensorFiles, layouts: Sequence[Layout]
) -> Layout:
    """The layout under which most of the tensors that the files hold have a place."""

    def placed(layout: Layout) -> int:
        found = (layout.find(name) for name in parameters)
        names = {their for theirs in found if theirs is not None for their in their_names(theirs)}
        return len(names & files.shapes.keys()) - len(names - files.shapes.keys())

    best = max(layouts, key=placed)
    if not any(
        their in files.shapes
        for name in parameters
        if (theirs := best.find(name)) is not None
        for their in their_names(theirs)
    ):
        raise CheckpointError(
            f"{files.source} is of no known layout: its names are such as "
            f"{', '.join(sorted(files.shapes)[:3]) or '(none)'}; "
            f"known are {'; '.join(layout.name for layout in layouts)}"
        )
    return best


def _resizable(name: str, theirs: tuple[int, ...], ours: tuple[int, ...]) -> bool:
    """Whether a tensor holds positions, and differs from ours in their number alone."""
    if not name.endswith(_POSITIONS) or len(theirs) != len(ours) or theirs[-1] != ours[-1]:
        return False
    if name.endswith("pos_embed"):
        cells = math.prod(theirs[:-1])
        square = math.isqrt(cells) ** 2 == cells
        return square and (len(theirs) < 4 or theirs[1] == theirs[2])
    return True


def _resized(name: str, tensor: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Position embeddings at another size: bicubic over a grid, linear over relative distances."""
    tensor, width = tensor.float(), shape[-1]
    if not name.endswith("pos_embed"):
        return functional.interpolate(tensor.T[None], size=shape[0], mode="linear")[0].T
    old, new = (math.isqrt(math.prod(size[:-1])) for size in (tensor.shape, shape))
    grid = tensor.reshape(1, old, old, width).permute(0, 3, 1, 2)
    grid = functional.interpolate(
        grid, size=(new, new), mode="bicubic", align_corners=False, antialias=True
    )
    return grid.permute(0, 2, 3, 1).reshape(shape)


def _is_tied(source: Path) -> bool:
    """Whether the checkpoint's configuration says that its head is its embedding."""
    path = (source if source.is_dir() else source.parent) / "config.json"
    return path.is_file() and bool(_json(path).get("tie_word_embeddings"))


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no JSON object")
    return content


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
