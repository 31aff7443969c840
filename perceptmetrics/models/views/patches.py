"""Views of many patches at native size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import torch

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.functional.image import crops, enlarge_to
from perceptmetrics.models.metric_options import MetricOption
from perceptmetrics.models.views.base import Normalization, View, Window, cut_square, register_view, size_of
from perceptmetrics.spec import PatchesView, PatchSelection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from torch import Tensor

    from perceptmetrics.spec import MetricSpec

__all__ = ["Patches"]


class Patches(View[PatchesView]):
    """Square patches at a stride."""

    spec_class = PatchesView

    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        """See `View.show`."""
        pixels = normalization(enlarge_to(normalization.to_float(images), self.spec.size))
        return crops(pixels, self._corners(*size_of(pixels)), self.spec.size)

    def windows(self, height: int, width: int) -> list[list[Window]]:
        """See `View.windows`."""
        size = size_of(enlarge_to(torch.empty(1, 3, height, width, device="meta"), self.spec.size))
        return [[cut_square((0, 0), corner, self.spec.size, size)] for corner in self._corners(*size)]

    @classmethod
    def options(cls) -> tuple[MetricOption, ...]:
        """Which patches are looked at."""
        return (MetricOption(("patches",), _with_selection),)

    def _corners(self, height: int, width: int) -> list[tuple[int, int]]:
        """Top and left edge of each patch, row by row."""
        size, stride, most = self.spec.size, self.spec.stride, self.spec.most
        corners = [
            (top, left) for top in range(0, height - size + 1, stride) for left in range(0, width - size + 1, stride)
        ]
        if self.spec.selection == "top_left":
            return corners[:1]
        step = 1 if most is None else max(1, len(corners) // most)
        return corners[::step][:most]


def _with_selection(spec: MetricSpec, values: Mapping[str, Any]) -> MetricSpec:
    selection = values["patches"]
    if selection not in get_args(PatchSelection):
        raise InvalidOptionError(f"patches= must be one of {get_args(PatchSelection)}, got {selection!r}.")
    views = tuple(
        replace(view, selection=selection) if isinstance(view, PatchesView) else view for view in spec.views.views
    )
    return replace(spec, views=replace(spec.views, views=views))


register_view(Patches)
