"""What each setting of a recipe changes: a table of two values, and what must differ between their runs."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.finetune.cases import TWO
from tests.finetune.observed import Observed
from tests.finetune.tiny import LORA


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Two runs that differ in a setting.

    Attributes:
        base: Settings of both.
        one: Settings of the first; none for those of the base.
        other: Settings of the second.
        sees: What to look at.
        law: What must hold of it in the first run and in the second; None for any difference.
    """

    base: tuple[str, ...] = ()
    one: tuple[str, ...] = ()
    other: tuple[str, ...]
    sees: Callable[[Observed], Any]
    law: Callable[[Any, Any], bool] | None = None


def weights(run: Observed) -> Any:
    """The weights of all models at the end."""
    return run.after


def shapes(run: Observed) -> Any:
    return {name: tuple(tensor.shape) for name, tensor in run.after[0].items()}


def trained(run: Observed) -> Any:
    """Names of the weights that training changed."""
    return {name for name, distance in run.moved().items() if distance}


def rates(run: Observed) -> Any:
    return [step.lr for step in run.steps]


def losses(run: Observed) -> Any:
    return [step.loss for step in run.steps]


def first_loss(run: Observed) -> Any:
    return run.steps[0].loss


def sizes(run: Observed) -> Any:
    return [step.drawn for step in run.steps]


def sample_shapes(run: Observed) -> Any:
    return [tuple(view.shape) for view in run.steps[0].shown[0]]


def samples(run: Observed) -> Any:
    return [step.shown for step in run.steps]


def stages(run: Observed) -> Any:
    return run.stages


def epochs(run: Observed) -> Any:
    return [(stage.name.stage, len(stage.records)) for stage in run.result.stages]


def kept(run: Observed) -> Any:
    return [split.best_epoch for split in run.result.splits]


def parts(run: Observed) -> Any:
    return [[part.tolist() for part in (one.train, one.validation, one.test)] for one in run.result.splits[0].parts]


def spec(read: Callable[[Any], Any]) -> Callable[[Observed], Any]:
    return lambda run: [read(one) for one in run.specs]


def encoders(run: Observed) -> Any:
    return {name: tensor for name, tensor in run.after[0].items() if ".encoder." in name}


def heads(run: Observed) -> Any:
    return {name: tensor for name, tensor in run.after[0].items() if ".head." in name}


def smaller(one: float, other: float) -> bool:
    return other < one


def head_length(run: Observed) -> float:
    """Length of the head's last weights."""
    names = [name for name in run.after[0] if ".head." in name and name.endswith("weight")]
    return float(run.after[0][names[-1]].norm())


def clipped(one: list[float], other: list[float]) -> bool:
    """Without momentum a step is the learning rate times the gradient, whose norm is at most 0.01 here."""
    return max(other) <= 0.01 * 1e-2 * 1.001 < min(one)


SGD = ("algorithm=sgd",)
PLAIN_SGD = (*SGD, "momentum=0")
FULL = ("train=full",)
TWO_SETS = (TWO,)
DROPS = ("head={hidden: [16], dropout: 0.5}",)
STILL = ("lr=1e-30", "epochs=3")  # no epoch is better than the first
RESTARTS = ("schedule=cosine_restarts", "epochs=2")
CLIP = (
    "train=prompts",
    "encoder=tiny-clip-vit",
    "head=null",
    "views=[{kind: centre_crop, size: 64}]",
    "lr=0.05",
)
PROMPTS = (*CLIP, "prompts={pairs: quality, length: 3}")
RESNET = "encoder={name: 'timm:test_resnet', features: %s}"
ON_CLIP = ("head={hidden: [8], dropout: 0.0}", "views=[{kind: whole}]")
AT_ODD_SIZE = "encoder={name: tiny-clip-vit, positional_embedding: %s}"
CROP = ("views=[{kind: centre_crop, size: 32}]",)


def prompts(**changes: object) -> tuple[str, ...]:
    """Settings of prompts."""
    stated = {"pairs": "quality", "length": 3} | changes
    return (f"prompts={{{', '.join(f'{name}: {value}' for name, value in stated.items())}}}",)


EFFECTS: dict[str, Effect | tuple[Effect, ...]] = {
    "name": Effect(other=("name=other",), sees=lambda run: run.result.recipe.name),
    "summary": Effect(other=("summary=Another.",), sees=spec(lambda one: one.card.summary)),
    "source": Effect(other=("source=a paper",), sees=spec(lambda one: one.card.paper)),
    "icc": (
        Effect(base=FULL, one=("icc=convert",), other=("icc=ignore",), sees=samples),
        Effect(one=("icc=convert",), other=("icc=ignore",), sees=samples),
    ),
    "task": Effect(other=("task=memorability",), sees=spec(lambda one: one.task)),
    "train": Effect(other=FULL, sees=trained),
    "loss": (
        Effect(other=("loss=charbonnier",), sees=first_loss),
        Effect(other=("loss=plcc",), sees=first_loss),
        Effect(other=("loss=ranking",), sees=first_loss),
        Effect(other=("loss=relative",), sees=first_loss),
    ),
    "metric": Effect(
        base=("encoder=null", "views=[]", "head=null"), one=("metric=FIRST",), other=("metric=SECOND",), sees=first_loss
    ),
    "views": Effect(other=("views=[{kind: centre_crop, size: 48}]",), base=FULL, sees=sample_shapes),
    "heads": Effect(base=TWO_SETS, other=("heads=shared",), sees=spec(lambda one: one.name)),
    "head_first": Effect(base=LORA, other=("head_first=true",), sees=stages),
    "second_stage": (
        Effect(base=LORA, other=("second_stage=true",), sees=stages),
        Effect(base=LORA, other=("second_stage=true",), sees=heads),
        Effect(base=LORA, other=("second_stage=true",), sees=encoders, law=operator.eq),
        Effect(base=(*FULL, TWO), other=("second_stage=true",), sees=encoders, law=operator.eq),
    ),
    "score_map": (
        Effect(other=("score_map=logistic",), sees=weights),
        Effect(other=("score_map=logistic",), sees=spec(lambda one: one.score.map)),
    ),
    "calibration": Effect(other=("calibration=spread",), sees=weights),
    "checkpointing": Effect(base=FULL, other=("checkpointing=true",), sees=lambda run: run.encoder_calls),
    "shuffle_labels": Effect(other=("shuffle_labels=true",), sees=first_loss),
    "seed": (Effect(other=("seed=1",), sees=parts), Effect(other=("seed=1",), sees=lambda run: run.before)),
    "data.loss": Effect(base=TWO_SETS, other=("data=[{name: many}, {name: few, loss: charbonnier}]",), sees=losses),
    "confidence": (
        Effect(one=("confidence=none",), other=("confidence=raters",), sees=first_loss),
        Effect(base=("loss=plcc",), one=("confidence=none",), other=("confidence=spread",), sees=first_loss),
    ),
    "data.weight": Effect(base=TWO_SETS, other=("data=[{name: many}, {name: few, weight: 3}]",), sees=first_loss),
    "data.augmentation": Effect(
        base=TWO_SETS, other=("data=[{name: many}, {name: few, augmentation: {replicas: 2}}]",), sees=sizes
    ),
    "encoder.name": Effect(base=FULL, other=("encoder=timm:test_vit2",), sees=shapes),
    "encoder.positional_embedding": Effect(
        base=ON_CLIP, one=(AT_ODD_SIZE % "interpolate",), other=(AT_ODD_SIZE % "drop",), sees=first_loss
    ),
    "encoder.features": Effect(one=(RESNET % "stages",), other=(RESNET % "pooled",), sees=shapes),
    "encoder.normalization": Effect(
        base=FULL, other=("encoder={name: 'timm:test_vit', normalization: clip}",), sees=samples
    ),
    "encoder.frozen": Effect(base=FULL, other=("encoder={name: 'timm:test_vit', frozen: [blocks]}",), sees=trained),
    "head.hidden": Effect(other=("head={hidden: [16, 8], dropout: 0.0}",), sees=shapes),
    "head.activation": Effect(other=("head={hidden: [16], dropout: 0.0, activation: gelu}",), sees=first_loss),
    "head.dropout": Effect(other=DROPS, sees=first_loss),
    "head.input_dropout": Effect(other=("head={hidden: [16], dropout: 0.0, input_dropout: 0.5}",), sees=first_loss),
    "head.feature_map": Effect(other=("head={hidden: [16], dropout: 0.0, feature_map: signed_log}",), sees=first_loss),
    "head.standardise": Effect(other=("head={hidden: [16], dropout: 0.0, standardise: true}",), sees=first_loss),
    "prompts.pairs": Effect(base=CLIP, one=prompts(), other=prompts(pairs="scary"), sees=first_loss),
    "prompts.length": Effect(base=CLIP, one=prompts(), other=prompts(length=5), sees=shapes),
    "prompts.shared": (
        Effect(base=CLIP, one=prompts(), other=prompts(shared="none"), sees=shapes),
        Effect(
            base=CLIP,
            one=prompts(pairs="[quality, natural]", regressor="[4]", shared="pair"),
            other=prompts(pairs="[quality, natural]", regressor="[4]", shared="none"),
            sees=shapes,
        ),
    ),
    "prompts.position": Effect(base=CLIP, one=prompts(), other=prompts(position="end"), sees=first_loss),
    "prompts.init": Effect(base=CLIP, one=prompts(), other=prompts(init="a good photo"), sees=first_loss),
    "prompts.regressor": Effect(base=CLIP, one=prompts(), other=prompts(regressor="[4]"), sees=shapes),
    "prompts.aggregation": Effect(
        base=(*CLIP, "views=[{kind: centre_crop, size: 64}, {kind: whole}]"),
        one=prompts(regressor="[4]"),
        other=prompts(regressor="[4]", aggregation="concat"),
        sees=shapes,
    ),
    "lora.rank": Effect(base=LORA, other=("lora={rank: 3, alpha: 4}",), sees=shapes),
    "lora.alpha": Effect(base=LORA, other=("lora={rank: 2, alpha: 8}",), sees=weights),
    "lora.dropout": Effect(base=LORA, other=("lora={rank: 2, alpha: 4, dropout: 0.5}",), sees=weights),
    "lora.targets": Effect(base=LORA, other=("lora={rank: 2, alpha: 4, targets: [q, v]}",), sees=shapes),
    "augmentation.replicas": Effect(other=("augmentation={replicas: 2}",), sees=sizes),
    "augmentation.horizontal_flip": (
        Effect(other=("augmentation={horizontal_flip: true}",), sees=samples),
        Effect(base=FULL, other=("augmentation={horizontal_flip: true}",), sees=samples),
    ),
    "augmentation.vertical_flip": (
        Effect(other=("augmentation={vertical_flip: true}",), sees=samples),
        Effect(base=FULL, other=("augmentation={vertical_flip: true}",), sees=samples),
    ),
    "augmentation.random_resized_crop": Effect(
        base=CROP, other=("augmentation={random_resized_crop: true}",), sees=samples
    ),
    "augmentation.random_crop": Effect(base=FULL, other=("augmentation={random_crop: 32}",), sees=sample_shapes),
    "augmentation.random_fragments": Effect(
        base=("views=[{kind: fragments, grid: 2, cell: 16}]", *FULL),
        other=("augmentation={random_fragments: true}",),
        sees=samples,
    ),
    "optimizer.algorithm": Effect(other=SGD, sees=weights),
    "optimizer.lr": (
        Effect(other=("lr=1e-3",), sees=rates),
        Effect(other=("lr=[1e-2, 1e-3]",), sees=lambda run: run.result.splits[0].tried.keys()),
    ),
    "optimizer.encoder_lr_factor": Effect(base=FULL, other=("encoder_lr_factor=0.1",), sees=rates),
    "optimizer.head_lr": (
        Effect(base=(*LORA, "head_first=true"), other=("head_lr=1e-3",), sees=rates),
        Effect(base=(*LORA, "second_stage=true"), other=("head_lr=1e-3",), sees=rates),
    ),
    "optimizer.head_epochs": (
        Effect(base=(*LORA, "head_first=true"), other=("head_epochs=2",), sees=epochs),
        Effect(base=(*LORA, "second_stage=true"), other=("head_epochs=2",), sees=epochs),
    ),
    "optimizer.weight_decay": (
        Effect(one=("weight_decay=0",), other=("weight_decay=20",), sees=head_length, law=smaller),
        Effect(base=SGD, one=("weight_decay=0",), other=("weight_decay=20",), sees=head_length, law=smaller),
    ),
    "optimizer.momentum": Effect(base=SGD, other=("momentum=0",), sees=weights),
    "optimizer.batch_size": Effect(other=("batch_size=5",), sees=sizes),
    "optimizer.min_samples": Effect(
        base=(*TWO_SETS, "loss=plcc"), one=("min_samples=2",), other=("min_samples=6",), sees=sizes
    ),
    "optimizer.epochs": Effect(other=("epochs=2",), sees=epochs),
    "optimizer.patience": Effect(base=STILL, other=("patience=1",), sees=epochs),
    "optimizer.keep": Effect(base=STILL, other=("keep=last",), sees=kept),
    "optimizer.schedule": Effect(base=("epochs=2",), other=("schedule=cosine",), sees=rates),
    "optimizer.period": Effect(base=RESTARTS, one=("period=2",), other=("period=3",), sees=rates),
    "optimizer.min_lr": Effect(base=("schedule=cosine",), other=("min_lr=1e-3",), sees=rates),
    "optimizer.warmup": Effect(other=("warmup=2",), sees=rates),
    "optimizer.accumulation": Effect(other=("accumulation=2",), sees=lambda run: [step.parts for step in run.steps]),
    "optimizer.precision": Effect(other=("precision=bfloat16",), sees=losses),
    "optimizer.clip_norm": (
        Effect(base=PLAIN_SGD, other=("clip_norm=0.01",), sees=lambda run: [s.moved for s in run.steps], law=clipped),
        Effect(
            base=(*PLAIN_SGD, "accumulation=2"),
            other=("clip_norm=0.01",),
            sees=lambda run: [step.moved for step in run.steps],
            law=clipped,
        ),
    ),
    "report.average": Effect(
        base=("splits.count=3",),
        other=("report.average=mean",),
        sees=lambda run: run.result.average("csv", "redness", "rmse"),
    ),
    "report.statistics": Effect(other=("report.statistics=[krcc]",), sees=lambda run: run.cards),
    "splits.count": Effect(other=("splits.count=2",), sees=lambda run: len(run.result.splits)),
    "splits.test": Effect(other=("splits.test=0.4",), sees=parts),
    "splits.validation": Effect(other=("splits.validation=0.3",), sees=parts),
    "splits.official": Effect(one=("splits.official=true",), other=("splits.official=false",), sees=parts),
    "splits.export": Effect(other=("splits.export=all",), sees=lambda run: len(run.learners)),
}
IN_THE_COMMAND = {"data.name", "data.options"}  # which names and reads data sets; see `test_settings`
