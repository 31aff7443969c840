"""What `benchmark` does: load, score, print, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from perceptmetrics.apps.cli.benchmark_tables import class_table, rating_table
from perceptmetrics.apps.cli.cells import name_some
from perceptmetrics.apps.cli.console import messages, printable, results
from perceptmetrics.apps.cli.dataset_options import parse_dataset_options
from perceptmetrics.apps.cli.endings import check_before, finish
from perceptmetrics.apps.cli.experiment_metrics import create_metrics, scorer_with_progress
from perceptmetrics.datasets import dataset_info, load_dataset, make_splits
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.evaluation import benchmark
from perceptmetrics.reports import BENCHMARK_FORMATS, BENCHMARK_STEMS, benchmark_makers

if TYPE_CHECKING:
    from perceptmetrics.apps.cli.arguments import How
    from perceptmetrics.datasets import DatasetInfo, LabelledImages, Split

__all__ = ["DatasetRequest", "run_benchmark"]


@dataclass(frozen=True, kw_only=True)
class DatasetRequest:
    """A data set as the user names it: name, folder, and options as `NAME=VALUE`."""

    name: str
    root: Path | None
    options: Sequence[str]

    def load(self, missing: Literal["error", "skip"]) -> LabelledImages:
        """Read it."""
        if self.root is None:
            raise InvalidOptionError(f"Name the folder of {self.name} with --cross-root.")
        return load_dataset(self.name, self.root, missing=missing, **parse_dataset_options(self.options))


def _splits(dataset: LabelledImages, info: DatasetInfo, count: int | None, seed: int) -> tuple[Split, ...]:
    """The splits of the data set's papers, or another number of such."""
    if count == 0:
        return ()
    return make_splits(
        dataset, count or info.split_count, seed=seed, test=info.test_fraction, validation=info.validation_fraction
    )


def run_benchmark(
    names: Sequence[str],
    how: How,
    main: DatasetRequest,
    cross: DatasetRequest | None,
    *,
    splits: int | None,
    missing: Literal["error", "skip"],
    seed: int,
    output: Path | None,
) -> int:
    """Carry out `benchmark`; the exit status."""
    check_before(output, BENCHMARK_FORMATS)
    datasets = [request.load(missing) for request in (main, cross) if request is not None]
    parts = _splits(datasets[0], dataset_info(main.name), splits, seed)
    metrics = create_metrics(names, how)
    scorer = scorer_with_progress(how, messages)
    benchmarks = []
    for dataset, tested in zip(datasets, (parts, ()), strict=False):
        done = benchmark(metrics, dataset, tested, seed=seed, scorer=scorer)
        results.print(f"{printable(dataset.name)}: {len(dataset)} images, {dataset.task}", markup=False, style="bold")
        results.print(rating_table(done) if done.ratings else class_table(done))
        if dataset.missing:
            named = f"{len(dataset.missing)} labelled images have no file: {name_some(dataset.missing)}."
            messages.print(printable(named), markup=False)
        benchmarks.append(done)
    failed = [row for done in benchmarks for row in done.predictions.failed]
    scored, used = (", ".join(metric.metric_name for metric in metrics), " and ".join(data.name for data in datasets))
    title = printable(f"{scored} on {used}")
    return finish(output, BENCHMARK_STEMS, benchmark_makers(benchmarks, title=title), failed)
