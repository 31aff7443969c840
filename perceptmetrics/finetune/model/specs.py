"""Specify the metric to be trained, from a recipe and the labels of its data sets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from perceptmetrics.errors import DatasetError, InvalidOptionError, InvalidSpecError
from perceptmetrics.factory.folder import find_spec
from perceptmetrics.finetune.data.objectives import LOSSES_WITHIN_GROUPS, check_confidence
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, OPENAI_CLIP_WEIGHTS
from perceptmetrics.models.encoders.named import encoder_width, named_encoder
from perceptmetrics.models.prompts import resolve_prompts
from perceptmetrics.models.views.size_option import SIZE_OPTION, parse_size
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
from perceptmetrics.spec.pool import regressor_inputs
from perceptmetrics.spec.views import VIEWS, total_views
from perceptmetrics.weights.resolve import ResolveOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.recipe import EncoderRecipe, HeadRecipe, PromptsRecipe, Recipe
    from perceptmetrics.finetune.recipe.training_sections import Loss

__all__ = ["metric_spec", "run_specs", "with_size"]

_LICENCE = "To be stated by you: it depends on the terms of the training data. "
_PAPERS = {"PerceptCLIP": "https://arxiv.org/abs/2503.13260", "CLIP-IQA+": "https://arxiv.org/abs/2207.12396"}


def run_specs(recipe: Recipe, datasets: Sequence[LabelledImages], name: str | None = None) -> list[MetricSpec]:
    """Specify the metrics that a recipe trains: one for each data set, or a single one for all.

    Args:
        recipe: The recipe.
        datasets: The data sets.
        name: Name of the metric; with several heads, that of the data set is added. None for the name of the recipe.

    Raises:
        DatasetError: Number, names or labels of the data sets do not fit the recipe.
        InvalidSpecError: The parts do not fit each other.
    """
    if len(datasets) != len(recipe.data):
        raise DatasetError(f"The recipe names {len(recipe.data)} data sets, got {len(datasets)}.")
    names = [dataset.name for dataset in datasets]
    if len(set(names)) != len(names):
        raise DatasetError(
            f"Data sets need different names, got {', '.join(names)}. Rename them with dataclasses.replace(data, "
            "name=...)."
        )
    check_confidence(datasets, recipe.confidence)
    losses = [entry.loss or recipe.loss for entry in recipe.data]
    one_head = recipe.heads == "shared" or len(datasets) == 1
    called = recipe.name if name is None else name
    specs = [
        metric_spec(recipe, dataset, called if one_head else f"{called}_{dataset.name}", loss)
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
    """The metric of a head that several data sets share: that of the first, with a card that names all of them."""
    training_data = " ".join(spec.card.training_data for spec in specs)
    return replace(specs[0], card=replace(specs[0].card, training_data=training_data))


def metric_spec(recipe: Recipe, dataset: LabelledImages, name: str, loss: Loss) -> MetricSpec:
    """Specify the metric that a recipe trains on a data set.

    Args:
        recipe: The recipe.
        dataset: The data set, for its labels.
        name: Name of the metric.
        loss: Loss of the data set.

    Returns:
        The specification, with no published weights.

    Raises:
        DatasetError: The labels do not fit the recipe.
        InvalidSpecError: The parts do not fit each other.
    """
    _check_labels(dataset, loss)
    labels = _labels_of(dataset)
    if recipe.metric is not None:
        return _further_trained(recipe, dataset, name, labels)
    wanted = cast("EncoderRecipe", recipe.encoder)  # what recipes without a metric have
    named = named_encoder(wanted.name, positional_embedding=wanted.positional_embedding, features=wanted.features)
    mean, std = (CLIP_MEAN, CLIP_STD) if wanted.normalization == "clip" else (named.mean, named.std)
    encoder = replace(named.spec, lora=recipe.lora, in_trained_file=recipe.train == "full")
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
        encoder=encoder,
        views=ViewsSpec(views=recipe.views, mean=mean, std=std),
        head=head,
        pool=pool,
        score=score,
        card=_card(recipe, dataset),
    )


def with_size(recipe: Recipe, size: int | str) -> Recipe:
    """Let a recipe show images at another size, as the option `resize=` of `create_metric` does.

    Raises:
        InvalidOptionError: It is no size, or the recipe does not show each image once and whole.
    """
    view = parse_size(size)
    takes = len(recipe.views) == 1 and SIZE_OPTION in VIEWS.builder_of(recipe.views[0]).options()
    if not takes:
        shown = ", ".join(view.kind for view in recipe.views) or f"what {recipe.starts_from} shows"
        raise InvalidOptionError(
            f"resize goes with a recipe that shows the whole image, once; {recipe.name} shows: {shown}. State views: "
            "in the recipe."
        )
    return replace(recipe, views=(view,))


def _further_trained(recipe: Recipe, dataset: LabelledImages, name: str, labels: tuple[str, ...]) -> MetricSpec:
    """The metric that a recipe trains further, with ratings in [0, 1] for scores."""
    start, _ = find_spec(ResolveOptions(metric=recipe.starts_from))
    recipe.check_augmentation(start.views.views)
    is_tuned = start.encoder.lora is not None or start.encoder.in_trained_file
    score = _score(recipe, dataset, labels)
    if start.head.is_calibrated:
        score = replace(start.score, lower=0.0, upper=1.0, labels=labels, map=start.score.map.for_unit_ratings())
    return replace(
        start,
        name=name,
        task=recipe.task,
        encoder=replace(start.encoder, lora=recipe.lora, in_trained_file=is_tuned or recipe.train == "full"),
        head=start.head.with_trained_file(None),
        score=score,
        card=_card(recipe, dataset),
        interval=None,
    )


def _labels_of(dataset: LabelledImages) -> tuple[str, ...]:
    """Labels of the outputs; empty for a single rating."""
    return () if dataset.classes is None and len(dataset.labels) == 1 else dataset.labels


def _check_labels(dataset: LabelledImages, loss: Loss) -> None:
    classes = dataset.classes is not None
    if classes != (loss == "cross_entropy"):
        kind = "classes, which need loss: cross_entropy" if classes else "ratings, which need another loss"
        raise DatasetError(f"{dataset.name} has {kind}; the recipe says {loss}.")
    if dataset.ranks_within_groups and loss not in LOSSES_WITHIN_GROUPS:
        raise DatasetError(
            f"Ratings of {dataset.name} are comparable only within a group of images, which needs loss: ranking or "
            f"relative; the recipe says {loss}. Type --set loss=ranking."
        )


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
                f"Each of the {len(pairs)} prompt pairs is one output, but there are {outputs} ratings. State one for "
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
            if recipe.starts_from in OPENAI_CLIP_WEIGHTS
            else f"The encoder {recipe.starts_from} has its own terms"
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
