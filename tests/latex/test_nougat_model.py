"""The Nougat model's path, with a tiny checkpoint of random weights, saved as a real one is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dsvl_data.latex.nougat_model import (
    LOOP_THRESHOLD,
    RECENT,
    WINDOW,
    NougatModel,
    check_checkpoint,
    find_loop,
    tidy,
)
from dsvl_data.outcome import UserError
from tests.latex.tiny_nougat import save_tiny_nougat


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost more than the tiny model's own work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pages(number: int) -> list[Image.Image]:
    noise = np.random.default_rng(0).integers(0, 255, (number, 8, 6), np.uint8)
    return [Image.fromarray(page).resize((300, 400)) for page in noise]


def test_pages_are_read_in_order_whatever_the_batch(tmp_path: Path) -> None:
    checkpoint = save_tiny_nougat(tmp_path / "tiny", longest=24)
    one = list(NougatModel(checkpoint, device="cpu", batch_size=1).read(pages(3)))
    many = list(NougatModel(checkpoint, device="cpu", batch_size=3).read(pages(3)))
    assert [reading.text for reading in one] == [reading.text for reading in many]
    assert len({reading.text for reading in one}) == 3


def test_a_page_that_ends_is_usable(tmp_path: Path) -> None:
    checkpoint = save_tiny_nougat(tmp_path / "ends", favour="</s>", weight=50)
    (reading,) = NougatModel(checkpoint, device="cpu").read(pages(1))
    assert (reading.text, reading.ended, reading.looped, reading.tokens) == ("", True, False, 0)


def test_a_loop_is_stopped_early_and_reported(tmp_path: Path) -> None:
    checkpoint = save_tiny_nougat(tmp_path / "loops", favour="a", weight=50, longest=2000)
    readings = list(NougatModel(checkpoint, device="cpu", batch_size=2).read(pages(2)))
    for reading in readings:
        assert reading.looped
        assert not reading.ended
        assert RECENT <= reading.tokens < 400
        assert reading.steadiness < LOOP_THRESHOLD


def test_find_loop_finds_where_the_logits_grow_steady() -> None:
    generator = np.random.default_rng(0)
    lively = generator.normal(20, 8, 600).astype(np.float32)
    steady = np.full(600, 25, np.float32)
    assert find_loop(lively)[0] == -1
    begins, steadiness = find_loop(np.concatenate([lively, steady]))
    assert 600 - WINDOW <= begins <= 1000  # the tail's variance falls as the lively part leaves it
    assert steadiness == 0
    assert find_loop(np.concatenate([steady, lively]))[0] == -1
    assert find_loop(steady[: RECENT + WINDOW - 1])[0] == -1


def test_find_loop_is_the_paper_s_formula() -> None:
    peaks = np.random.default_rng(1).normal(10, 2, 260).astype(np.float32)
    windows = [np.var(peaks[at : at + WINDOW].astype(float)) for at in range(260 - WINDOW + 1)]
    tails = [np.var(windows[at:]) for at in range(len(windows) - RECENT + 1)]
    threshold = float(np.median(tails)) * 1.0001
    below = [all(tail < threshold for tail in tails[at:]) for at in range(len(tails))]
    begins, steadiness = find_loop(peaks, threshold=threshold)
    assert begins == (below.index(True) if True in below else -1)
    assert steadiness == pytest.approx(tails[-1])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("# \n\nText", "Text"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        (r"\begin{tabular}{l l}  & \\ \end{tabular}", ""),
        (
            r"\begin{table} \begin{tabular}{l} x \end{tabular} \end{table}",
            "\\begin{table}\n\\begin{tabular}{l} x \\end{tabular}\n\\end{table}",
        ),
        ("## 2 Method\n\nA * b", "## 2 Method\n\nA * b"),
    ],
)
def test_tidy(text: str, wanted: str) -> None:
    assert tidy(text) == wanted


def test_a_missing_checkpoint_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no Nougat checkpoint at .*lacks config\.json"):
        check_checkpoint(str(tmp_path / "nowhere"))
    checkpoint = Path(save_tiny_nougat(tmp_path / "tiny"))
    check_checkpoint(str(checkpoint))
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"lacks model\.safetensors"):
        check_checkpoint(str(checkpoint))
