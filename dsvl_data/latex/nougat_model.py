"""Nougat's Markdown of page images, by the model itself: for PDFs without usable source.

In: page images, any number, of any documents. Out: for each a `Reading`: its Markdown, and
whether the model fell into a loop or came to no end: such a page is not to be used. Weights
come from a local folder or a hub name, as transformers reads them; none travel with this project.

Nougat: Blecher et al., arXiv 2308.13418. Its criterion for loops is in the section "Repetitions
during inference": the largest logit of each step hardly varies any more once a loop begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from huggingface_hub import file_exists, try_to_load_from_cache
from numpy.typing import NDArray
from PIL import Image as Pillow
from safetensors import safe_open
from transformers import AutoTokenizer, VisionEncoderDecoderModel
from transformers.generation.logits_process import LogitsProcessor, LogitsProcessorList
from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList
from transformers.models.nougat.image_processing_pil_nougat import NougatImageProcessorPil
from transformers.models.nougat.tokenization_nougat import (
    NougatTokenizer,
    normalize_list_like_lines,
    truncate_repetitions,
)

from dsvl_data.outcome import UserError

#: The paper's B: steps over which the largest logits' variance is taken.
WINDOW = 15
#: The paper's threshold for the variance of these variances, over a whole page.
LOOP_THRESHOLD = 6.75
#: While a page is being read, the paper looks at so many last steps, with half the threshold.
RECENT = 200

#: How often a page is looked at while it is read; each look waits for the accelerator.
_LOOK_EVERY = 16
#: nougat-base has 349 million weights; for one that is not yet here.
_BASE_BYTES = 4 * 349_000_000
_CONFIGURATION, _TOKENIZER = "config.json", "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model read on a page.

    A page is to be used when it `ended` before the longest output and did not fall into a loop.
    `steadiness` is the score that `LOOP_THRESHOLD` judges; small is bad.
    """

    text: str
    looped: bool
    ended: bool
    tokens: int
    steadiness: float


def check_checkpoint(checkpoint: str) -> int:
    """Return the bytes of a checkpoint's weights, as 32-bit numbers, without loading them.

    Raises `UserError` unless it holds a Nougat model. What the hub's cache holds needs no network.
    """
    folder = Path(checkpoint).expanduser()
    if not (folder.is_absolute() or checkpoint.startswith((".", "~")) or folder.exists()):
        cached = try_to_load_from_cache(checkpoint, _CONFIGURATION)
        if not isinstance(cached, str):
            _check_hub(checkpoint)
            return _BASE_BYTES
        folder = Path(cached).parent
    missing = [name for name in (_CONFIGURATION, _TOKENIZER) if not (folder / name).is_file()]
    weights = sorted(folder.glob("*.safetensors"))
    if missing or not weights:
        missing += [] if weights else ["model.safetensors"]
        raise UserError(
            f"no Nougat checkpoint at {folder}: it lacks {', '.join(missing)}; give a folder that "
            "transformers' save_pretrained wrote, or a hub name such as facebook/nougat-base"
        )
    numbers = 0
    for path in weights:
        with safe_open(path, "pt") as opened:
            names = opened.keys()
            numbers += sum(prod(opened.get_slice(name).get_shape()) for name in names)
    return 4 * numbers


def _check_hub(checkpoint: str) -> None:
    try:
        found = file_exists(checkpoint, _CONFIGURATION)
    except Exception as error:
        # Whatever HTTP library the hub's client happens to use raises here.
        raise UserError(
            f"cannot ask the hub for the Nougat checkpoint {checkpoint!r}: {error}; give a local "
            "folder instead"
        ) from error
    if not found:
        raise UserError(
            f"the hub has no checkpoint {checkpoint!r}; facebook/nougat-base is the paper's"
        )


class NougatModel:
    """Holds the weights on one device; `batch_size` pages are read together.

    Raises `UserError` when the checkpoint is not there or is of another model.
    """

    def __init__(
        self,
        checkpoint: str,
        *,
        device: str = "auto",
        batch_size: int = 4,
        max_tokens: int | None = None,
    ) -> None:
        check_checkpoint(checkpoint)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._device = torch.device(device)
        self._dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self._batch_size = batch_size
        try:
            self._images = NougatImageProcessorPil.from_pretrained(checkpoint)
            tokenizer = AutoTokenizer.from_pretrained(checkpoint)
            model = VisionEncoderDecoderModel.from_pretrained(
                checkpoint, dtype=self._dtype, use_safetensors=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{checkpoint} is no Nougat checkpoint: {error}") from error
        if not isinstance(tokenizer, NougatTokenizer):
            raise UserError(
                f"{checkpoint} is no Nougat checkpoint: its tokenizer is a "
                f"{type(tokenizer).__name__}"
            )
        self._tokenizer = tokenizer
        # transformers' annotations of a composed model do not fit its own methods.
        self._model = cast(Any, model)
        self._model.eval().to(self._device)
        longest = int(self._model.config.decoder.max_position_embeddings)
        self._max_tokens = min(max_tokens or longest, longest)

    def read(self, images: Iterable[Pillow.Image]) -> Iterator[Reading]:
        """Yield what each page says, in order; images may be of any size and mode."""
        coming = iter(images)
        while batch := list(islice(coming, self._batch_size)):
            yield from self._read_batch(batch)

    @torch.inference_mode()
    def _read_batch(self, images: Sequence[Pillow.Image]) -> list[Reading]:
        pictures = [image.convert("RGB") for image in images]
        pixels = self._images(pictures, return_tensors="pt").pixel_values
        peaks = _Peaks()
        tokenizer = self._tokenizer
        sequences: torch.Tensor = self._model.generate(
            pixels.to(self._device, self._dtype),
            max_length=self._max_tokens,
            do_sample=False,
            num_beams=1,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            forced_eos_token_id=None,  # mBART's default would make every page seem to end
            bad_words_ids=[[tokenizer.unk_token_id]],
            logits_processor=LogitsProcessorList([peaks]),
            stopping_criteria=StoppingCriteriaList([_LoopStop(peaks)]),
        )
        largest = torch.stack(peaks.values, 1).cpu().numpy()
        made = sequences[:, -largest.shape[1] :].cpu()
        readings = []
        for row, logits in zip(made, largest, strict=True):
            # A page that was ended from outside is filled with padding, without an end token.
            last = (row == tokenizer.eos_token_id) | (row == tokenizer.pad_token_id)
            length = int(last.nonzero()[0]) if last.any() else len(row)
            ended = length < len(row) and int(row[length]) == tokenizer.eos_token_id
            text = str(tokenizer.decode(row[:length], skip_special_tokens=True))
            readings.append(_judge(text, logits[:length], ended=ended))
        return readings


def find_loop(
    peaks: NDArray[np.float32], *, threshold: float = LOOP_THRESHOLD
) -> tuple[int, float]:
    """Return the step at which a loop begins, or -1, and how steady the last steps were.

    `peaks` holds the largest logit of each step. With VarWin(x) the variance of `WINDOW` peaks
    from x on, and VarEnd(x) the variance of all VarWin from x to the end, a loop begins where
    VarEnd falls below the threshold for good (section "Repetitions during inference"). Ends of
    fewer than `RECENT` steps say nothing: the variance of the very last few is always small.
    """
    if len(peaks) < RECENT + WINDOW:
        return -1, float("inf")
    windows = np.lib.stride_tricks.sliding_window_view(peaks.astype(np.float64), WINDOW).var(axis=1)
    # The variance of each tail, from sums that run from the end.
    counts = np.arange(len(windows), 0, -1)
    sums = windows[::-1].cumsum()[::-1] / counts
    squares = (windows**2)[::-1].cumsum()[::-1] / counts
    tails = np.maximum(squares - sums**2, 0)[: len(windows) - RECENT + 1]
    unsteady = np.flatnonzero(tails >= threshold)
    start = int(unsteady[-1]) + 1 if len(unsteady) else 0
    return (start if start < len(tails) else -1), float(tails[-1])


def tidy(text: str) -> str:
    """Mend what the model commonly gets wrong, as Nougat's own post-processing does.

    Lists, tables on lines of their own, empty headings and tables. Left out are its guesses of
    invented references, which need a GPL package, and the spaces that it adds at a page's end.
    """
    text = re.sub(r"^#+\s*(?:[\d.]+|[ivx.]+)?\s*$", "", text.strip(), flags=re.MULTILINE)
    text = str(normalize_list_like_lines(text))  # type: ignore[no-untyped-call]
    text = re.sub(r"(\\end\{tabular\}) (\\end\{table\})", r"\1\n\2", text)
    text = re.sub(r"(\\begin\{table\}) (\\begin\{tabular\})", r"\1\n\2", text)
    text = re.sub(r"\\begin\{tabular\}\{[clr| ]*\}[\s&\\]*\\end\{tabular\}", "", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _judge(text: str, peaks: NDArray[np.float32], *, ended: bool) -> Reading:
    # A page that came to its own end was in no loop, however steady its last steps were.
    begins, steadiness = find_loop(peaks)
    looped = (begins >= 0 and not ended) or truncate_repetitions(text) != text
    return Reading(tidy(text), looped, ended, len(peaks), steadiness)


class _Peaks(LogitsProcessor):
    """Keeps the largest logit of each step, `(pages,)`, and changes nothing."""

    def __init__(self) -> None:
        self.values: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.values.append(scores.max(dim=-1).values.float())
        return scores


class _LoopStop(StoppingCriteria):
    """Ends the pages that are in a loop; the others of the batch go on."""

    def __init__(self, peaks: _Peaks) -> None:
        self._peaks = peaks
        self._stopped: torch.Tensor | None = None

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: object
    ) -> torch.Tensor:
        if self._stopped is None:
            self._stopped = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        steps = len(self._peaks.values)
        if steps >= RECENT + WINDOW and steps % _LOOK_EVERY == 0:
            recent = torch.stack(self._peaks.values[-RECENT - WINDOW + 1 :], 1)
            windows = recent.unfold(1, WINDOW, 1).var(dim=2, correction=0)
            self._stopped |= windows.var(dim=1, correction=0) < LOOP_THRESHOLD / 2
        return self._stopped
