"""Score files of embeddings with one or several metrics, a chunk of rows at a time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from perceptmetrics.errors import InvalidEmbeddingError, InvalidOptionError
from perceptmetrics.models.embeddings import as_rows, check_readable, problems_of, score_rows, warn_of_lengths
from perceptmetrics.scoring.embedding_files import read_shard
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import NO_PROMPT, score_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perceptmetrics.models.metric import Metric
    from perceptmetrics.scoring.embedding_files import Chunk, Shard
    from perceptmetrics.scoring.embedding_tables import TableOptions

__all__ = ["check_shards", "score_embeddings"]

_log = logging.getLogger(__name__)


def check_shards(metrics: Sequence[Metric], shards: Sequence[Shard], *, normalized: bool, encoder: str | None) -> None:
    """Refuse what can be refused before anything is read.

    Args:
        metrics: The metrics.
        shards: The files.
        normalized: Whether the embeddings were divided by their length.
        encoder: Name or fingerprint of the encoder that they come from; None where it is not known.

    Raises:
        InvalidOptionError: A metric cannot score embeddings, or not such ones.
        InvalidEmbeddingError: A file has another width than the features of a metric.
    """
    widths = {metric.metric_name: metric.encoder.feature_size for metric in metrics}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{name} those of {width}" for name, width in widths.items())
        raise InvalidOptionError(f"The metrics read embeddings of several widths ({listed}). Score them one by one.")
    for metric in metrics:
        check_readable(metric, normalized=normalized, encoder=encoder)
        for shard in shards:
            if shard.shape is not None and shard.shape[1] != metric.encoder.feature_size:
                raise InvalidEmbeddingError(
                    f"{shard.path} holds embeddings of {shard.shape[1]} numbers, and {metric.metric_name!r} reads "
                    f"those of its encoder, of {metric.encoder.feature_size}."
                )


def score_embeddings(
    metrics: Sequence[Metric],
    shards: Sequence[Shard],
    options: TableOptions,
    *,
    normalized: bool,
    known: Mapping[str, ScoredImage] | None = None,
) -> Iterator[ScoredImage]:
    """Score embeddings; memory does not grow with their number.

    Args:
        metrics: The metrics, see `check_shards`.
        shards: The files, see `embedding_files.find_shards`.
        options: Which columns of tables are read.
        normalized: Whether the embeddings were divided by their length; a warning at the end counts the others.
        known: Existing rows by name, which are yielded again and not scored.

    Yields:
        One result an embedding, in order; of one that is not finite or zero, the reason.

    Raises:
        InvalidEmbeddingError: A file is corrupt, or of another width than the features of a metric.
    """
    columns, known = score_columns(metrics), {} if known is None else known
    window, long, seen = 0, 0, 0
    for shard in shards:
        for chunk in read_shard(shard, options):
            new = [index for index, name in enumerate(chunk.names) if name not in known]
            scored, far = _score_chunk(metrics, columns, shard, chunk, new, window, normalized=normalized)
            long, seen, window = long + far, seen + len(scored), window + 1
            fresh = iter(scored)
            yield from (known[name] if name in known else next(fresh) for name in chunk.names) if known else fresh
    if normalized and long:
        warn_of_lengths(long, seen)


@torch.inference_mode()
def _score_chunk(
    metrics: Sequence[Metric],
    columns: list[str],
    shard: Shard,
    chunk: Chunk,
    new: list[int],
    window: int,
    *,
    normalized: bool,
) -> tuple[list[ScoredImage], int]:
    """The rows of a chunk that are not known, and how many of them do not have unit length."""
    errors = {index: chunk.errors[index] for index in new if index in chunk.errors}
    if chunk.prompts is not None:
        errors |= {index: NO_PROMPT for index in new if not chunk.prompts[index]}
    good = [index for index in new if index not in errors]
    far = 0
    scores: Iterator[list[float]] = iter(())
    if good:
        whole = len(good) == len(chunk.names)
        try:
            rows = as_rows(chunk.rows if whole else chunk.rows[good], metrics[0].encoder.feature_size, "the metric")
            reads_length = any(metric.spec.head.reads_length for metric in metrics)
            problems, far = problems_of(rows, normalized=normalized, reads_length=reads_length)
        except InvalidEmbeddingError as error:
            raise InvalidEmbeddingError(f"{shard.path}: {error}") from error
        errors |= {good[index]: f"The embedding {reason}." for index, reason in problems.items()}
        if problems:
            kept = [place for place in range(len(good)) if place not in problems]
            rows, good = rows[kept], [good[place] for place in kept]
        if good:
            texts = None if chunk.prompts is None else [chunk.prompts[index] or "" for index in good]
            parts = [score_rows(metric, rows, texts if metric.reads_prompts else None) for metric in metrics]
            scores = iter(torch.cat(parts, dim=1).tolist())
    return [
        ScoredImage(chunk.names[index], error=errors[index], window=window)
        if index in errors
        else ScoredImage(chunk.names[index], dict(zip(columns, next(scores), strict=True)), window=window)
        for index in new
    ], far
