"""Export what a run trained: a metric for each head, with its card and the interval of its predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perceptmetrics.factory.folder import read_folder
from perceptmetrics.finetune.calibration import fold_calibration
from perceptmetrics.finetune.intervals import held_out_interval
from perceptmetrics.finetune.run_folder import card_statistics, export_trained, write_card

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from perceptmetrics.finetune.calibration import Calibration
    from perceptmetrics.finetune.results import RunResult, SplitResult
    from perceptmetrics.finetune.trainer import RunContext
    from perceptmetrics.finetune.trial import Trial
    from perceptmetrics.spec import MetricSpec

__all__ = ["Exporter"]


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
