"""By how much int8, bfloat16 and float16 move PerceptCLIP's scores of real photographs; part of `perceptclip_speed`.

Two heads look at the same features of the memorability encoder: the random one of the file, and one whose last layer
was fitted to mean opinion scores of other photographs, so that its score means something.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest
import scipy.io
import torch
from torch import Tensor

from perceptmetrics import Metric, create_metric
from perceptmetrics.functional.stats import srcc
from perceptmetrics.images.load import load_pixels
from tests.benchmarks.perceptclip_files import MEMORABILITY_METRIC, PerceptClipFiles
from tests.support.rated_data import data_folder

PRECISIONS = {
    "int8": {"precision": "int8"},
    "bfloat16": {"dtype": torch.bfloat16},
    "float16": {"dtype": torch.float16},
}
RIDGE_STRENGTHS = [10.0**exponent for exponent in range(-2, 6)]


@dataclass(frozen=True, kw_only=True)
class LastLayer:
    """A linear layer from the hidden activations to one score."""

    weight: Tensor
    bias: Tensor

    def __call__(self, hidden: Tensor) -> Tensor:
        """Scores (N,) of hidden activations (N, H)."""
        return hidden.double() @ self.weight + self.bias


def drift(files: PerceptClipFiles, fit_images: int, drift_images: int) -> None:
    """Print the table."""
    try:
        folder = data_folder("livec/ChallengeDB_release")
    except pytest.skip.Exception as reason:
        print(f"Drift was not measured: {reason}")
        return
    paths, ratings = read_livec(folder)
    fitting, held_out = paths[:fit_images], paths[fit_images : fit_images + drift_images]
    exact = create_metric(MEMORABILITY_METRIC, checkpoint=files.slim[MEMORABILITY_METRIC])
    heads = {"random head": random_head(exact)}
    heads["last layer fitted to ratings"] = ridge(
        hidden_of(exact, features_of(exact, fitting)), ratings[: len(fitting)]
    )
    features = features_of(exact, held_out)
    hidden = hidden_of(exact, features)
    wanted = {name: head(hidden) for name, head in heads.items()}
    their_ratings = ratings[len(fitting) : len(fitting) + len(held_out)]
    print(f"{describe(features)}; {len(held_out)} photographs of LIVE In the Wild, {len(fitting)} others to fit.")
    for name, scores in wanted.items():
        correlation = f"SRCC with ratings {srcc(scores, their_ratings):.3f}" if "fitted" in name else "means nothing"
        print(f"- {name}: scores have standard deviation {scores.std():.3f} in a range of 1, {correlation}.")
    print("\nDrift in percent of the range; beside it, mean drift as a share of the scores' standard deviation.\n")
    print("| precision | head | largest drift | mean drift | of the deviation | rank correlation with float32 |")
    print("|---|---|---|---|---|---|")
    for precision, options in PRECISIONS.items():
        metric = create_metric(MEMORABILITY_METRIC, checkpoint=files.slim[MEMORABILITY_METRIC], **options)
        moved = hidden_of(metric, features_of(metric, held_out))
        for name, head in heads.items():
            scores = head(moved)
            difference = 100 * (scores - wanted[name]).abs()
            print(
                f"| {precision} | {name} | {difference.max():.3f} % | {difference.mean():.3f} % "
                f"| {difference.mean() / wanted[name].std():.2f} % | {srcc(scores, wanted[name]):.5f} |",
                flush=True,
            )
    print("\nAim for int8: drift at most 0.5 % of the range, rank correlation at least 0.999.")


def describe(features: Tensor) -> str:
    """How much the features differ between images, which decides how much rounding weighs."""
    centre = features.mean(dim=0)
    share = ((features - centre).norm(dim=1) / features.norm(dim=1)).mean()
    return (
        f"Random weights: what differs between the features of two images is small, {share:.0%} of a feature's norm, "
        "so rounding weighs more here than it should with trained weights"
    )


def read_livec(folder: Path) -> tuple[list[Path], Tensor]:
    """The photographs that are present, in an order drawn once and for all, and their mean opinion scores / 100."""
    names = scipy.io.loadmat(folder / "Data" / "AllImages_release.mat")["AllImages_release"].ravel()[7:]
    ratings = scipy.io.loadmat(folder / "Data" / "AllMOS_release.mat")["AllMOS_release"].ravel()[7:]
    rated = {str(name[0]).lower(): float(rating) / 100 for name, rating in zip(names, ratings, strict=True)}
    paths = sorted(path for path in (folder / "Images").iterdir() if path.name.lower() in rated)
    random.Random(0).shuffle(paths)
    return paths, torch.tensor([rated[path.name.lower()] for path in paths], dtype=torch.float64)


@torch.inference_mode()
def features_of(metric: Metric, paths: list[Path]) -> Tensor:
    """The encoder's features, one by one: shape (N, D)."""
    return torch.cat([metric.encode(metric.views(load_pixels(path)[None]))[0] for path in paths])


@torch.inference_mode()
def hidden_of(metric: Metric, features: Tensor) -> Tensor:
    """What the head's last layer sees: shape (N, H)."""
    return metric.head.layers[:-1](metric.head.standardise(features))


def random_head(metric: Metric) -> LastLayer:
    """The last layer of the file."""
    last = metric.head.layers[-1]
    return LastLayer(weight=last.weight[0].double(), bias=last.bias[0].double())


def ridge(hidden: Tensor, ratings: Tensor) -> LastLayer:
    """Ridge regression on standardised activations, its strength chosen by leaving each image out in turn."""
    hidden = hidden.double()
    mean, spread = hidden.mean(dim=0), hidden.std(dim=0).clamp_min(1e-6)
    inputs, targets = (hidden - mean) / spread, ratings - ratings.mean()
    left, singular, right = torch.linalg.svd(inputs, full_matrices=False)

    def left_out_error(strength: float) -> float:
        shares = singular**2 / (singular**2 + strength)
        leverage = (left**2 * shares).sum(dim=1) + 1 / len(targets)
        residuals = targets - left @ (shares * (left.T @ targets))
        return float((residuals / (1 - leverage)).square().mean())

    strength = min(RIDGE_STRENGTHS, key=left_out_error)
    weight = right.T @ (singular / (singular**2 + strength) * (left.T @ targets)) / spread
    return LastLayer(weight=weight, bias=ratings.mean() - mean @ weight)
