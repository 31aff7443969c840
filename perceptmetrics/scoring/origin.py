"""What scores were computed with: weights, definitions of metrics, and options. A resumed run needs the same.

A journal and a Parquet file hold this record. CSV and JSON Lines have no room for one: there some of the scores are
computed again and compared.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, TypeAlias

from torch import Tensor

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.scoring.stream import score_columns, score_images
from perceptmetrics.spec.plain import to_plain
from perceptmetrics.weights.fingerprints import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from perceptmetrics.images.sources import NamedImage
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.scoring.results import ScoredImage

__all__ = ["Origin", "check_origin", "check_rows", "check_scores", "origin_of"]

Origin: TypeAlias = "Mapping[str, str]"
"""What scores were computed with, by its name for people."""

_log = logging.getLogger(__name__)
_DEFINITION = ("encoder", "views", "head", "pool", "score")
_TOLERANCE = 1e-3  # of the range of a score: more than devices differ in, and than a rounded table shows


def origin_of(metrics: Sequence[Metric], options: Mapping[str, str]) -> dict[str, str]:
    """The origin of the scores of metrics.

    Args:
        metrics: The metrics.
        options: Options that change scores, by name.
    """
    origin = dict(options)
    for metric in metrics:
        document = to_plain(metric.spec)
        definition = json.dumps(_without_terms({name: document.get(name) for name in _DEFINITION}), sort_keys=True)
        tensors = {name: tensor for key, value in metric.state_dict().items() for name, tensor in _plain(key, value)}
        origin[f"the definition of {metric.metric_name}"] = hashlib.sha256(definition.encode()).hexdigest()
        origin[f"the weights of {metric.metric_name}"] = fingerprint_of(tensors)
    return origin


def _without_terms(value: object) -> object:
    """Plain data without the licences of files, which change no score."""
    if isinstance(value, dict):
        return {name: _without_terms(item) for name, item in value.items() if name != "licence"}
    return [_without_terms(item) for item in value] if isinstance(value, list) else value


def _plain(name: str, value: object) -> Iterator[tuple[str, Tensor]]:
    """The tensors that a value of a state consists of; quantised ones are made of several."""
    if not isinstance(value, Tensor):
        return
    if not hasattr(value, "__tensor_flatten__"):
        yield name, value.detach().cpu()
        return
    for part in value.__tensor_flatten__()[0]:
        yield from _plain(f"{name}.{part}", getattr(value, part))


def check_origin(path: Path, found: Origin, expected: Origin) -> None:
    """Refuse to mix scores of different origins; what only one of both records is not compared.

    Raises:
        InvalidOptionError: The origins differ.
    """
    different = [name for name in expected if name in found and found[name] != expected[name]]
    if different:
        raise InvalidOptionError(
            f"{path} was begun with other settings: {', '.join(different)}. Its scores and new ones would not belong "
            "together. Resume it with what it was begun with, or write to another file."
        )


def check_scores(
    path: Path, done: Mapping[str, ScoredImage], metrics: Sequence[Metric], images: Sequence[NamedImage]
) -> None:
    """Score some images of an earlier run again, and refuse to continue it if their scores are others.

    Args:
        path: The file of the earlier run.
        done: Its rows by name.
        metrics: The metrics of this run.
        images: Images that it scored. What cannot be scored now is not compared; if that is all, a warning says so.

    Raises:
        InvalidOptionError: The score of an image differs by more than a thousandth of the metric's range.
    """
    check_rows(path, done, metrics, score_images(metrics, images, workers=0))


def check_rows(
    path: Path, done: Mapping[str, ScoredImage], metrics: Sequence[Metric], rows: Iterable[ScoredImage]
) -> None:
    """Compare rows that were scored again with those of an earlier run; see `check_scores`."""
    spans = [metric.spec.score.span for metric in metrics for _ in score_columns([metric])]
    compared = 0
    for row in rows:
        compared += row.error is None
        for (column, score), span in zip(row.scores.items(), spans, strict=row.error is None):
            earlier = done[row.name].scores[column]
            if not abs(score - earlier) <= _TOLERANCE * span:
                raise InvalidOptionError(
                    f"{path} was made with other weights, settings or images: its score {column} of {row.name!r} is "
                    f"{earlier:.6f}, and it is {score:.6f} now. Resume it with what it was begun with, or write to "
                    "another file."
                )
    if not compared:
        _log.warning(
            "None of the images of %s is at hand, so it may have been made with other weights or settings.", path
        )
