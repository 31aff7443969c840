"""Geometry and normalisation of image batches, differentiable for floating-point pixels."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, addcmul

__all__ = [
    "ResizeMode",
    "centre_crop",
    "crops",
    "enlarge_to",
    "fit_into_square",
    "grid_crop_offsets",
    "normalise",
    "own_symbol",
    "random_crop_offsets",
    "resize",
    "resize_short_side",
    "shrink_to_long_side",
]

ResizeMode: TypeAlias = Literal["bilinear", "bicubic", "bilinear_aliased"]


def resize(images: Tensor, size: tuple[int, int], mode: ResizeMode = "bilinear") -> Tensor:
    """Resize, with an antialiasing filter unless the mode says otherwise.

    Args:
        images: Shape (N, C, H, W). Floating-point pixels stay exact. 8-bit pixels, of shape (N, 3, H, W) on the CPU,
            are resized by Pillow itself, which rounds to 8 bits after each of its two passes: what published models
            were trained on.
        size: Target height and width in pixels.
        mode: `"bilinear"`, `"bicubic"` (values may lie slightly outside those of the image), or `"bilinear_aliased"`,
            bilinear without an antialiasing filter, which takes floating-point pixels only.

    Returns:
        Shape (N, C, *size), of the same type.
    """
    if mode == "bilinear_aliased":
        return F.interpolate(images, size=size, mode="bilinear", align_corners=False)
    if images.dtype == torch.uint8:
        return torch.stack([_resize_by_pillow(image, size, mode) for image in images])
    if _is_known(*size) and size[1] == 1 < size[0]:
        # Here PyTorch would give all rows the same value. So resize the height first, and transpose for the width.
        along_height = F.interpolate(images, (size[0], images.shape[-1]), mode=mode, antialias=True)
        return F.interpolate(along_height.mT, (1, size[0]), mode=mode, antialias=True).mT
    return F.interpolate(images, size=size, mode=mode, align_corners=False, antialias=True)


def _resize_by_pillow(image: Tensor, size: tuple[int, int], mode: ResizeMode) -> Tensor:
    pillow_image = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    return torch.from_numpy(np.array(pillow_image.resize(size[::-1], filters[mode]))).permute(2, 0, 1)


def resize_short_side(images: Tensor, size: int, mode: ResizeMode = "bilinear") -> Tensor:
    """Resize so that the short side has a given length; the long side is rounded down, as in torchvision.

    Args:
        images: Shape (N, C, H, W); see `resize`.
        size: Target length of the short side in pixels.
        mode: See `resize`.

    Returns:
        Shape (N, C, h, w) with min(h, w) == size.
    """
    height, width = images.shape[-2:]
    short = _least(height, width)
    if _is_known(short) and short == size:
        return images
    return resize(images, (size * height // short, size * width // short), mode)


def shrink_to_long_side(images: Tensor, max_long_side: int) -> Tensor:
    """Shrink images whose longer side is above a limit; leave smaller ones untouched.

    Args:
        images: Shape (N, C, H, W); see `resize`.
        max_long_side: Limit in pixels.

    Returns:
        Shape (N, C, h, w) with max(h, w) <= max_long_side and the aspect ratio kept to the nearest pixel.
    """
    height, width = images.shape[-2:]
    long_side = _most(height, width)
    if _is_known(long_side) and long_side <= max_long_side:
        return images
    limit = _least(long_side, max_long_side)
    new_height, new_width = (_most(1, _nearest(side * limit, long_side)) for side in (height, width))
    return resize(images, (own_symbol(new_height), own_symbol(new_width)))


def fit_into_square(images: Tensor, side: int, mode: ResizeMode = "bilinear") -> Tensor:
    """Resize so that the long side has a given length, and pad with zeros to a square.

    Args:
        images: Shape (N, C, H, W); see `resize`.
        side: Side of the square in pixels.
        mode: See `resize`.

    Returns:
        Shape (N, C, side, side), the image in the middle; of an odd margin the larger part lies below and to the right.
    """
    height, width = images.shape[-2:]
    long_side = _most(height, width)
    size = tuple(_most(1, _nearest(length * side, long_side)) for length in (height, width))
    resized = images if size == (height, width) else resize(images, (size[0], size[1]), mode)
    (top, left), (down, right) = ((side - length) // 2 for length in size), (side - length for length in size)
    return F.pad(resized, (left, right - left, top, down - top))


def centre_crop(images: Tensor, size: int) -> Tensor:
    """Cut out the square in the middle; an odd margin is split as in torchvision.

    Args:
        images: Shape (N, C, H, W), H and W at least `size`.
        size: Side of the square in pixels.

    Returns:
        Shape (N, C, size, size), a view.
    """
    top, left = (_nearest(side - size, 2) for side in images.shape[-2:])
    if _is_known(top, left):
        return images[..., top : top + size, left : left + size]
    inside = torch.arange(size, device=images.device)  # a slice would check whether it lies within the image
    return images[..., top + inside[:, None], left + inside]


def crops(images: Tensor, offsets: list[tuple[int, int]], size: int) -> Tensor:
    """Cut squares out of each image, at the same positions in all of them.

    Args:
        images: Shape (N, C, H, W).
        offsets: Top and left edge of each of the V squares, in pixels.
        size: Side of a square in pixels.

    Returns:
        Shape (N * V, C, size, size), the crops of one image next to each other.
    """
    cut = [images[..., top : top + size, left : left + size] for top, left in offsets]
    return torch.stack(cut, dim=1).flatten(0, 1)


def random_crop_offsets(slack: tuple[int, int], count: int, seed: int) -> list[tuple[int, int]]:
    """Draw positions for crops: those that torchvision's `RandomCrop` draws after `torch.manual_seed(seed)`.

    Args:
        slack: How far a crop can move down and to the right, in pixels.
        count: Number of crops.
        seed: Seed.

    Returns:
        Top and left edge of each crop.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = [[int(torch.randint(0, room + 1, (), generator=generator)) for room in slack] for _ in range(count)]
    return [(top, left) for top, left in drawn]


def grid_crop_offsets(slack: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """Spread crops evenly over rows and columns.

    Args:
        slack: How far a crop can move down and to the right, in pixels.
        count: Number of crops. It is split into the rows and columns whose ratio is nearest to that of the slack:
            15 crops over 288 x 160 pixels make 5 rows of 3.

    Returns:
        Top and left edge of each crop, row by row; a single row or column lies in the middle.
    """
    down, right = slack
    wanted = math.log((down + 1) / (right + 1))
    factors = [rows for rows in range(1, count + 1) if count % rows == 0]
    rows = min(factors, key=lambda rows: abs(math.log(rows * rows / count) - wanted))
    return [(top, left) for top in _spread(down, rows) for left in _spread(right, count // rows)]


def _spread(slack: int, count: int) -> list[int]:
    return [slack // 2] if count == 1 else [round(slack * step / (count - 1)) for step in range(count)]


def enlarge_to(images: Tensor, side: int) -> Tensor:
    """Enlarge images whose short side is below a limit; leave larger ones untouched.

    Args:
        images: Shape (N, C, H, W), floating point.
        side: Least length of the short side in pixels.

    Returns:
        Shape (N, C, h, w) with min(h, w) >= side and the aspect ratio kept to the nearest pixel.
    """
    height, width = images.shape[-2:]
    short = _least(height, width)
    if _is_known(short) and short >= side:
        return images
    wanted = _most(short, side)
    size = (_nearest(height * wanted, short), _nearest(width * wanted, short))
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Subtract the mean and divide by the standard deviation, in one pass over the pixels.

    Args:
        images: Shape (N, C, H, W).
        mean: Shape (C,).
        std: Shape (C,), positive.

    Returns:
        Shape (N, C, H, W), `(images - mean) / std`.
    """
    scale = std.reciprocal()
    return addcmul((-mean * scale)[:, None, None], images, scale[:, None, None])


# A program traced for images of any size (`torch.export`) has symbols for their height and width. Sizes are computed
# from them with integers and without branches, so that the program is right for every size.


def _is_known(*lengths: int) -> bool:
    """Whether lengths are numbers, not symbols of a traced program."""
    return all(isinstance(length, int) for length in lengths)


def _least(one: int, other: int) -> int:
    """The smaller of two lengths, numbers or symbols."""
    # torch.compile before torch 2.8 cannot call `sym_min` on two numbers.
    return min(one, other) if _is_known(one, other) else cast("int", torch.sym_min(one, other))


def _most(one: int, other: int) -> int:
    """The larger of two lengths, numbers or symbols."""
    return max(one, other) if _is_known(one, other) else cast("int", torch.sym_max(one, other))


def _nearest(numerator: int, denominator: int) -> int:
    """The integer nearest to a non-negative fraction, ties to even like `round`."""
    up = (2 * numerator + denominator) // (2 * denominator)
    down = (2 * numerator + denominator - 1) // (2 * denominator)
    return up - (up - down) * (up % 2)


def own_symbol(length: int, least: int = 1) -> int:
    """Give a length of a traced program a symbol of its own.

    Otherwise it stays a formula of the image's size, which grows with every layer, until tracing takes minutes.

    Args:
        length: A number, which is returned as it is, or a symbol.
        least: A lower bound of the length.

    Returns:
        The same length.
    """
    if _is_known(length):
        return length
    own = torch.scalar_tensor(length, dtype=torch.int64).item()
    torch._check(own >= least)  # noqa: SLF001 - documented for programs that are traced
    return cast("int", own)
