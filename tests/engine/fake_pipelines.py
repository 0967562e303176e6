"""Small pipelines whose documents do what their first line says, for the engine's tests."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason, WorkerBroken
from dsvl_data.pipeline import (
    Document,
    DocumentRef,
    Dropped,
    InputSpec,
    Limits,
    PathOption,
    Pipeline,
    Settings,
)
from dsvl_data.sample import Image, Sample, Text


class Options(Settings):
    """`hooks` is a folder for what documents leave behind; `shout` changes the text."""

    hooks: str = ""
    shout: bool = False
    unusable: str = ""
    table: Annotated[str, PathOption()] = ""


def source(inputs: Sequence[InputSpec], options: Options) -> Iterator[DocumentRef]:
    """List the `.txt` files of the inputs."""
    for spec in inputs:
        for file in storage.find_files(spec.path):
            if file.path.endswith(".txt"):
                uri = file.path.removeprefix(spec.path).lstrip("/")
                yield DocumentRef(spec.dataset, uri, spec.licence, file.path, file.size)


def read(ref: DocumentRef) -> bytes:
    """Read a document, but for the one that cannot be."""
    if "unreadable" in ref.uri:
        raise OSError("the disk says no")
    data = storage.read_bytes(ref.path)
    return data * 5000 if "packed" in ref.uri else data


def second_line(ref: DocumentRef, options: Options) -> DocumentRef:
    """Take a document's licence from its second line."""
    return replace(ref, licence=storage.read_bytes(ref.path).decode().split("\n")[1])


def take_long(ref: DocumentRef) -> None:
    """Take longer to get near a document than the document may take itself."""
    time.sleep(1.3)


class Converter:
    """Makes of `COMMAND [ARGUMENT]` and further lines what the command says."""

    def __init__(self, options: Options) -> None:
        self.options = options
        if options.unusable:
            raise RuntimeError(options.unusable)

    def close(self) -> None:
        """Nothing to give back."""

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample | Dropped]:
        for document in documents:
            command, _, argument = document.data.decode().split("\n", 1)[0].partition(" ")
            yield from getattr(self, command)(document, argument)

    def text(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Give ARGUMENT samples (one by default)."""
        words = document.data.decode().partition("\n")[2]
        for position in range(int(argument or 1)):
            yield self._sample(document, position, words)

    def drop(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Give only drops, with the reasons of ARGUMENT."""
        for number, reason in enumerate(argument.split(",")):
            yield document.dropped(Reason.parse(reason), item=str(number), detail="so", score=0.5)

    def mixed(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Give a sample and a drop."""
        yield self._sample(document, 0, "kept")
        yield document.dropped(Reason.parse(argument), item="second")

    def nothing(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Give nothing at all."""
        yield from ()

    def hang(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Sleep for ever."""
        time.sleep(3600)
        yield self._sample(document, 0, "never")

    def slow(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Take ARGUMENT seconds."""
        time.sleep(float(argument))
        yield self._sample(document, 0, "at last")

    def eat(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Take memory and keep it."""
        eaten = []
        while True:
            eaten.append(os.urandom(1 << 20) * 16)
            time.sleep(0.005)
        yield self._sample(document, 0, "never")

    def eat_below(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Have a grandchild in a session of its own take memory."""
        code = "import time; held = bytearray(b'x') * (600 << 20); time.sleep(3600)"
        subprocess.run([sys.executable, "-c", code], start_new_session=True, check=True)
        yield self._sample(document, 0, "never")

    def leave(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Leave a detached process behind, note its pid, then do ARGUMENT."""
        code = (
            "import subprocess as s; "
            "quiet = {'stdout': s.DEVNULL, 'stderr': s.DEVNULL, 'start_new_session': True}; "
            "print(s.Popen(['sleep', '3600'], **quiet).pid)"
        )
        made = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, start_new_session=True
        )
        with Path(self.options.hooks, "left").open("a") as file:
            file.write(made.stdout.decode())
        yield from getattr(self, argument)(document, "")

    def litter(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Leave temporary files, note where, then do ARGUMENT."""
        left = [tempfile.mkdtemp(), tempfile.mkstemp()[1]]
        Path(left[0], "file").touch()
        with Path(self.options.hooks, "litter").open("a") as file:
            file.write("".join(f"{path}\n" for path in left))
        yield from getattr(self, argument)(document, "")

    def exit(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """End the process."""
        print("last words")
        sys.stdout.flush()
        os._exit(3)
        yield

    def segfault(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Crash in C."""
        yield self._sample(document, 0, "never")
        ctypes.string_at(0)

    def fail(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Raise, after a sample that must be forgotten."""
        yield self._sample(document, 0, "never")
        raise ZeroDivisionError(f"failed on {document.ref.uri}")

    def known(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Raise a known reason."""
        raise DocumentError(Reason.parse(argument), "as told")
        yield

    def broken(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Say that the tool broke; ARGUMENT times, or always."""
        if argument:
            marks = Path(self.options.hooks, document.ref.uri.replace("/", "_") + ".broken")
            count = len(marks.read_text()) if marks.exists() else 0
            if count >= int(argument):
                yield self._sample(document, 0, "recovered")
                return
            marks.write_text("x" * (count + 1))
        raise WorkerBroken(Reason.BROWSER_CRASHED, "the tool broke")

    def once(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Do ARGUMENT while the file `bad` is among the hooks; else give a sample."""
        if Path(self.options.hooks, "bad").exists():
            yield from getattr(self, argument)(document, "")
        else:
            yield self._sample(document, 0, "good now")

    def kill(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Kill the process of this worker the first time, as somebody outside might."""
        mark = Path(self.options.hooks, "killed")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield self._sample(document, 0, "survived")

    def noisy(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Write to stdout and stderr what looks like the engine's own protocol."""
        print(json.dumps({"answer": "converted", "done": 99}))
        os.write(1, b"\x00\xff\n{}\n")
        os.write(2, b"not json\n")
        yield self._sample(document, 0, "quiet")

    def stranger(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Give a sample of another document."""
        yield Sample("k", "nobody:x", "text", (), "en", None, None)  # type: ignore[arg-type]

    def twice(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Give one key twice."""
        yield self._sample(document, 0, "a")
        yield self._sample(document, 0, "b")

    def category(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Give a sample of no category."""
        yield document.sample(0, category="nonsense", segments=(), language="en")

    def surrogate(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Give a text that no column can hold, in the field ARGUMENT."""
        bad = "\ud800"
        if argument == "details":
            yield document.sample(
                0, category="text", segments=(Text("x"),), language="en", details={"a": bad}
            )
        elif argument == "drop":
            yield document.dropped(Reason.NO_TEXT, item=bad, detail=bad)
        else:
            yield document.sample(0, category="text", segments=(Text(bad),), language="en")

    def big(self, document: Document, argument: str) -> Iterator[Sample | Dropped]:
        """Give ARGUMENT images of 1 MB."""
        for position in range(int(argument)):
            image = Image(bytes([position % 256]) * (1 << 20), "png", 10, 10)
            yield document.sample(position, category="text", segments=(image,), language="en")

    def _sample(self, document: Document, position: int, words: str) -> Sample:
        words = words.upper() if self.options.shout else words
        image = Image(document.digest.encode() * 40, "png", 8, 8)
        return document.sample(
            position,
            category="document_ocr",
            segments=(Text(words), image),
            language="en",
            details={"worker": "any"},
            scores={"length": float(len(words))},
        )


LIMITS = Limits(seconds=3, memory_mb=400, document_mb=1)
PIPELINE = Pipeline("fake", "1", Options, source, read, Converter, 8, 1, LIMITS)
BATCHES = Pipeline("fake", "1", Options, source, read, Converter, 8, 3, LIMITS)
LICENSED = replace(PIPELINE, resolve=second_line)
FAR = replace(PIPELINE, approach=take_long)
NEXT_VERSION = Pipeline("fake", "2", Options, source, read, Converter, 8, 1, LIMITS)
RENDERING = Pipeline("fake", "1", Options, source, read, Converter, 8, 1, LIMITS, True)
