"""Results of runs that were not run: known scores on generated images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from perceptmetrics.datasets import LabelledImages, Scale, Split
from perceptmetrics.finetune import EpochRecord, RunResult, SplitResult, StageName, StageResult, load_recipe
from perceptmetrics.finetune.run.results import test_result as result_on_test

COUNT = 40
RATES = (0.001, 0.01)


def pictures(folder, names):
    """Small images in colours of their own."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (48, 40), (6 * number, 255 - 6 * number, 90)).save(folder / name, "PNG")
    return tuple(folder / name for name in names)


def rated(folder, *, name="photos", labels=("quality",), names=None, scale=None, count=COUNT, **options):
    """Images whose ratings are random."""
    names = names or tuple(f"{number}.png" for number in range(count))
    ratings = np.random.default_rng(len(labels)).uniform(0, 1, (len(names), len(labels)))
    return LabelledImages(
        name=name,
        task="quality",
        images=pictures(folder, names),
        names=tuple(names),
        labels=tuple(labels),
        ratings=ratings,
        scales=(scale or Scale(lower=0, upper=100),) * len(labels),
        **options,
    )


def classed(folder, *, labels=("awe", "fear", "joy")):
    """Images of classes in turn."""
    names = tuple(f"{number}.png" for number in range(COUNT))
    return LabelledImages(
        name="moods",
        task="emotion",
        images=pictures(folder, names),
        names=names,
        labels=tuple(labels),
        classes=np.arange(COUNT) % len(labels),
    )


def splits_of(dataset, count):
    """Halves, each split beginning one image further."""
    order = np.arange(len(dataset))
    half = len(dataset) // 2
    turned = [np.roll(order, -number) for number in range(count)]
    return [Split(train=one[half + 4 :], validation=one[half : half + 4], test=one[:half]) for one in turned]


def near_truth(dataset, split, number):
    """Scores near the labels."""
    noise = np.random.default_rng(number)
    if dataset.classes is not None:
        logits = noise.normal(size=(len(split.test), len(dataset.labels)))
        logits[np.arange(len(split.test)), dataset.classes[split.test]] += 2
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.nan_to_num(dataset.ratings[split.test], nan=0.5) + noise.normal(
        0, 0.1, (len(split.test), len(dataset.labels))
    )


def run_result(
    folder, datasets, *, splits=2, scores=near_truth, rates=RATES, stages=("main",), epochs=3, keep="best", **recipe
):
    """A run: each learning rate's validation figures rise to the epoch before the last."""
    parts = [splits_of(dataset, splits) for dataset in datasets]
    validation = [*np.linspace(0.2, 0.8, epochs - 1).tolist(), 0.5]
    records = tuple(
        EpochRecord(
            epoch=epoch,
            loss=1 / (epoch + 1),
            validation_loss=2 / (epoch + 1),
            validation={dataset.name: validation[epoch] for dataset in datasets},
            selection=validation[epoch],
            lr=0.001,
            seconds=40.0,
        )
        for epoch in range(epochs)
    )
    base = load_recipe("lite_livec")
    classes = any(dataset.classes is not None for dataset in datasets)
    return RunResult(
        recipe=replace(
            base,
            loss="cross_entropy" if classes else "plcc",
            optimizer=replace(base.optimizer, lr=rates, keep=keep),
            splits=replace(base.splits, validation=0.1),
            **recipe,
        ),
        datasets=tuple(datasets),
        folder=Path(folder),
        metrics={datasets[0].name: Path(folder)},
        splits=tuple(
            SplitResult(
                number=number,
                lr=rates[-1],
                tried=dict.fromkeys(rates, 0.8),
                best_epoch=epochs - 2,
                selection=0.8,
                data_sets=tuple(
                    result_on_test(one, part[number].test, scores(one, part[number], number), seed=0)
                    for one, part in zip(datasets, parts, strict=True)
                ),
                parts=tuple(part[number] for part in parts),
            )
            for number in range(splits)
        ),
        stages=tuple(
            StageResult(name=StageName(split=number, lr=rate, stage=stage), records=records)
            for number in range(splits)
            for rate in rates
            for stage in stages
        ),
        environment={"perceptmetrics": "1.2.3", "device": "cpu"},
    )
