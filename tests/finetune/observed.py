"""Short runs of recipes, with what training did at each step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from perceptmetrics.datasets import LabelledImages, Split
from perceptmetrics.finetune import Recipe, RunResult, finetune
from perceptmetrics.finetune.model.learner import Learner
from perceptmetrics.finetune.model.start import start
from perceptmetrics.finetune.run import exporter
from perceptmetrics.finetune.training.step import Steps
from perceptmetrics.spec import MetricSpec


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of training.

    Attributes:
        lr: Learning rate of each group of weights.
        drawn: Number of samples of each data set.
        shown: The samples themselves: for each, the tensor of each view.
        parts: In how many parts they went through the encoder.
        loss: The loss before the update.
        moved: Length of the update of all weights.
    """

    lr: tuple[float, ...]
    drawn: tuple[int, ...]
    shown: list[list[torch.Tensor]]
    parts: int
    loss: float
    moved: float


@dataclass
class Observed:
    """What a run did.

    Attributes:
        recipe: Its recipe.
        steps: The steps of all of its trainings.
        specs: The metrics that it exported.
        cards: The statistics on their model cards.
        learners: The models, in the order in which they were started.
        before: Their weights when they were started.
        after: Their weights at the end of the run.
        encoder_calls: How often each training step computed the first normalisation of the encoder, over all steps.
        result: The run's result.
    """

    recipe: Recipe
    steps: list[Step] = field(default_factory=list)
    specs: list[MetricSpec] = field(default_factory=list)
    cards: list[Any] = field(default_factory=list)
    learners: list[Learner] = field(default_factory=list)
    before: list[dict[str, torch.Tensor]] = field(default_factory=list)
    after: list[dict[str, torch.Tensor]] = field(default_factory=list)
    encoder_calls: int = 0
    result: RunResult | None = None

    @property
    def stages(self) -> list[str]:
        """Names of the stages, in order."""
        return [stage.name.stage for stage in self.result.stages]

    def moved(self, part: str = "") -> dict[str, float]:
        """By how much each weight of the last model changed, of those whose name contains a text."""
        before, after = self.before[-1], self.after[-1]
        return {name: float((after[name] - before[name]).abs().max()) for name in before if part in name}


def observe(
    recipe: Recipe, datasets: Iterable[LabelledImages], folder: Path, encoder: Path | None, *, exports: bool = False
) -> Observed:
    """Run a recipe, without the export unless it is asked for."""
    seen = Observed(recipe)
    take = Steps.take

    def starting(*arguments: Any) -> Learner:
        learner = start(*arguments)
        seen.learners.append(learner)
        seen.before.append(_copy(learner))
        norms = [one for one in learner.metric(0).encoder.modules() if isinstance(one, torch.nn.LayerNorm)]
        for norm in norms[:1]:
            norm.register_forward_hook(lambda module, *_: count(module))
        return learner

    def count(module: torch.nn.Module) -> None:
        seen.encoder_calls += module.training

    def taking(steps: Steps, model: Any, optimizer: Any, batch: Any, samples: Any, position: Any) -> float:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        before = [weight.detach().clone() for weight in weights]
        loss = take(steps, model, optimizer, batch, samples, position)
        seen.steps.append(
            Step(
                lr=tuple(group["lr"] for group in optimizer.param_groups),
                drawn=tuple(map(len, samples)),
                shown=[[view.clone() for view in sample] for one in samples for sample in one],
                parts=steps.parts(batch),
                loss=loss,
                moved=_distance(weights, before),
            )
        )
        return loss

    def exporting(learner: Learner, index: int, spec: MetricSpec, *arguments: Any, **options: Any) -> None:
        seen.specs.append(spec)
        seen.cards.append(options["results"])
        if exports:
            export(learner, index, spec, *arguments, **options)

    export = exporter.export_trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("perceptmetrics.finetune.training.trial.start", starting)
        patch.setattr(exporter, "export_trained", exporting)
        patch.setattr(Steps, "take", taking)
        patch.setattr("gc.collect", lambda *_: 0)  # between trainings; it takes longer than one
        seen.result = finetune(recipe, list(datasets), folder, device="cpu", backbone_checkpoint=encoder)
    seen.after = [_copy(learner) for learner in seen.learners]
    return seen


def _distance(weights: list[torch.Tensor], others: list[torch.Tensor]) -> float:
    differences = [(one.detach() - other).flatten() for one, other in zip(weights, others, strict=True)]
    return float(torch.cat(differences).norm())


def _copy(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in learner.state_dict().items()}


def published_split(dataset: LabelledImages) -> LabelledImages:
    """The data set with a published split: its first images are for testing."""
    indices = torch.arange(len(dataset)).numpy()
    return replace(dataset, official_splits=(Split(train=indices[6:], validation=indices[3:6], test=indices[:3]),))


def plain(value: Any) -> Any:
    """A value whose tensors and arrays are lists, so that `==` compares all of it."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value
