"""The forms of SAM's attention against the one that writes everything out."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from model import sam
from model.config import SamConfig
from model.sam import SamAttention, SamBlock


def operands(
    height: int, width: int, batch: int = 2, heads: int = 3, channels: int = 8
) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(height * 100 + width)
    shape = (batch, heads, height * width)
    q, k, v = (torch.randn(*shape, channels, generator=generator) for _ in range(3))
    rows = torch.randn(*shape, height, generator=generator)
    columns = torch.randn(*shape, width, generator=generator)
    return q, k, v, rows, columns


def written_out(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    bias = (rows[..., :, None] + columns[..., None, :]).flatten(-2)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias
    return scores.softmax(-1) @ v


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.sampled_from([1, 50, 1000, 1 << 22]))
def test_both_forms_are_that_attention(height: int, width: int, scores: int) -> None:
    given_operands = operands(height, width)
    expected = written_out(*given_operands)
    whole = sam._BIASED_SCORES
    try:
        sam._BIASED_SCORES = scores
        assert torch.allclose(sam._biased_in_slices(*given_operands), expected, atol=2e-6)
    finally:
        sam._BIASED_SCORES = whole
    assert torch.allclose(sam._appended(*given_operands), expected, atol=2e-6)


def test_the_appended_scores_are_the_same_to_the_last_bit() -> None:
    q, k, _, rows, columns = operands(6, 6)
    row = torch.eye(6).repeat_interleave(6, 0)
    column = torch.eye(6).repeat(6, 1)
    scaled = q * q.shape[-1] ** -0.5
    picks = torch.cat((row, column), -1).expand(2, 3, -1, -1)
    appended = torch.cat((rows, columns), -1) @ picks.transpose(-1, -2)
    assert torch.equal(appended, (rows[..., :, None] + columns[..., None, :]).flatten(-2))
    whole = torch.cat((scaled, rows, columns), -1) @ torch.cat((k, picks), -1).transpose(-1, -2)
    assert torch.allclose(whole, scaled @ k.transpose(-1, -2) + appended, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 11), st.integers(2, 5))
def test_windows_attend_as_if_padded_with_zeros_before_the_projection(
    side: int, window: int
) -> None:
    config = SamConfig(
        image_size=16 * side, width=12, heads=2, layers=1, global_blocks=(0,), mlp_width=12
    )
    torch.manual_seed(side)
    attention = SamAttention(config, window).double().requires_grad_(False)
    for parameter in attention.parameters():
        parameter.normal_()
    x = torch.randn(2, side, side, 12, dtype=torch.float64)
    # The same attention over each padded window by itself.
    whole = SamAttention(replace(config, image_size=16 * window), 0).double()
    whole.requires_grad_(False)
    whole.load_state_dict(attention.state_dict())
    more = -side % window
    padded = functional.pad(x, (0, 0, 0, more, 0, more))
    expected = torch.empty_like(padded)
    for top in range(0, side + more, window):
        for left in range(0, side + more, window):
            here = (slice(None), slice(top, top + window), slice(left, left + window))
            expected[here] = whole(padded[here])
    assert torch.allclose(attention(x), expected[:, :side, :side])


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 9), st.sampled_from([0, 4]))
def test_a_block_in_strips_is_the_block_at_once(side: int, window: int) -> None:
    config = SamConfig(
        image_size=16 * side,
        width=12,
        heads=2,
        layers=1,
        window=4,
        global_blocks=(0,),
        mlp_width=24,
    )
    torch.manual_seed(side)
    block = SamBlock(config, window).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, side, side, 12, dtype=torch.float64)
    # As on a GPU, which takes no strips.
    expected = block._mix(block._attend(x))
    in_strips = block(x)
    assert torch.allclose(in_strips, expected)
    with torch.no_grad():  # where the bias of all slices has one place
        assert torch.allclose(block(x), expected)
    parameters = list(block.parameters())
    of_strips = torch.autograd.grad(in_strips.square().sum(), parameters)
    at_once = torch.autograd.grad(expected.square().sum(), parameters)
    for ours, whole in zip(of_strips, at_once, strict=True):
        assert torch.allclose(ours, whole, rtol=1e-6, atol=1e-8)
