"""The linear map with updates of low rank is its formula, keeps little for its gradient; dropout's masks are fair."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from perceptmetrics.functional.low_rank import Kept, draw_kept, low_rank_linear

CHANNELS, OUTPUTS, RANK = 6, 9, 2
STARTS = {"all": (0, 3, 6), "last": (6,), "outer": (0, 6)}


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def arguments(starts, shape=(2, 5), *, masked=True, bias=True, dtype=torch.float64):
    inputs = random(*shape, CHANNELS, dtype=dtype)
    weight = random(OUTPUTS, CHANNELS, seed=1, dtype=dtype)
    updates = [
        (start, random(RANK, CHANNELS, seed=3 + start, dtype=dtype), random(3, RANK, seed=4 + start, dtype=dtype))
        for start in starts
    ]
    generator = torch.Generator().manual_seed(9)
    masks = [torch.rand(inputs.shape, generator=generator) > 0.3 for _ in starts]
    kept = [Kept(mask.to(torch.uint8), 1.3 + number) for number, mask in enumerate(masks)]
    return inputs, weight, random(OUTPUTS, seed=2, dtype=dtype) if bias else None, updates, 0.7, kept if masked else []


def by_hand(inputs, weight, bias, updates, scale, kept):
    outputs = F.linear(inputs, weight, bias)
    for number, (start, down, up) in enumerate(updates):
        seen = inputs * kept[number].mask * kept[number].factor if kept else inputs
        update = scale * F.linear(F.linear(seen, down), up)
        outputs = outputs + F.pad(update, (start, OUTPUTS - start - 3))
    return outputs


def leaves(inputs, weight, bias, updates, *_):
    return [inputs, weight, *([] if bias is None else [bias]), *(matrix for _, *pair in updates for matrix in pair)]


@pytest.mark.parametrize("starts", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("shape", [(), (4,), (2, 5)], ids=str)
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_all_gradients_are_those_of_the_formula(starts, shape, masked, bias):
    results = []
    for function in (low_rank_linear, by_hand):
        given = arguments(starts, shape, masked=masked, bias=bias)
        tensors = [tensor.requires_grad_() for tensor in leaves(*given)]
        outputs = function(*given)
        outputs.square().sum().backward()
        results.append([outputs, *(tensor.grad for tensor in tensors)])
    assert len(results[0]) == len(results[1]) == 3 + bias + 2 * len(starts)
    for mine, other in zip(*results, strict=True):
        assert mine.abs().max() > 0
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("masked", [True, False])
def test_gradients_numerically(masked):
    inputs, weight, bias, updates, scale, kept = arguments((0, 6), (3,), masked=masked)
    starts = [start for start, _, _ in updates]
    matrices = [matrix for _, *pair in updates for matrix in pair]

    def function(inputs, *matrices):
        pairs = zip(starts, matrices[::2], matrices[1::2], strict=True)
        return low_rank_linear(inputs, weight, bias, list(pairs), scale, kept)

    assert torch.autograd.gradcheck(function, [tensor.requires_grad_() for tensor in (inputs, *matrices)])


def test_frozen_tensors_get_no_gradient():
    given = arguments((0, 3, 6))
    trained = [matrix.requires_grad_() for _, *pair in given[3] for matrix in pair]
    low_rank_linear(*given).sum().backward()
    assert all(matrix.grad is not None for matrix in trained)
    assert all(tensor.grad is None for tensor in given[:3])


def test_gradients_that_are_not_contiguous():
    results = []
    for function in (low_rank_linear, by_hand):
        given = arguments((0, 3))
        given[0].requires_grad_()
        (function(*given).transpose(0, 1) * random(5, 2, OUTPUTS, seed=8)).sum().backward()
        results.append(given[0].grad)
    torch.testing.assert_close(*results)


def test_only_the_inputs_and_a_byte_per_element_of_a_mask_are_kept_for_the_gradient():
    given = arguments((0, 3, 6), (50, 40), dtype=torch.float32)
    for tensor in (given[0], *(matrix for _, *pair in given[3] for matrix in pair)):
        tensor.requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        low_rank_linear(*given)
    large = [tensor for tensor in kept if tensor.numel() >= given[0].numel()]
    assert [tensor.dtype for tensor in large] == [torch.float32, torch.uint8, torch.uint8, torch.uint8]
    assert large[0] is given[0] or large[0].data_ptr() == given[0].data_ptr()


@pytest.mark.parametrize("masked", [True, False])
def test_within_autocast_it_computes_in_low_precision_and_gives_gradients_in_that_of_the_parameters(masked):
    given = arguments((0, 3, 6), masked=masked, dtype=torch.float32)
    tensors = [tensor.requires_grad_() for tensor in leaves(*given)]
    with torch.autocast("cpu", torch.bfloat16):
        outputs = low_rank_linear(*given)
        assert outputs.dtype == torch.bfloat16
        outputs.float().square().sum().backward()
    torch.testing.assert_close(outputs.float(), by_hand(*given), atol=0.3, rtol=0.02)
    assert all(tensor.grad.dtype == torch.float32 and tensor.grad.abs().max() > 0 for tensor in tensors)


# Dropout


@pytest.mark.parametrize("probability", [0.02, 0.1, 0.5, 0.9])
def test_each_element_is_dropped_with_the_probability(probability):
    """Also by its place in the random word that decides on four of them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mask, factor = draw_kept((1000, 400), probability)
    shares = mask.view(-1, 4).float().mean(dim=0)
    error = math.sqrt(probability * (1 - probability) / 100_000)
    torch.testing.assert_close(shares, torch.full((4,), 1 - probability), atol=5 * error, rtol=0.0)
    assert factor == pytest.approx(1 / (1 - probability), rel=1e-3)


def test_elements_are_dropped_independently_of_each_other():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mask = draw_kept((250_000, 8), 0.5).mask.float()
    correlation = torch.corrcoef(mask.T) - torch.eye(8)
    assert correlation.abs().max() < 5 / math.sqrt(250_000)


def test_kept_elements_make_up_for_the_dropped_ones():
    for probability in (0.1, 1 / 3, 1e-7, 0.999):
        _, factor = draw_kept((1,), probability)
        levels = 65536 / factor
        assert abs(levels / 65536 - (1 - probability)) <= 0.51 / 65536
        assert levels == pytest.approx(round(levels), abs=1e-6)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (2, 0)], ids=str)
def test_masks_of_any_shape(shape):
    mask, _ = draw_kept(shape, 0.5)
    assert mask.shape == shape
    assert mask.dtype == torch.uint8
    assert draw_kept(shape, 0.0).mask.all()
    assert draw_kept(shape, 0.0).factor == 1


def test_masks_follow_the_generator():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first, second = draw_kept((64,), 0.5).mask, draw_kept((64,), 0.5).mask
        torch.manual_seed(5)
        again = draw_kept((64,), 0.5).mask
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
