"""Train the head of lite_iqa, report what it can do, and write it where the package carries it.

    pip install ".[lite]"
    python examples/lite_iqa/train.py --data ../shared/data --cache lite_cache --output perceptmetrics/metrics/lite_iqa

The encoder is frozen, so features are computed once (the better part of an hour on two cores); training takes minutes.
The seed fixes everything. The head is an average of small networks, each trained with the PLCC loss on LIVE In the Wild
and a ranking loss on ladders of degradations of photographs (and, a few, of LIVEC's training images).

Reported: SRCC over ten random 80/20 splits of LIVEC; the share of adjacent steps of ladders in the right order on
photographs left out of training (five folds), for three fixed protocols; SRCC on BIQ2021, on which nothing was trained
or chosen. The score's logistic map is fitted on the held-out predictions of the ten splits.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from degradations import KINDS, STRENGTHS
from features import PROTOCOLS, FeatureBanks, Ladders, join
from scipy.optimize import curve_fit
from torch import Tensor, nn

from perceptmetrics import create_metric
from perceptmetrics.checkpoints import TrainedWeights, write_trained
from perceptmetrics.functional.loss import plcc_loss, ranking_loss
from perceptmetrics.functional.score import logistic, signed_log
from perceptmetrics.functional.stats import plcc, srcc
from perceptmetrics.heads import MlpHead
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.spec_json import spec_to_json
from perceptmetrics.weights import ResolveOptions, resolve

if TYPE_CHECKING:
    from perceptmetrics.spec import MetricSpec

FOLDS = 5
SPLITS = 10
SPLIT_SEED = 7
KIND_WEIGHTS = {"blur": 1.0, "noise": 1.25, "jpeg": 2.0, "scale": 1.0, "over": 1.5, "under": 1.5}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every number of the training."""

    members: int = 3
    hidden: int = 64
    epochs: int = 90
    batch_size: int = 128
    ladders_per_step: int = 96
    photo_share: float = 0.8  # of the ladders of a step; the others are of LIVEC's training images
    learning_rate: float = 1e-3
    warm_up_steps: int = 20
    weight_decay: float = 0.05
    input_dropout: float = 0.1
    hidden_dropout: float = 0.3
    ladder_weight: float = 0.67
    margin: float = 0.15  # in standard deviations of the predictions for LIVEC
    softness: float = 0.25
    first_step_weight: float = 4.0  # the untouched image against the weakest degradation is the hardest step


@dataclass(frozen=True)
class Subset:
    """The training part of LIVEC and the ladders that may be drawn, with their probabilities."""

    images: Tensor
    ladders: Tensor
    probability: Tensor


class Pool:
    """All training features, compressed as the head compresses them."""

    def __init__(self, banks: FeatureBanks) -> None:
        photos, livec = banks.photo_ladders(), banks.livec_ladders()
        self.images = signed_log(banks.livec())
        self.mirrored = signed_log(banks.livec_mirrored())
        self.mos = banks.livec_mos
        self.ladders: Ladders = join([photos, livec])
        self.steps = signed_log(self.ladders.features)
        self.of_photo = torch.arange(len(self.steps)) < len(photos.kind)

    def subset(self, images: Tensor, photo_allowed: Tensor, recipe: Recipe) -> Subset:
        """Restrict to some LIVEC images and photographs."""
        livec_allowed = torch.zeros(len(self.images), dtype=torch.bool)
        livec_allowed[images] = True
        source = self.ladders.source
        photo_source = source.clamp(max=len(photo_allowed) - 1)
        allowed = torch.where(self.of_photo, photo_allowed[photo_source], livec_allowed[source])
        index = allowed.nonzero()[:, 0]
        weight = torch.tensor([KIND_WEIGHTS[kind] for kind in KINDS])[self.ladders.kind[index]]
        photo = self.of_photo[index]
        probability = torch.where(
            photo,
            recipe.photo_share * weight / weight[photo].sum(),
            (1 - recipe.photo_share) * weight / weight[~photo].sum(),
        )
        return Subset(images, index, probability)

    def moments(self, subset: Subset) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the features; LIVEC images and ladder images count half each."""
        images, steps = self.images[subset.images], self.steps[subset.ladders].flatten(0, 1)
        mean = (images.mean(0) + steps.mean(0)) / 2
        square = (images.square().mean(0) + steps.square().mean(0)) / 2
        return mean, (square - mean.square()).clamp(min=0).sqrt() + 1e-3


def train_head(pool: Pool, subset: Subset, recipe: Recipe, seed: int) -> MlpHead:
    """Train the members side by side and join them into one head whose raw output has unit variance."""
    rng = torch.Generator().manual_seed(seed)
    mean, std = pool.moments(subset)
    images = torch.stack([(bank[subset.images] - mean) / std for bank in (pool.images, pool.mirrored)])
    mos = pool.mos[subset.images]
    members, hidden, size = recipe.members, recipe.hidden, len(mean)
    first = (torch.randn(members, size, hidden, generator=rng) / math.sqrt(size)).requires_grad_()
    bias = torch.zeros(members, 1, hidden, requires_grad=True)
    second = (torch.randn(members, hidden, 1, generator=rng) / math.sqrt(hidden)).requires_grad_()

    def predict(inputs: Tensor) -> Tensor:
        """Raw outputs (members, n) of inputs (members, n, size), without dropout."""
        return torch.bmm(nn.functional.gelu(torch.baddbmm(bias, inputs, first)), second)[..., 0]

    def predict_with_dropout(inputs: Tensor) -> Tensor:
        inputs = dropout(inputs, recipe.input_dropout, rng)
        activations = nn.functional.gelu(torch.baddbmm(bias, inputs, first))
        return torch.bmm(dropout(activations, recipe.hidden_dropout, rng), second)[..., 0]

    optimizer = torch.optim.AdamW(
        [{"params": [first, second], "weight_decay": recipe.weight_decay}, {"params": [bias], "weight_decay": 0.0}],
        lr=recipe.learning_rate,
    )
    steps_per_epoch = len(mos) // recipe.batch_size
    total = recipe.epochs * steps_per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / recipe.warm_up_steps) * (1 + math.cos(math.pi * (step + 1) / (total + 1))) / 2,
    )
    for step in range(total):
        if step % steps_per_epoch == 0:
            order = torch.stack([torch.randperm(len(mos), generator=rng) for _ in range(members)])
        start = step % steps_per_epoch * recipe.batch_size
        batch = order[:, start : start + recipe.batch_size]
        mirrored = torch.randint(2, batch.shape, generator=rng)
        raw = predict_with_dropout(images[mirrored, batch])
        drawn = subset.ladders[torch.multinomial(subset.probability, recipe.ladders_per_step, True, generator=rng)]
        rungs = ((pool.steps[drawn] - mean) / std).flatten(0, 1).expand(members, -1, -1)
        ladders = predict_with_dropout(rungs).unflatten(1, (-1, STRENGTHS + 1))
        loss = sum(plcc_loss(raw[member], mos[batch[member]]) for member in range(members))
        loss = loss + recipe.ladder_weight * members * ladder_loss(ladders / raw.std(1)[:, None, None], recipe)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return joined(mean, std, first, bias, second, predict(images[0].expand(members, -1, -1)))


def dropout(values: Tensor, probability: float, rng: torch.Generator) -> Tensor:
    """Dropout from a generator of its own."""
    return values * (torch.rand(values.shape, generator=rng) > probability) / (1 - probability)


def ladder_loss(ladders: Tensor, recipe: Recipe) -> Tensor:
    """Soft ranking loss of adjacent steps; ladders (members, n, 6), the untouched image first."""
    weight = torch.ones(STRENGTHS)
    weight[0] = recipe.first_step_weight
    return ranking_loss(
        ladders[..., :-1], ladders[..., 1:], margin=recipe.margin, softness=recipe.softness, weight=weight
    )


def joined(mean: Tensor, std: Tensor, first: Tensor, bias: Tensor, second: Tensor, raw: Tensor) -> MlpHead:
    """One network that averages the members, each brought to mean 0 and variance 1 over the training images."""
    members = len(raw)
    centre, spread = raw.mean(1), raw.std(1)
    head = MlpHead(LITE_IQA.head)
    head.load_state_dict(
        {
            "feature_mean": mean,
            "feature_std": std,
            "layers.0.weight": first.transpose(1, 2).flatten(0, 1),
            "layers.0.bias": bias.flatten(),
            "layers.2.weight": (second[..., 0] / (members * spread[:, None])).reshape(1, -1),
            "layers.2.bias": -(centre / spread).mean().reshape(1),
        }
    )
    return head.requires_grad_(False)


@dataclass
class Order:
    """Adjacent steps in the right order, by kind of degradation and position on the ladder."""

    right: list[Tensor]
    kind: list[Tensor]

    def add(self, head: MlpHead, ladders: Ladders, chosen: Tensor) -> None:
        """Judge some ladders with a head."""
        raw = head(ladders.features[chosen].flatten(0, 1)).reshape(-1, STRENGTHS + 1)
        self.right.append(raw[:, :-1] > raw[:, 1:])
        self.kind.append(ladders.kind[chosen])

    def __str__(self) -> str:
        right, kind = torch.cat(self.right).float(), torch.cat(self.kind)
        cells = []
        for number, name in enumerate(KINDS):
            of_kind = right[kind == number]
            cells.append(f"{name} {100 * of_kind.mean():.1f} ({100 * of_kind[:, 1:].mean():.1f})")
        return ", ".join(cells)


def cross_validate(pool: Pool, banks: FeatureBanks, recipe: Recipe, seed: int) -> tuple[Tensor, Tensor]:
    """Ten splits of LIVEC; split s also leaves out the photographs of fold s % 5.

    Returns:
        Raw outputs and MOS of the held-out images of all splits.
    """
    protocols = {name: banks.protocol(name) for name in PROTOCOLS}
    orders = {name: Order([], []) for name in PROTOCOLS}
    fold = torch.arange(len(banks.photos)) % FOLDS
    correlations, held_out = [], []
    for split in range(SPLITS):
        order = torch.from_numpy(np.random.default_rng([SPLIT_SEED, split]).permutation(len(pool.mos)))
        train, test = order.split([int(0.8 * len(order)), len(order) - int(0.8 * len(order))])
        head = train_head(pool, pool.subset(train, fold != split % FOLDS, recipe), recipe, seed + split)
        raw = head(banks.livec()[test])[:, 0]
        held_out.append((raw, pool.mos[test]))
        correlations.append((srcc(raw, pool.mos[test]), plcc(raw, pool.mos[test])))
        for name, ladders in protocols.items():
            orders[name].add(head, ladders, fold[ladders.source] == split % FOLDS)
        print(f"split {split}: SRCC {correlations[-1][0]:.4f}, PLCC {correlations[-1][1]:.4f}", flush=True)
    medians = np.median(correlations, axis=0)
    print(f"LIVEC, {SPLITS} random 80/20 splits: median SRCC {medians[0]:.4f}, median PLCC {medians[1]:.4f}")
    print("Steps in the right order on photographs left out, in % (without the step from the untouched image):")
    for name, counted in orders.items():
        print(f"  {name}: {counted}")
    raws, targets = zip(*held_out, strict=True)
    return torch.cat(raws), torch.cat(targets)


def report_biq(head: MlpHead, banks: FeatureBanks) -> None:
    """SRCC on BIQ2021, by subset."""
    raw = head(banks.biq2021())[:, 0]
    mos = torch.tensor([score for _, score in banks.biq])
    subsets = np.array([path.name[:4] for path, _ in banks.biq])
    cells = [f"{name} {srcc(raw[subsets == name], mos[subsets == name]):.4f}" for name in sorted(set(subsets))]
    print(f"BIQ2021 (never trained on): SRCC {srcc(raw, mos):.4f}; {', '.join(cells)}")


def main() -> None:
    """Train, report, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with livec, biq2021 and photos")
    parser.add_argument("--cache", type=Path, required=True, help="folder for features")
    parser.add_argument("--output", type=Path, required=True, help="folder for spec.json and model.safetensors")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    encoder = resolve(LITE_IQA.backbone.weights, ResolveOptions(metric="lite_iqa"))
    metric = create_metric("lite_iqa", weights=None, backbone_checkpoint=encoder)
    banks = FeatureBanks(metric, arguments.data, arguments.cache)
    pool, recipe = Pool(banks), Recipe()
    raw, mos = cross_validate(pool, banks, recipe, arguments.seed)
    (scale, shift), _ = curve_fit(lambda x, a, b: 1 / (1 + np.exp(-(a * x + b))), raw.numpy(), mos.numpy(), (0.6, 0.3))
    everything = pool.subset(torch.arange(len(pool.mos)), torch.ones(len(banks.photos), dtype=torch.bool), recipe)
    head = train_head(pool, everything, recipe, arguments.seed)
    report_biq(head, banks)
    scores = logistic(head(banks.livec())[:, 0], scale, shift)
    print(f"LIVEC scores from {scores.min():.3f} to {scores.max():.3f}; map: scale {scale:.4f}, shift {shift:.4f}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "model.safetensors"
    write_trained(path, TrainedWeights(head=head.state_dict()))
    (arguments.output / "spec.json").write_text(spec_to_json(describe(path, scale, shift)), encoding="utf-8")
    print(f"Wrote {arguments.output}. Copy scale, shift, sha256 and size to perceptmetrics/metrics/lite.py.")


def describe(weights: Path, scale: float, shift: float) -> MetricSpec:
    """The specification of the metric with this head."""
    content = weights.read_bytes()
    source = replace(LITE_IQA.head.weights, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    score = replace(LITE_IQA.score, scale=round(float(scale), 4), shift=round(float(shift), 4))
    return replace(LITE_IQA, head=replace(LITE_IQA.head, weights=source), score=score)


if __name__ == "__main__":
    main()
