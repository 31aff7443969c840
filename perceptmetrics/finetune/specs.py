"""From a recipe and the labels of a data set to the specification of the metric that is to be trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perceptmetrics.errors import DatasetError, InvalidSpecError
from perceptmetrics.metrics.clip_backbones import OPENAI_CLIP_WEIGHTS
from perceptmetrics.models.encoders.named import encoder_width, named_encoder
from perceptmetrics.models.prompts import resolve_prompts
from perceptmetrics.spec import (
    AntonymHeadSpec,
    CardSpec,
    ContextSpec,
    HeadSpec,
    IdentityMap,
    LogisticMap,
    MetricSpec,
    MlpHeadSpec,
    PoolSpec,
    RegressorSpec,
    ScoreSpec,
    SoftmaxMap,
    ViewsSpec,
)
from perceptmetrics.spec.heads import regressor_inputs
from perceptmetrics.spec.views import total_views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.recipe import Recipe
    from perceptmetrics.finetune.recipe_sections import HeadRecipe, Loss, PromptsRecipe

__all__ = ["metric_spec", "run_specs"]

_LICENCE = "Yours to state: it depends on the terms of the training data. "
_PAPERS = {"PerceptCLIP": "https://arxiv.org/abs/2503.13260", "CLIP-IQA+": "https://arxiv.org/abs/2207.12396"}


def run_specs(recipe: Recipe, datasets: Sequence[LabelledImages]) -> list[MetricSpec]:
    """The metrics that a recipe trains: one for each data set, or a single one for all."""
    if len(datasets) != len(recipe.data):
        raise DatasetError(f"The recipe names {len(recipe.data)} data sets, got {len(datasets)}.")
    names = [dataset.name for dataset in datasets]
    if len(set(names)) != len(names):
        raise DatasetError(
            f"Data sets need names of their own, got {', '.join(names)}. Rename them, with dataclasses.replace(data, "
            "name=...)."
        )
    losses = [entry.loss or recipe.loss for entry in recipe.data]
    one_head = recipe.heads == "shared" or len(datasets) == 1
    specs = [
        metric_spec(recipe, dataset, recipe.name if one_head else f"{recipe.name}_{dataset.name}", loss)
        for dataset, loss in zip(datasets, losses, strict=True)
    ]
    for dataset, spec in zip(datasets, specs, strict=True):
        if one_head and spec.score != specs[0].score:
            raise DatasetError(
                f"Data sets that share a head need the same labels: {names[0]} has {', '.join(datasets[0].labels)}, "
                f"{dataset.name} has {', '.join(dataset.labels)}."
            )
    return [_shared_spec(specs)] if one_head else specs


def _shared_spec(specs: Sequence[MetricSpec]) -> MetricSpec:
    """The metric of a head that several data sets share: that of the first, whose card names them all."""
    training_data = " ".join(spec.card.training_data for spec in specs)
    return replace(specs[0], card=replace(specs[0].card, training_data=training_data))


def metric_spec(recipe: Recipe, dataset: LabelledImages, name: str, loss: Loss) -> MetricSpec:
    """Specify the metric that a recipe trains on a data set.

    Args:
        recipe: The recipe.
        dataset: The data set, for its labels.
        name: Name of the metric.
        loss: The data set's loss.

    Returns:
        The specification; its own trained file is not published anywhere yet.

    Raises:
        DatasetError: The labels do not go with the recipe.
        InvalidSpecError: The parts do not fit each other.
    """
    _check_labels(dataset, loss)
    named = named_encoder(
        recipe.encoder.name,
        positional_embedding=recipe.encoder.positional_embedding,
        features=recipe.encoder.features,
    )
    labels = _labels_of(dataset)
    backbone = replace(named.spec, lora=recipe.lora, in_trained_file=recipe.train == "full")
    head: HeadSpec
    if recipe.prompts is not None:
        head, pool, labels = _prompts(recipe, recipe.prompts, labels)
        score = ScoreSpec(
            lower=0.0, upper=1.0, higher_is_better=True, labels=labels, strict_range=pool.regressor is None
        )
    else:
        head = _mlp(recipe.head, encoder_width(named.spec), max(1, len(labels)))
        pool, score = PoolSpec(), _score(recipe, dataset, labels)
    return MetricSpec(
        name=name,
        task=recipe.task,
        backbone=backbone,
        views=ViewsSpec(views=recipe.views, mean=named.mean, std=named.std),
        head=head,
        pool=pool,
        score=score,
        card=_card(recipe, dataset),
    )


def _labels_of(dataset: LabelledImages) -> tuple[str, ...]:
    """Labels of the outputs; none for a single rating."""
    return () if dataset.classes is None and len(dataset.labels) == 1 else dataset.labels


def _check_labels(dataset: LabelledImages, loss: Loss) -> None:
    classes = dataset.classes is not None
    if classes != (loss == "cross_entropy"):
        kind = "classes, which need loss: cross_entropy" if classes else "ratings, which need another loss"
        raise DatasetError(f"{dataset.name} has {kind}; the recipe says {loss}.")


def _mlp(recipe: HeadRecipe | None, inputs: int, outputs: int) -> MlpHeadSpec:
    if recipe is None:
        raise InvalidSpecError("A recipe without prompts needs a head.")
    return MlpHeadSpec(
        widths=(inputs, *recipe.hidden, outputs),
        weights=None,
        activation=recipe.activation,
        feature_map=recipe.feature_map,
        standardise=recipe.standardise,
        dropout=recipe.dropout,
        input_dropout=recipe.input_dropout,
    )


def _score(recipe: Recipe, dataset: LabelledImages, labels: tuple[str, ...]) -> ScoreSpec:
    if dataset.classes is not None:
        return ScoreSpec(
            lower=0.0,
            upper=1.0,
            higher_is_better=True,
            labels=labels,
            positive_labels=dataset.positive_labels,
            map=SoftmaxMap(),
        )
    logistic = recipe.score_map == "logistic"
    return ScoreSpec(
        lower=0.0,
        upper=1.0,
        higher_is_better=True,
        labels=labels,
        strict_range=logistic,
        map=LogisticMap() if logistic else IdentityMap(),
    )


def _prompts(
    recipe: Recipe, prompts: PromptsRecipe, labels: tuple[str, ...]
) -> tuple[AntonymHeadSpec, PoolSpec, tuple[str, ...]]:
    pairs = resolve_prompts(
        [tuple(text.strip() for text in pair.split("|")) if "|" in pair else pair for pair in prompts.pairs]  # type: ignore[misc]
    )
    outputs = max(1, len(labels))
    if prompts.regressor is None:
        if len(pairs) != outputs:
            raise DatasetError(
                f"{len(pairs)} prompt pairs give as many outputs, but there are {outputs} ratings. State a pair for "
                "each rating, in their order, or prompts.regressor, such as [128, 128]."
            )
        renamed = (
            tuple(replace(pair, name=label) for pair, label in zip(pairs, labels, strict=True)) if labels else pairs
        )
        pairs, regressor = renamed, None
    else:
        inputs = regressor_inputs(prompts.aggregation, len(pairs), total_views(recipe.views))
        regressor = RegressorSpec(widths=(inputs, *prompts.regressor, outputs), weights=None)
    context = ContextSpec(length=prompts.length, weights=None, position=prompts.position) if prompts.length else None
    pool = PoolSpec(aggregation=prompts.aggregation, regressor=regressor)
    return AntonymHeadSpec(pairs=pairs, context=context), pool, labels


def _card(recipe: Recipe, dataset: LabelledImages) -> CardSpec:
    return CardSpec(
        summary=recipe.summary,
        paper=recipe.source,
        paper_url=next((url for method, url in _PAPERS.items() if recipe.source.startswith(method)), "none"),
        licence=_LICENCE
        + (
            "CLIP weights by OpenAI: MIT"
            if recipe.encoder.name in OPENAI_CLIP_WEIGHTS
            else f"The encoder {recipe.encoder.name} has terms of its own"
        ),
        training_data=f"{dataset.name}: {len(dataset.trainable)} images"
        + (
            f" rated for {', '.join(dataset.labels)}."
            if dataset.classes is None
            else f" of {len(dataset.labels)} classes."
        ),
        limits="Learned from the ratings of these images by these raters; other images and other people may differ. "
        "The encoder carries the biases of what it was trained on.",
    )
