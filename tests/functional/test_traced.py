"""Traced programs compute the functions on images for any size, although the size is a symbol in them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.export import Dim

from perceptmetrics.functional.image import (
    centre_crop,
    enlarge_to,
    own_symbol,
    resize_short_side,
    shrink_to_long_side,
)

SIDE = 32
FUNCTIONS = {
    "centre crop": lambda images: centre_crop(images, SIDE),
    "enlarged": lambda images: enlarge_to(images, 2 * SIDE),
    "short side": lambda images: resize_short_side(images, SIDE),
    "long side": lambda images: shrink_to_long_side(images, 2 * SIDE),
    "own symbol": lambda images: images.new_ones(own_symbol(images.shape[-2]), own_symbol(images.shape[-1])).cumsum(0),
}


class Module(nn.Module):
    def __init__(self, function):
        super().__init__()
        self._function = function

    def forward(self, images):
        return self._function(images)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_traced_function_equals_the_function_at_every_size(name):
    function = FUNCTIONS[name]
    sizes = {2: Dim("height", min=SIDE + 1, max=200), 3: Dim("width", min=SIDE + 1, max=200)}
    program = torch.export.export(Module(function), (torch.rand(1, 3, 50, 70),), dynamic_shapes=(sizes,))
    for height, width in ((50, 70), (33, 90), (120, 41), (64, 64), (150, 151)):
        images = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height))
        torch.testing.assert_close(program.module()(images), function(images), rtol=1e-5, atol=1e-5)
