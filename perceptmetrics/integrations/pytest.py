"""A plug-in of pytest: the fixture `image_quality` for tests of programs that make images.

pytest loads it by itself where this package is installed, so importing it imports neither PyTorch nor anything else
that is heavy; that happens when a test uses the fixture.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from perceptmetrics.models.metric import Metric

__all__ = ["ImageQuality", "image_quality"]

_NAMED = 10


class _Score(NamedTuple):
    name: str
    score: float


class ImageQuality:
    """Assertions on images. Images are whatever `Metric.score` takes: paths, folders, arrays, tensors, or several."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}

    def assert_not_broken(self, images: Any, *, allow: Collection[str] = ()) -> None:
        """Fail if the tripwire finds an image broken, and name those that are, with their faults.

        Args:
            images: The images; see `perceptmetrics.find_broken`.
            allow: Kinds of faults (`perceptmetrics.tripwire.KINDS`) that are none here, such as `["constant"]`.

        Raises:
            AssertionError: An image is broken, or cannot be read.
            InvalidOptionError: `allow` names an unknown kind.
        """
        __tracebackhide__ = True
        from perceptmetrics.errors import InvalidOptionError, nearest_names
        from perceptmetrics.tripwire import KINDS, check_images

        if unknown := sorted(set([allow] if isinstance(allow, str) else allow) - KINDS.keys()):
            raise InvalidOptionError(
                f"There is no fault of the kind {unknown[0]!r}. {nearest_names(unknown[0], KINDS)}"
            )
        verdicts = list(check_images(images))
        broken = [verdict for verdict in verdicts if verdict.broken and str(verdict.kind) not in allow]
        if broken:
            lines = [f"  {verdict.name}: {verdict.kind} ({verdict.reason})" for verdict in broken]
            raise AssertionError("\n".join([f"{len(broken)} of {len(verdicts)} images are broken:", *_some(lines)]))

    def assert_no_worse(
        self,
        images: Any,
        baseline: Any,
        margin: float,
        *,
        metric: str | Metric = "lite_iqa",
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        """Fail unless images are, on average, no worse than a baseline by more than a margin.

        Each image is compared with its own baseline: in two folders the files of the same relative path without suffix,
        else in order. The mean difference has a bootstrap interval over the pairs; its lower end must not lie below
        `-margin`. So few images, whose mean says little, fail rather than pass.

        Args:
            images: The images to judge.
            baseline: The images to compare with.
            margin: The largest loss that is accepted, in units of the metric's score; 0 or more.
            metric: Name of a metric with a single score, or such a metric.
            level: Coverage of the interval.
            seed: Seed of the bootstrap.

        Raises:
            AssertionError: The images are worse, do not pair up, or cannot be read.
            InvalidOptionError: The metric has several scores, or an option is impossible.
        """
        __tracebackhide__ = True
        from perceptmetrics.errors import InvalidOptionError
        from perceptmetrics.functional.stats import bootstrap_interval

        if not (margin >= 0 and 0 < level < 1):
            raise InvalidOptionError(f"margin must be 0 or more and level within 0..1, got {margin} and {level}.")
        judge = self._metric(metric)
        pairs = _paired(_scores(judge, images, "images"), _scores(judge, baseline, "baseline"), images, baseline)
        sign = 1.0 if judge.spec.score.higher_is_better else -1.0
        gains = [(sign * (new.score - old.score), new, old) for new, old in pairs]
        mean = sum(gain for gain, _, _ in gains) / len(gains)
        low, high = bootstrap_interval(_mean, [gain for gain, _, _ in gains], level=level, seed=seed)
        if low >= -margin:
            return
        worst = sorted(gains, key=lambda item: item[0])
        lines = [f"  {new.name}: {new.score:.4f}, baseline {old.score:.4f} ({gain:+.4f})" for gain, new, old in worst]
        raise AssertionError(
            f"The images may be worse than the baseline by more than {margin:g}: {judge.metric_name} differs by "
            f"{mean:+.4f} on average of {len(gains)} pairs ({level:.0%} interval {low:+.4f} to {high:+.4f}; above 0 is "
            "better). The largest losses:\n" + "\n".join(_some(lines))
        )

    def _metric(self, metric: str | Metric) -> Metric:
        """A metric with one score; created once a session."""
        from perceptmetrics.errors import InvalidOptionError
        from perceptmetrics.factory.create import create_metric

        if isinstance(metric, str):
            if metric not in self._metrics:
                self._metrics[metric] = create_metric(metric)
            metric = self._metrics[metric]
        if len(metric.score_columns) != 1:
            raise InvalidOptionError(
                f"{metric.metric_name} has {len(metric.score_columns)} scores; compare images by a metric that has one."
            )
        return metric


@pytest.fixture(scope="session")
def image_quality() -> ImageQuality:
    """Assertions on images: `assert_not_broken(images)`, `assert_no_worse(images, baseline, margin)`."""
    return ImageQuality()


def _mean(values: Any) -> float:
    return float(values.mean())


def _some(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _NAMED
    return [*lines[:_NAMED], *([f"  and {more} more"] if more > 0 else [])]


def _scores(metric: Metric, images: Any, role: str) -> list[_Score]:
    __tracebackhide__ = True
    from perceptmetrics.images.given import single_images
    from perceptmetrics.scoring.stream import score_images

    rows = list(score_images([metric], single_images(images)))
    failed = [f"  {row.name}: {row.error}" for row in rows if row.error is not None]
    if failed or not rows:
        raise AssertionError("\n".join([f"{len(failed)} of {len(rows)} images of the {role} failed:", *_some(failed)]))
    return [_Score(row.name, next(iter(row.scores.values()))) for row in rows]


def _paired(new: list[_Score], old: list[_Score], images: Any, baseline: Any) -> list[tuple[_Score, _Score]]:
    """Each image with its baseline: by relative path in two folders, else in order."""
    __tracebackhide__ = True
    if not (_is_folder(images) and _is_folder(baseline)):
        if len(new) != len(old):
            raise AssertionError(f"{len(new)} images cannot be compared in pairs with {len(old)} of the baseline.")
        return list(zip(new, old, strict=True))
    ours, theirs = _by_path(new, images), _by_path(old, baseline)
    if unpaired := sorted(ours.keys() ^ theirs.keys()):
        lines = [f"  {name}: only in the {'images' if name in ours else 'baseline'}" for name in unpaired]
        raise AssertionError("\n".join(["Images have no counterpart of the same name:", *_some(lines)]))
    return [(score, theirs[name]) for name, score in ours.items()]


def _is_folder(images: Any) -> bool:
    return isinstance(images, (str, os.PathLike)) and Path(images).is_dir()


def _by_path(scores: list[_Score], folder: Any) -> dict[str, _Score]:
    """Scores by path within a folder, without suffix."""
    __tracebackhide__ = True
    found: dict[str, _Score] = {}
    for score in scores:
        path = PurePath(score.name)
        name = str((path.relative_to(folder) if path.is_relative_to(folder) else path).with_suffix(""))
        if name in found:
            raise AssertionError(f"{found[name].name} and {score.name} have the same name without suffix.")
        found[name] = score
    return found
