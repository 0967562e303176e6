"""Tensors by name on disk: safetensors, one file or many.

In: a file, or a folder of them with or without an index. Out: names, shapes, and one tensor at a
time; and back, shards of bounded size with the index that transformers reads.

No pickle is ever read: a checkpoint of another kind is an error that says what to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

INDEX = "model.safetensors.index.json"
SHARD_BYTES = 2 * 1024**3


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or is not this model's; the message names what is wrong."""


class TensorFiles:
    """The tensors of a checkpoint by name. Opening reads the files' headers alone."""

    def __init__(self, source: Path) -> None:
        """Raises `CheckpointError` where there is no safetensors file, or a file of the index is
        missing or damaged.
        """
        self.source = source
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.floating: dict[str, bool] = {}
        self._file: dict[str, Path] = {}
        for path in _files(source):
            with _opened(path) as file:
                for name in file.keys():  # noqa: SIM118 it is no mapping
                    if name in self._file:
                        raise CheckpointError(f"{name} is in {self._file[name]} and in {path}")
                    self._file[name] = path
                    header = file.get_slice(name)
                    self.shapes[name] = tuple(header.get_shape())
                    self.floating[name] = header.get_dtype() in {"F64", "F32", "F16", "BF16"}

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, torch.Tensor]]:
        """The tensors of those names, file by file; each is free once the next one is asked for."""
        by_file: dict[Path, list[str]] = {}
        for name in names:
            by_file.setdefault(self._file[name], []).append(name)
        for path, wanted in by_file.items():
            with _opened(path) as file:
                for name in wanted:
                    yield name, file.get_tensor(name)


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise CheckpointError(f"there is no checkpoint at {source}")
    index = source / INDEX
    if index.is_file():
        try:
            names = sorted(
                set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            )
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise CheckpointError(f"{index} is no index of safetensors files: {error!r}") from error
        strange = [name for name in names if not isinstance(name, str) or Path(name).name != name]
        if strange:
            raise CheckpointError(f"{index} points out of its folder: {strange[0]!r}")
        files = [source / name for name in names]
        missing = [path.name for path in files if not path.is_file()]
        if missing:
            raise CheckpointError(f"{index} names files that are missing: {', '.join(missing)}")
        return files
    files = sorted(source.glob("*.safetensors"))
    if not files:
        others = sorted(
            path.name for ext in ("bin", "pth", "pt") for path in source.glob(f"*.{ext}")
        )
        hint = f"; {others[0]} must be converted to safetensors first" if others else ""
        raise CheckpointError(f"{source} has no safetensors file{hint}")
    return files


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from error


def write_tensors(
    folder: Path,
    tensors: Iterable[tuple[str, torch.Tensor]],
    *,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write tensors, in their order, as shards of at most `shard_bytes` (or one tensor).

    Beside the tensors themselves it holds one shard in memory. One shard is `model.safetensors`;
    more are numbered and have an index.
    """
    files: list[tuple[Path, list[str]]] = []
    shard: dict[str, torch.Tensor] = {}
    total = held = 0

    def flush() -> None:
        path = folder / f"shard-{len(files)}.safetensors"
        save_file(shard, path, metadata={"format": "pt"})
        files.append((path, list(shard)))
        shard.clear()

    for name, tensor in tensors:
        written = dtype or tensor.dtype
        size = tensor.numel() * written.itemsize
        if shard and held + size > shard_bytes:
            flush()
            held = 0
        shard[name] = tensor.detach().to("cpu", written, copy=True).contiguous()
        held += size
        total += size
    flush()
    if len(files) == 1:
        files[0][0].rename(folder / "model.safetensors")
        return
    weight_map: dict[str, str] = {}
    for number, (path, names) in enumerate(files, 1):
        final = folder / f"model-{number:05}-of-{len(files):05}.safetensors"
        path.rename(final)
        weight_map |= dict.fromkeys(names, final.name)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
