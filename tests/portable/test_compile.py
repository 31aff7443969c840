"""`torch.compile` takes every family as one graph."""

from __future__ import annotations

import shutil

import pytest
import torch

from tests.support.photographs import photographs
from tests.support.registered_metrics import build

BACKEND = "aot_eager"
SLOW = ["clipiqa+_rn50_512", "clipiqa+_vitL14_512", "clip_uiqa", "perceptclip_iqa"]
NAMES = ["clipiqa", "perceptclip_emo", "lite_iqa", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.mark.parametrize("name", NAMES)
def test_forward_and_backward_are_one_graph_each(name):
    metric = build(name)
    torch.compiler.reset()
    compiled = torch.compile(metric, fullgraph=True, backend=BACKEND)
    plain, traced = (photographs(96, 128)[:2].requires_grad_() for _ in range(2))
    expected, scores = metric(plain), compiled(traced)
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)
    expected.sum().backward()
    scores.sum().backward()
    scale = float(plain.grad.abs().max())
    assert scale > 0
    torch.testing.assert_close(traced.grad, plain.grad, atol=1e-3 * scale, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("name", ["clipiqa", "perceptclip_mem", "lite_iqa"])
def test_compiled_code_gives_the_same_scores(name):
    metric = build(name)
    torch.compiler.reset()
    compiled = torch.compile(metric, fullgraph=True)
    images = photographs(96, 128)[:2]
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), metric(images), atol=1e-4, rtol=1e-4)
