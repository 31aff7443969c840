"""The option `resize=` of metrics that show an image whole: at which size instead of its own.

CLIP-IQA scores SPAQ at a short side of 512 pixels, and CLIP with its own positional embedding at 224 x 224 pixels
(Wang, Chan, Loy, AAAI 2023, Tables 1 and 2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perceptmetrics._util.text import shown
from perceptmetrics.errors import InvalidOptionError, InvalidSpecError
from perceptmetrics.models.metric_options import MetricOption
from perceptmetrics.spec import CentreCropView, MetricSpec, ResizedView, SquareView, ViewSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SIZE_OPTION", "parse_size"]

_FORMS = {"short": ResizedView, "square": SquareView, "crop": CentreCropView}


def parse_size(size: object) -> ViewSpec:
    """The view that shows an image whole at a size.

    Args:
        size: The short side in pixels, 512 or `"512"`; `"square:224"` to squeeze the image into a square, or
            `"crop:224"` to resize its short side and take the middle, as CLIP's own preprocessing does. All bicubic.

    Raises:
        InvalidOptionError: It has another form, or is not a positive number of pixels.
    """
    form, colon, pixels = str(size).partition(":") if isinstance(size, str) else ("short", ":", str(size))
    if not colon:
        form, pixels = "short", form
    if form not in _FORMS or not pixels.isdecimal() or isinstance(size, bool):
        raise InvalidOptionError(
            f"resize= must be the short side in pixels such as 512, 'square:224' or 'crop:224', got {shown(size)}."
        )
    try:
        return _FORMS[form](size=int(pixels), interpolation="bicubic")
    except (InvalidSpecError, ValueError) as error:
        raise InvalidOptionError(f"resize={shown(size)} is no size of an image: {error}") from error


def _with_size(spec: MetricSpec, values: Mapping[str, Any]) -> MetricSpec:
    view = parse_size(values["resize"])
    if spec.views.only is None:
        raise InvalidOptionError(
            f"resize= goes with a metric that shows the image once; {spec.name!r} has several views of it."
        )
    return replace(spec, views=replace(spec.views, views=(view,)))


SIZE_OPTION = MetricOption(("resize",), _with_size)
