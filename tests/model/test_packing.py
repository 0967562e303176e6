"""Documents of one row never see each other, however they lie."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from model import packing
from model.packing import IGNORED, PADDING, attend, lay_out, targets
from model.vlm import Loss, VisionLanguageModel
from tests.model.shapes import ALONE, HYBRID, pictures, randomised

torch.set_num_threads(1)
MODEL = randomised(ALONE).requires_grad_(False)
IMAGE = ALONE.tokens.image
LENGTHS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=3)


def loss(model: VisionLanguageModel, *args: torch.Tensor | None, **kwargs: torch.Tensor) -> Loss:
    out = model(*args, **kwargs)
    assert isinstance(out, Loss)
    return out


@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.integers(0, 2**31), st.integers(0, 3), st.booleans())
def test_a_packed_row_loses_what_its_documents_lose_alone(
    rows: list[list[int]], seed: int, padding: int, left: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    width = max(map(sum, rows)) + padding
    tokens = torch.randint(4, 64, (len(rows), width), generator=generator)
    labels = tokens.masked_fill(torch.rand(tokens.shape, generator=generator) < 0.3, IGNORED)
    documents = torch.full_like(tokens, PADDING)
    alone, count = 0.0, 0
    for row, lengths in enumerate(rows):
        at = width - sum(lengths) if left else 0
        for number, length in enumerate(lengths):
            here = slice(at, at + length)
            documents[row, here] = number
            one = loss(MODEL, tokens[row : row + 1, here], labels=labels[row : row + 1, here])
            alone += float(one.sum)
            count += int(one.tokens)
            at += length
    packed = loss(MODEL, tokens, documents=documents, labels=labels)
    assert int(packed.tokens) == count
    assert float(packed.sum) == pytest.approx(alone, rel=1e-5, abs=1e-5)


def test_the_same_with_images_and_with_gradients() -> None:
    model = randomised(HYBRID)
    each = HYBRID.image_tokens
    images = pictures(HYBRID, 3)
    spread = [[5] + [IMAGE] * each + [6, 7], [8, 9, 10], [11] + [IMAGE] * 2 * each + [12]]
    tokens = torch.tensor([[*spread[0], *spread[1], *spread[2]]])
    labels = tokens.masked_fill(tokens == IMAGE, IGNORED)
    documents = torch.tensor([[n for n, part in enumerate(spread) for _ in part]])
    packed = loss(model, tokens, images, documents, labels)
    packed.sum.backward()
    together = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    alone = 0.0
    seen = 0
    for part in spread:
        row = torch.tensor([part])
        number = part.count(IMAGE) // each
        one = loss(
            model, row, images[seen : seen + number], labels=row.masked_fill(row == IMAGE, IGNORED)
        )
        one.sum.backward()
        alone += float(one.sum.detach())
        seen += number
    assert float(packed.sum.detach()) == pytest.approx(alone, rel=1e-5)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        scale = float(parameter.grad.abs().max()) or 1.0
        assert float((together[name] - parameter.grad).abs().max()) < 1e-5 * max(scale, 1.0), name


@given(st.lists(st.lists(st.integers(-1, 3), min_size=6, max_size=6), min_size=1, max_size=3))
def test_positions_restart_with_every_document(ids: list[list[int]]) -> None:
    rows = lay_out(torch.tensor(ids))
    spans = iter(rows.spans)
    for row, given_ids in enumerate(ids):
        at = 0
        for document, members in groupby(given_ids):
            length = len(list(members))
            here = slice(at, at + length)
            if document == PADDING:
                assert rows.documents[row, here].tolist() == [PADDING] * length
                assert not rows.positions[row, here].any()
            else:
                assert next(spans) == (row, at, at + length)
                assert rows.positions[row, here].tolist() == list(range(length))
            at += length
    assert next(spans, None) is None


def test_no_document_predicts_the_next_ones_first_token() -> None:
    rows = lay_out(torch.tensor([[0, 0, 1, 1, PADDING]]))
    assert targets(torch.tensor([[1, 2, 3, 4, 5]]), rows).tolist() == [
        [2, IGNORED, 4, IGNORED, IGNORED]
    ]


def test_rows_padded_on_the_right_need_no_mask() -> None:
    assert not lay_out(torch.tensor([[0, 0, PADDING], [0, 0, 0]])).packed
    assert lay_out(torch.tensor([[PADDING, 0, 0]])).packed
    assert lay_out(torch.tensor([[0, 1, 1]])).packed


def test_the_mask_of_a_gpu_says_what_the_cut_of_a_cpu_does() -> None:
    documents = torch.tensor([[0, 0, 0, 1, 1, 2, PADDING, PADDING], [0, 1, 1, 1, 1, 1, 1, 1]])
    rows = lay_out(documents)
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 4, 8, 16, generator=generator) for _ in range(3))
    cut = attend(q, k[:, :2], v[:, :2], rows)
    at = torch.arange(8)
    sees = packing._visibility(rows.documents)
    dense = sees(torch.arange(2)[:, None, None, None], at[:1], at[:, None], at)
    whole = functional.scaled_dot_product_attention(
        q, k[:, :2], v[:, :2], attn_mask=dense, enable_gqa=True
    )
    real = (documents != PADDING)[:, None, :, None]
    assert torch.allclose(cut * real, whole * real, atol=1e-6)


def test_document_ids_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[1, 3\].*\[1, 4\]"):
        MODEL(torch.ones(1, 4, dtype=torch.int64), documents=torch.zeros(1, 3, dtype=torch.int64))
