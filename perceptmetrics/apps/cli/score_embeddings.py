"""What `score --embeddings` scores. Imported when the command runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.factory.create import create_metric
from perceptmetrics.models.metric import Metric
from perceptmetrics.scoring.embedding_files import Shard, find_shards
from perceptmetrics.scoring.embedding_rows import check_shards, score_embeddings
from perceptmetrics.scoring.embedding_tables import TableOptions
from perceptmetrics.scoring.origin import check_rows, origin_of
from perceptmetrics.weights.fingerprints import is_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from perceptmetrics.apps.cli.score import InputOptions, ResultOptions, RunOptions
    from perceptmetrics.scoring.results import ScoredImage

__all__ = ["EmbeddingWork", "check_embedding_options", "embedding_work"]

_COMPARED = 4


@dataclass(frozen=True, kw_only=True)
class EmbeddingWork:
    """Embeddings to score; see `score_work.Work`.

    Attributes:
        metrics: The metrics to score with.
        shards: The files.
        options: Which columns of tables are read.
        normalized: Whether the embeddings have unit length.
        rows_at_once: How many rows are written together.
    """

    rows_at_once: ClassVar[int] = 4096

    metrics: Sequence[Metric]
    shards: Sequence[Shard]
    options: TableOptions
    normalized: bool

    @property
    def count(self) -> int | None:
        """Number of embeddings; None if it is not known in advance."""
        shapes = [shard.shape for shard in self.shards]
        return None if None in shapes else sum(shape[0] for shape in shapes if shape is not None)

    def origin(self) -> dict[str, str]:
        """What the scores are computed with, for `ResultsFile`."""
        read = self.options
        return origin_of(self.metrics, {"the columns of tables": f"{read.embeddings}, {read.keys}, {read.prompts}"})

    def names(self) -> list[str]:
        """None: rows have the names that their files give them."""
        return []

    def check(self, output: Path, done: Mapping[str, ScoredImage]) -> None:
        """Refuse to continue a file that does not say what it was made with, if its scores are others."""
        again = (row for row in self._rows(self.shards[:1], {}) if row.name in done)
        check_rows(output, done, self.metrics, islice(again, _COMPARED))

    def rows(self, known: Mapping[str, ScoredImage]) -> Iterator[ScoredImage]:
        """Score everything in order; rows that are known already are not scored again."""
        return self._rows(self.shards, known)

    def _rows(self, shards: Sequence[Shard], known: Mapping[str, ScoredImage]) -> Iterator[ScoredImage]:
        return score_embeddings(self.metrics, shards, self.options, normalized=self.normalized, known=known)


def check_embedding_options(inputs: InputOptions, results: ResultOptions, options: RunOptions) -> None:
    """Refuse options of images, which embeddings would ignore."""
    given = {
        "--image-column": inputs.image_column is not None,
        "--outside-paths": inputs.outside_paths,
        "--no-recursive": not inputs.recursive,
        "--fps, --every, --frames, --scenes": (inputs.fps, inputs.every, inputs.frames) != (None,) * 3 or inputs.scenes,
        "--frames-output": results.frames_output is not None,
        "--engine ray": options.engine == "ray",
        "--precision": options.precision is not None,
    }
    ignored = [name for name, is_given in given.items() if is_given]
    if ignored:
        raise InvalidOptionError(f"{', '.join(ignored)}: of images, not of --embeddings. Leave it out.")


def embedding_work(inputs: InputOptions, keywords: Mapping[str, Mapping[str, Any]]) -> EmbeddingWork:
    """Find the embeddings, and create the metrics, without encoders unless one's fingerprint is to be compared."""
    encoder = inputs.embedding_encoder
    alone = not is_fingerprint(encoder)
    metrics = [create_metric(name, embeddings_only=alone, **own) for name, own in keywords.items()]
    options = TableOptions(
        embeddings=inputs.embedding_column,
        keys=inputs.key_column,
        prompts=inputs.prompt_column,
        with_prompts=any(metric.reads_prompts for metric in metrics),
    )
    shards = [shard for location in inputs.embeddings or [] for shard in find_shards(location, options)]
    check_shards(metrics, shards, normalized=inputs.normalized, encoder=encoder)
    return EmbeddingWork(metrics=metrics, shards=shards, options=options, normalized=inputs.normalized)
