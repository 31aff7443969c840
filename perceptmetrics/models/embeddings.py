"""Embeddings in place of images: which metrics can score them, and what must be true of them first.

An embedding is what the metric's encoder gives for the metric's view of an image. It does not say so itself: embeddings
of another encoder have the same form and score something meaningless, so whatever can be compared is compared.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from perceptmetrics._util.text import shown
from perceptmetrics.errors import InvalidEmbeddingError, InvalidOptionError
from perceptmetrics.models.encoders.named import named_encoder
from perceptmetrics.weights.fingerprints import is_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perceptmetrics.models.metric import Metric
    from perceptmetrics.spec import EncoderSpec, MetricSpec

__all__ = ["as_rows", "check_needs", "check_readable", "checked_rows", "problems_of", "score_rows", "warn_of_lengths"]

_UNIT_TOLERANCE = 1e-3  # half precision, in which embeddings are often stored, deviates by less
_LEAST_LENGTH = 1e-12  # below, a direction is lost
_OPENAI_SPELLING = re.compile(r"(ViT-\w+)/(\d+)")  # "ViT-L/14", which open_clip calls "ViT-L-14"
_OPENAI_TAG = "/openai"
_NOT_FINITE, _ZERO = "holds NaN, infinite or immense numbers", "is zero, so it has no direction"
_AT_ONCE, _PROMPTS_AT_ONCE = 16_384, 256  # rows whose hidden layers, or whose texts, are in memory together
_FEW = 1_024  # rows that are scored just as their images are

_log = logging.getLogger(__name__)


def checked_rows(metric: Metric, embeddings: Tensor | np.ndarray, *, normalized: bool, encoder: str | None) -> Tensor:
    """Check embeddings as `Metric.score_features` promises.

    Returns:
        Shape (N, D), in float32 or better, where they were; differentiable where they are.
    """
    check_readable(metric, normalized=normalized, encoder=encoder)
    rows = as_rows(embeddings, metric.encoder.feature_size, metric.metric_name)
    problems, far = problems_of(rows, normalized=normalized, reads_length=metric.spec.head.reads_length)
    for index, reason in problems.items():
        others = f" (and {len(problems) - 1:,} others)" if len(problems) > 1 else ""
        raise InvalidEmbeddingError(f"Embedding {index}{others} {reason}. Leave it out, or embed it again.")
    if normalized and far:
        warn_of_lengths(far, len(rows))
    return rows


def check_readable(metric: Metric, *, normalized: bool, encoder: str | None) -> None:
    """Refuse embeddings that the metric cannot score, as far as can be said without looking at them.

    Args:
        metric: The metric.
        normalized: Whether they were divided by their length.
        encoder: Name or fingerprint of the encoder that they come from; None where it is not known.

    Raises:
        InvalidOptionError: The metric needs more than one embedding an image, or those of another encoder.
    """
    check_needs(metric.spec, normalized=normalized, encoder=encoder)
    if encoder is not None:
        _check_same_encoder(encoder, metric.spec.encoder, metric.encoder.fingerprint)


def check_needs(spec: MetricSpec, *, normalized: bool, encoder: str | None) -> None:
    """Refuse a metric that needs more than the encoder's output, or another output; see `check_readable`."""
    if not isinstance(normalized, bool):
        raise InvalidOptionError(
            f"normalized= must say whether the embeddings have unit length, True or False, got {shown(normalized)}."
        )
    needs = ""
    if spec.views.view_count != 1:
        several = spec.views.view_count or "as many as fit into it"
        needs = f"the features of several views of each image ({several}), and an embedding is one. Score the images"
    elif normalized and spec.head.reads_length:
        needs = (
            "the length of the encoder's features, which normalised embeddings have lost. Store them as the encoder "
            "gives them and pass normalized=False"
        )
    elif encoder is None and (spec.encoder.lora is not None or spec.encoder.in_trained_file):
        needs = (
            "the features of its own encoder, which was tuned for it; those of the plain one look alike and score "
            "nothing meaningful. If yours come from metric.encode, say so: encoder=metric.encoder.fingerprint()"
        )
    if needs:
        raise InvalidOptionError(f"{spec.name!r} cannot score these embeddings: it needs {needs}.")


def as_rows(embeddings: Tensor | np.ndarray, width: int, name: str) -> Tensor:
    """Embeddings as rows in float32 or better, differentiable where they are.

    Args:
        embeddings: Should have shape (N, width) or (width,), and floating-point numbers.
        width: Length of the metric's features.
        name: The metric, for the error message.

    Raises:
        InvalidEmbeddingError: They have not.
    """
    if isinstance(embeddings, np.ndarray):
        if embeddings.dtype.kind != "f":
            raise InvalidEmbeddingError(
                f"Embeddings are floating-point numbers, got an array of {embeddings.dtype}. Quantised ones must be "
                "turned into floating-point numbers by what quantised them."
            )
        native = np.ascontiguousarray(embeddings, embeddings.dtype.newbyteorder("="))
        embeddings = torch.from_numpy(native if native.flags.writeable else native.copy())
    if not isinstance(embeddings, Tensor) or not embeddings.is_floating_point():
        kind = embeddings.dtype if isinstance(embeddings, Tensor) else type(embeddings).__name__
        raise InvalidEmbeddingError(f"Embeddings are a tensor or an array of floating-point numbers, got {kind}.")
    rows = embeddings[None] if embeddings.ndim == 1 else embeddings
    if rows.ndim != 2 or rows.shape[1] != width:
        raise InvalidEmbeddingError(
            f"{name!r} reads embeddings of {width} numbers, so shape (N, {width}) or ({width},), got "
            f"{tuple(embeddings.shape)}. Embeddings of another encoder do not fit, nor do those before the projection."
        )
    if len(rows) == 0:
        raise InvalidEmbeddingError("There is nothing to score: there are no embeddings.")
    return rows.to(torch.promote_types(rows.dtype, torch.float32))


def problems_of(rows: Tensor, *, normalized: bool, reads_length: bool) -> tuple[dict[int, str], int]:
    """What is wrong with embeddings, as far as their lengths tell.

    Args:
        rows: Shape (N, D).
        normalized: Whether they were said to be normalised.
        reads_length: Whether the metric depends on the length.

    Returns:
        Why rows cannot be scored, by index; and the number of the others that do not have unit length.

    Raises:
        InvalidEmbeddingError: All have unit length, although they were said not to be normalised and the metric depends
            on it.
    """
    lengths = _lengths(rows)
    usable = lengths.isfinite() & (lengths >= _LEAST_LENGTH)
    far = usable & ((lengths - 1).abs() > _UNIT_TOLERANCE)
    count = int(far.sum())
    if reads_length and not normalized and not count and bool(usable.any()):
        raise InvalidEmbeddingError(
            "The embeddings have unit length, although they were said not to be normalised. The metric needs the "
            "length that they had; store them as the encoder gives them."
        )
    wrong = [] if bool(usable.all()) else (~usable).nonzero().flatten().tolist()
    return {index: _ZERO if float(lengths[index]) < _LEAST_LENGTH else _NOT_FINITE for index in wrong}, count


def warn_of_lengths(count: int, total: int) -> None:
    """Warn that embeddings are not normalised, although they were said to be."""
    _log.warning(
        "%d of %d embeddings do not have unit length, although they were said to be normalised. The metric divides "
        "them by their length; check that they are what you take them for.",
        count,
        total,
    )


@torch.no_grad()
def _lengths(rows: Tensor) -> Tensor:
    """Length of each row, shape (N,); infinite or NaN where a number of the row is, or where it is too large."""
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=-1)
    return lengths


def _check_same_encoder(stated: str, spec: EncoderSpec, fingerprint: Callable[[], str]) -> None:
    """Refuse embeddings of another encoder, by its fingerprint or its name."""
    if is_fingerprint(stated):
        own = fingerprint()
        if own != stated:
            raise InvalidOptionError(
                f"The embeddings come from the encoder of fingerprint {stated}, and the metric has the one of {own}. "
                "Scores of another encoder's embeddings mean nothing."
            )
        return
    name = _OPENAI_SPELLING.sub(r"\1-\2", stated).removesuffix(_OPENAI_TAG)
    plain = [named_encoder(name)]
    if plain[0].spec.reads_text:  # at the size of its training both give the same
        plain.append(named_encoder(name, positional_embedding="keep"))
    if not any(found.spec.is_built_as(spec) and found.spec.weights == spec.weights for found in plain):
        raise InvalidOptionError(
            f"The embeddings come from {stated}, and the metric reads those of {spec.architecture} "
            f"({spec.weights.location}). Scores of another encoder's embeddings mean nothing."
        )


def score_rows(metric: Metric, rows: Tensor, texts: Sequence[str] | Tensor | None) -> Tensor:
    """Score checked embeddings, a part at a time, so that little more memory is taken than they take.

    Args:
        metric: The metric.
        rows: Shape (N, D), on any device.
        texts: For a metric that reads prompts: the text of each row, or text features, shape (N, D).

    Returns:
        Shape (N, K), float32, on the device of the rows.
    """
    with torch.autocast(metric.device.type, enabled=False):  # a score does not depend on who asks for it
        if texts is not None and not isinstance(texts, Tensor) and len(set(texts)) == 1:
            texts = metric.encode_prompts(texts[:1]).expand(len(rows), -1)
        size = _AT_ONCE if texts is None or isinstance(texts, Tensor) else _PROMPTS_AT_ONCE
        many = texts is None and len(rows) > _FEW and not _needs_graph(metric, rows)
        fast = metric.head.for_many() if many else None  # type: ignore[operator]
        scores = []
        for first in range(0, len(rows), size):
            part = rows[first : first + size].to(metric.device)
            if fast is None:
                own = None if texts is None else texts[first : first + size]
                scored = metric.forward_features([part], len(part), own)
            else:
                scored = metric.spec.score.map(metric.pool(fast(part)[:, None]).float())
            scores.append(scored.to(rows.device))
        return torch.cat(scores)


def _needs_graph(metric: Metric, rows: Tensor) -> bool:
    weights = (weight for part in (metric.head, metric.pool) for weight in part.parameters())
    return torch.is_grad_enabled() and (rows.requires_grad or any(weight.requires_grad for weight in weights))
