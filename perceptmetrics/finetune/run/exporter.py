"""Export what a run trained: a metric for each head, with its card and the interval of its predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics._util.atomic import replacing
from perceptmetrics.evaluation import ClassStatistics
from perceptmetrics.export.card import model_card
from perceptmetrics.export.collect import trained_weights_of
from perceptmetrics.export.write import EXACT, MERGED, export_metric
from perceptmetrics.factory.folder import CARD_FILE, read_folder
from perceptmetrics.factory.tuned_encoder import encoder_fingerprint
from perceptmetrics.finetune.recipe import recipe_to_yaml
from perceptmetrics.finetune.run.calibration import fold_calibration
from perceptmetrics.finetune.run.folder import RECIPE_FILE
from perceptmetrics.finetune.run.results import shown_statistics
from perceptmetrics.functional.conformal import conformal_half_width
from perceptmetrics.spec import IntervalSpec
from perceptmetrics.spec.interval import FEWEST_IMAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.model.learner import Learner
    from perceptmetrics.finetune.recipe import Recipe, ReportRecipe
    from perceptmetrics.finetune.run.calibration import Calibration
    from perceptmetrics.finetune.run.results import RunResult, SplitResult
    from perceptmetrics.finetune.training.trainer import RunContext
    from perceptmetrics.finetune.training.trial import Trial
    from perceptmetrics.spec import MetricSpec

__all__ = ["Exporter", "export_trained", "held_out_interval"]

COVERAGE = 0.9  # of the intervals of predictions


class Exporter:
    """Exports the metrics of one run.

    Args:
        run: The run.
    """

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._specs = list(run.specs)

    @property
    def specs(self) -> tuple[MetricSpec, ...]:
        """The metrics, one for each head; those that are exported have an interval where one was found."""
        return tuple(self._specs)

    def restore(self) -> None:
        """Read the metrics of a finished run from their folders.

        Raises:
            WeightsError: A file is missing.
            InvalidSpecError: A specification is corrupt.
        """
        self._specs = [read_folder(self.folder(index))[0] for index in range(len(self._specs))]

    def folder(self, index: int) -> Path:
        """Folder of the metric of a head: that of the run, or one of its own if there are several."""
        run = self._run
        return run.folder if len(self._specs) == 1 else run.folder / run.datasets[index].name

    def export(
        self,
        trial: Trial,
        calibrations: Sequence[Calibration | None],
        splits: Sequence[SplitResult],
        *,
        scores: Mapping[int, Sequence[NDArray[np.float64]]] | None = None,
        result: RunResult | None = None,
    ) -> None:
        """Export the metric of each head.

        Args:
            trial: The model.
            calibrations: For each head, its calibration.
            splits: The splits whose test images the model did not see, or models like it.
            scores: By head, scores of these test images on the model's own scale, where they are not those of `splits`.
            result: The whole run, if it is over, for the cards; without it they show `splits`.
        """
        for index, spec in enumerate(self._specs):
            calibration = calibrations[index]
            if calibration is not None:
                fold_calibration(trial.learner.metric(index), calibration)
            tested = [split.data_sets[index] for split in splits]
            own = (scores or {}).get(index) or [one.scores for one in tested]
            held_out = list(zip([one.images for one in tested], own, strict=True))
            self._specs[index] = replace(spec, interval=held_out_interval(self._run.datasets[index], held_out))
            if self._run.processes.is_first:
                export_trained(
                    trial.learner,
                    index,
                    self._specs[index],
                    self._run.recipe,
                    self.folder(index),
                    recipe_text=self._run.recipe_text,
                    encoder=self._run.source.file,
                    results=self._statistics(index, splits),
                    headline=self._sentences(index, result),
                )

    def write_cards(self, result: RunResult) -> None:
        """Write the cards again, with the results of the whole run."""
        for index, spec in enumerate(self._specs):
            write_card(
                spec,
                self._run.recipe,
                self.folder(index),
                self._statistics(index, result.splits),
                self._sentences(index, result),
            )

    def _statistics(self, index: int, splits: Sequence[SplitResult]) -> dict[str, dict[str, float]]:
        """The results on the card of the metric of a head."""
        statistics = card_statistics(splits, self._run.recipe.report)
        return {key: row for key, row in statistics.items() if self._concerns(index, key.partition(": ")[0])}

    def _sentences(self, index: int, result: RunResult | None) -> str:
        """The headlines on that card."""
        found = [] if result is None else [one for one in result.headlines if self._concerns(index, one.data_set)]
        return "\n\n".join(" ".join(filter(None, (one.sentence, one.caution))) for one in found)

    def _concerns(self, index: int, data_set: str) -> bool:
        return len(self._specs) == 1 or data_set == self._run.datasets[index].name


def card_statistics(splits: Sequence[SplitResult], recipe: ReportRecipe) -> dict[str, dict[str, float]]:
    """Averages over the splits for a model card, by data set (and by rating if there are several)."""
    found: dict[str, dict[str, list[float]]] = {}
    for split in splits:
        for one in split.data_sets:
            for label, statistics in one.statistics.items():
                name = one.data_set if len(one.statistics) == 1 else f"{one.data_set}: {label}"
                row = found.setdefault(name, {})
                for key in shown_statistics(recipe, classes=isinstance(statistics, ClassStatistics)):
                    row.setdefault(key, []).append(getattr(statistics, key))
    average = np.mean if recipe.average == "mean" else np.median
    return {name: {key: float(average(values)) for key, values in row.items()} for name, row in found.items()}


def export_trained(
    learner: Learner,
    index: int,
    spec: MetricSpec,
    recipe: Recipe,
    folder: Path,
    *,
    recipe_text: str,
    encoder: Path | None,
    results: Mapping[str, Mapping[str, float]],
    headline: str = "",
) -> None:
    """Export the metric of one head into a folder, keep the other files there, then load the export and compare scores.

    Args:
        learner: The model; it is moved to the CPU.
        index: Index of the data set whose head is exported.
        spec: The metric's specification.
        recipe: How it was trained.
        folder: Where to write.
        recipe_text: The file of the recipe.
        encoder: The weight file that training started from; None for random weights.
        results: Statistics on test images for the model card, by data set.
        headline: What the card says of them in words.

    Raises:
        WeightsError: The exported metric does not reproduce the model's scores.
    """
    learner.to("cpu").eval()
    metric = learner.metric(index)
    context = None if learner.prompts is None else learner.prompts.context
    learner.install_prompts()
    base = None if context is None or encoder is None else encoder_fingerprint(encoder, spec.encoder)
    export_metric(
        metric,
        folder,
        spec=spec,
        weights=trained_weights_of(metric, spec, base=base, context=context),
        card=_card(spec, recipe, folder, results, headline),
        extra_files={RECIPE_FILE: recipe_text},
        encoder=encoder,
        overwrite=True,
        keep_others=True,
        tolerance=EXACT if spec.encoder.lora is None else MERGED,
    )


def write_card(
    spec: MetricSpec, recipe: Recipe, folder: Path, results: Mapping[str, Mapping[str, float]], headline: str
) -> None:
    """Write the card of an exported metric again, with the results of all splits; see `export_trained`."""
    with replacing(folder / CARD_FILE) as temporary:
        temporary.write_text(_card(spec, recipe, folder, results, headline), encoding="utf-8")


def _card(
    spec: MetricSpec, recipe: Recipe, folder: Path, results: Mapping[str, Mapping[str, float]], headline: str
) -> str:
    return model_card(
        spec,
        source=str(folder),
        results=results,
        datasets=[entry.name for entry in recipe.data],
        recipe=recipe_to_yaml(recipe),
        headline=headline,
    )


def held_out_interval(
    dataset: LabelledImages, tested: Sequence[tuple[NDArray[np.intp], NDArray[np.float64]]]
) -> IntervalSpec | None:
    """The interval around scores of new images.

    Images that several splits tested count once, and so do images of one group.

    Args:
        dataset: The data set with its ratings.
        tested: For each split, the indices of its N test images and their scores, shape (N, K).

    Returns:
        The interval; None for classes, for ratings that are comparable only within groups, and where a rating has
        fewer than 30 independent test images or a score is not finite.
    """
    if dataset.ratings is None or dataset.ranks_within_groups:
        return None
    images = np.concatenate([held for held, _ in tested])
    errors = np.abs(np.concatenate([scores for _, scores in tested]) - dataset.ratings[images])
    units = images if dataset.inseparable is None else np.asarray(dataset.inseparable)[images]
    widths, counts = [], []
    for column, ratings in zip(errors.T, dataset.ratings[images].T, strict=True):
        rated = ~np.isnan(ratings)
        counts.append(len(np.unique(units[rated])))
        widths.append(conformal_half_width(column[rated], units[rated], COVERAGE))
    if min(counts) < FEWEST_IMAGES or not np.isfinite(widths).all():
        return None
    return IntervalSpec(coverage=COVERAGE, half_widths=tuple(widths), images=min(counts))
