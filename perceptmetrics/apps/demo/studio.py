"""Answers to uploads as fragments of HTML: scores, explanations, comparisons. Knows nothing of Gradio."""

from __future__ import annotations

import io
import logging
import threading
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from PIL import Image

from perceptmetrics._util.text import printable
from perceptmetrics.apps.demo.offers import ATTRIBUTES
from perceptmetrics.apps.demo.shown import ShownImage, differences, radar_png, shown_metrics
from perceptmetrics.errors import InvalidImageError, InvalidOptionError, PerceptMetricsError
from perceptmetrics.explain import explain_images
from perceptmetrics.factory.create import create_metric
from perceptmetrics.images.load import load_pixels
from perceptmetrics.images.opening import open_image
from perceptmetrics.images.options import DecodeOptions
from perceptmetrics.images.uploads import upload_area
from perceptmetrics.reports.explain_panels import panel_rows
from perceptmetrics.reports.pages import jpeg_uri, png_uri, render_page, thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perceptmetrics.apps.demo.offers import Offer
    from perceptmetrics.images.options import IccHandling
    from perceptmetrics.models.metric import Metric

__all__ = ["DemoLimits", "Studio"]

_log = logging.getLogger(__name__)
_THUMBNAIL = 480
_OVERLAY_SIDE = 640
_SALIENCY_SAMPLES = 4  # few, because a visitor waits

Arguments = ParamSpec("Arguments")


@dataclass(frozen=True, kw_only=True)
class DemoLimits:
    """Limits of uploads.

    Attributes:
        max_bytes: Maximum size of a file, in bytes.
        max_pixels: Maximum number of pixels per image.
        max_images: Maximum number of images at a time.
        max_stored_bytes: Maximum size of all uploads that are stored, in bytes; then the oldest are deleted.
        max_stored_files: Maximum number of uploads that are stored.

    Raises:
        InvalidOptionError: Not all images of one visitor could be stored.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 25_000_000
    max_images: int = 8
    max_stored_bytes: int = 500_000_000
    max_stored_files: int = 1000

    def __post_init__(self) -> None:
        if self.max_stored_bytes < self.max_images * self.max_bytes or self.max_stored_files < self.max_images:
            raise InvalidOptionError(
                f"Expected room to store {self.max_images} images of {self.max_bytes / 1e6:g} MB, one visitor's, got "
                f"{self.max_stored_files} files with {self.max_stored_bytes / 1e6:g} MB. Raise --max-stored-mb and "
                "--max-stored-files, or lower the limits of an upload."
            )


def _explained(
    answer: Callable[Concatenate[Studio, Arguments], str],
) -> Callable[Concatenate[Studio, Arguments], str]:
    """Answer with the reason if something fails; about internal errors, say only that there was one."""

    @wraps(answer)
    def answered(studio: Studio, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> str:
        try:
            return answer(studio, *args, **kwargs)
        except (InvalidImageError, InvalidOptionError) as error:
            return _problem(str(error))
        except PerceptMetricsError:
            _log.exception("A metric cannot be used.")
            return _problem("This metric is not available at the moment. The reason is in the log of the demo.")
        except Exception:  # noqa: BLE001 - for the log, not for visitors
            _log.exception("The demo failed.")
            return _problem("Something went wrong here. The reason is in the log of the demo.")

    return answered


class Studio:
    """Scores, explains and compares images for visitors, one at a time.

    Args:
        offers: The metrics of the page; see `offers.offers`.
        limits: Limits of uploads; None for the defaults.
        device: Device of the metrics; None for the CPU.
        icc: What colour profiles of images do; see `create_metric`.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        limits: DemoLimits | None = None,
        device: str | None = None,
        icc: IccHandling = "convert",
    ) -> None:
        self.offers = list(offers)
        self.limits = limits or DemoLimits()
        self._device = device
        self._decoding = DecodeOptions(icc=icc)
        self._metrics: dict[str, Metric] = {}
        self._lock = threading.Lock()

    @property
    def ready(self) -> list[str]:
        """Names of the metrics that can be chosen."""
        return [offer.name for offer in self.offers if not offer.missing]

    @property
    def suggested(self) -> list[str]:
        """Names of the metrics that are chosen at first: the first one, and attributes for the radar plot."""
        return [*self.ready[:1], *(name for name in self.ready[1:] if name == ATTRIBUTES)]

    @_explained
    def scores(self, paths: Sequence[str | Path] | None, chosen: Sequence[str]) -> str:
        """Score images.

        Args:
            paths: The uploaded files.
            chosen: Names of metrics.

        Returns:
            HTML: each image with its scores or the reason why it has none, and a radar plot.
        """
        if not paths:
            return ""
        if len(paths) > self.limits.max_images:
            raise InvalidOptionError(f"At most {self.limits.max_images} images at a time, got {len(paths)}.")
        metrics, images = self._scored(paths, chosen)
        radar = radar_png(metrics, images)
        return _rendered("demo_scores.html", images=images, radar=png_uri(radar) if radar else "")

    @_explained
    def comparison(self, first: str | Path | None, second: str | Path | None, chosen: Sequence[str]) -> str:
        """Compare two images.

        Args:
            first: An uploaded file.
            second: Another uploaded file.
            chosen: Names of metrics.

        Returns:
            HTML: both images, their scores and the differences.
        """
        if first is None or second is None:
            return _hint("Choose two images.")
        metrics, images = self._scored([first, second], chosen)
        for image in images:
            if image.error:
                raise InvalidImageError(f"{image.name}: {image.error}")
        radar = radar_png(metrics, images)
        rows = differences(metrics, *images)
        return _rendered("demo_compare.html", images=images, rows=rows, radar=png_uri(radar) if radar else "")

    @_explained
    def explanation(self, path: str | Path | None, name: str) -> str:
        """Explain a score.

        Args:
            path: An uploaded file.
            name: Name of a metric.

        Returns:
            HTML: the image and its saliency, with the scale of the colours.
        """
        if path is None:
            return _hint("Choose an image.")
        (metric,) = self._chosen([name]).values()
        load_pixels(self._content(path), self._decoding)  # here, errors do not contain the path
        with self._lock:
            found = explain_images(
                metric,
                [path],
                methods=("saliency",),
                max_side=_OVERLAY_SIDE,
                saliency_side=_OVERLAY_SIDE,
                samples=_SALIENCY_SAMPLES,
            )
        ((photograph, saliency),) = panel_rows(found, found.images[0])
        return _rendered(
            "demo_explain.html",
            name=_shown_name(path),
            metric=name,
            photograph=jpeg_uri(Image.fromarray(photograph.overlay.pixels)),
            overlay=jpeg_uri(Image.fromarray(saliency.overlay.pixels), quality=92),
            title=photograph.overlay.title,
            scale=saliency.overlay.scale,
            note=saliency.note,
        )

    def catalogue(self) -> str:
        """HTML: all metrics, and how to get the weights of those that are not ready."""
        return _rendered("demo_metrics.html", offers=self.offers)

    def _scored(self, paths: Sequence[str | Path], chosen: Sequence[str]) -> tuple[dict[str, Metric], list[ShownImage]]:
        metrics = self._chosen(chosen)
        images = []
        for path in paths:
            try:
                images.append(self._image(path, metrics))
            except InvalidImageError as error:
                images.append(ShownImage(name=_shown_name(path), error=str(error)))
        return metrics, images

    def _image(self, path: str | Path, metrics: dict[str, Metric]) -> ShownImage:
        content = self._content(path)
        small, pixels = thumbnail(content, _THUMBNAIL), load_pixels(content, self._decoding)[None]
        with self._lock:
            rows = {name: metric.score_batch(pixels)[0].tolist() for name, metric in metrics.items()}
        with open_image(io.BytesIO(content), _shown_name(path), self._decoding) as image:
            size = f"{image.width} \N{MULTIPLICATION SIGN} {image.height}"
        return ShownImage(name=_shown_name(path), uri=jpeg_uri(small), size=size, metrics=shown_metrics(metrics, rows))

    def _content(self, path: str | Path) -> bytes:
        """The content of an allowed image; errors do not contain its path."""
        file, name = Path(path), _shown_name(path)
        if not file.exists():
            raise InvalidImageError(f"{name} is not stored here any more. Upload it again.")
        if file.stat().st_size > self.limits.max_bytes:
            raise InvalidImageError(f"{name} has more than {self.limits.max_bytes / 1e6:g} MB. Send a smaller file.")
        content = file.read_bytes()
        upload_area(io.BytesIO(content), name, self.limits.max_pixels)
        return content

    def _chosen(self, names: Sequence[str]) -> dict[str, Metric]:
        """The metrics of these names, each created when it is first needed."""
        by_name = {offer.name: offer for offer in self.offers if not offer.missing}
        unknown = [name for name in names if name not in by_name]
        if unknown or not names:
            raise InvalidOptionError("Choose at least one metric that is on this machine.")
        with self._lock:
            for name in names:
                if name not in self._metrics:
                    offer = by_name[name]
                    options = {
                        "device": self._device,
                        "icc": self._decoding.icc,
                        "local_files_only": True,
                        **offer.options,
                    }
                    self._metrics[name] = create_metric(offer.metric, **options)
        return {name: self._metrics[name] for name in names}


def _shown_name(path: str | Path) -> str:
    return printable(Path(path).name)


def _problem(text: str) -> str:
    return _rendered("demo_message.html", text=text, kind="problem")


def _hint(text: str) -> str:
    return _rendered("demo_message.html", text=text, kind="hint")


def _rendered(template: str, **context: object) -> str:
    return render_page(template, **context).decode()
