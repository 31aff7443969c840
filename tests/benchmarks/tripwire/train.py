"""Train the learned part of the tripwire, and set its limits on photographs that each part of the training left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F

from perceptmetrics.tripwire.features import ENCODER_FEATURES
from perceptmetrics.tripwire.head import OUTPUTS, Head

HIDDEN = 96
COMPONENTS = 128
"""Principal components of the encoder's features that the hidden layer sees."""

EPOCHS = 120
BATCH = 256
FOLDS = 4
FALSE_ALARMS = 6e-4
TAIL = 0.01
MARGIN = 3.0
"""Log-odds above all healthy images that are enough for a limit."""

HEALTHY = 4.0
"""Weight of healthy images: to take one for broken is worse than to miss a fault."""

OTHER_FAULTS = 0.1
"""Weight of images with another kind of fault: to take one fault for another is no false alarm."""

Rows = dict[str, np.ndarray]
NAMES = list(OUTPUTS)
KINDS = np.array(list(OUTPUTS.values()))


def fit(rows: Rows, seed: int = 0) -> Head:
    """Fit the head; its limits are not yet known here."""
    features = torch.from_numpy(rows["features"].astype(np.float32))
    mean, scale = features.mean(0), 1 / features.std(0).clamp_min(1e-3)
    inputs = ((features - mean) * scale).clamp(-8, 8)
    seen = _components(inputs)
    inputs = inputs @ seen
    targets = torch.from_numpy(rows["breakage"][:, None] == np.array(NAMES)).float()
    healthy = torch.from_numpy(rows["kind"] == "")[:, None]
    same_kind = torch.from_numpy(rows["kind"][:, None] == KINDS)
    weights = torch.where(targets > 0, 1.0, torch.where(same_kind, 0.0, OTHER_FAULTS))
    weights = torch.where(healthy, HEALTHY, weights)
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Dropout(0.1), nn.Linear(inputs.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.2), nn.Linear(HIDDEN, len(NAMES))
    )
    batches = max(1, len(inputs) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS * batches)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(inputs)).tensor_split(batches):
            loss = F.binary_cross_entropy_with_logits(network(inputs[batch]), targets[batch], weights[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    first, last = network[1], network[4]
    kept = {
        "mean": mean,
        "scale": scale,
        "hidden": seen @ first.weight.T,
        "hidden_bias": first.bias,
        "output": last.weight.T,
        "output_bias": last.bias,
        "thresholds": torch.zeros(len(NAMES)),
    }
    return Head(**{name: np.ascontiguousarray(tensor.detach().numpy()) for name, tensor in kept.items()})


def _components(inputs: torch.Tensor) -> torch.Tensor:
    """What the hidden layer sees: components of the encoder's features, and all statistics of pixels."""
    encoded = inputs[:, :ENCODER_FEATURES].double()
    values, vectors = torch.linalg.eigh(encoded.T @ encoded / len(encoded))
    count = min(COMPONENTS, len(values))
    chosen = vectors[:, -count:] / values[-count:].clamp_min(1e-3).sqrt()
    chosen *= torch.where(chosen.sum(0) < 0, -1.0, 1.0)
    return torch.block_diag(chosen.float(), torch.eye(inputs.shape[1] - encoded.shape[1]))


def some(rows: Rows, mask: np.ndarray) -> Rows:
    return {name: values[mask] for name, values in rows.items()}


def log_odds_of_left_out(rows: Rows) -> np.ndarray:
    """Log-odds of every row, by a head that saw nothing of its photograph."""
    found = np.zeros((len(rows["group"]), len(NAMES)), dtype=np.float32)
    for fold in range(FOLDS):
        left_out = rows["group"] % FOLDS == fold
        found[left_out] = fit(some(rows, ~left_out))(rows["features"][left_out])
    return found


def limits(rows: Rows, log_odds: np.ndarray) -> np.ndarray:
    """The limit of each output: log-odds that its share of `FALSE_ALARMS` of healthy images exceeds.

    The tail of their distribution is taken for exponential; a limit that is `MARGIN` above all of them is enough. Where
    broken images lie far beyond, the limit is half-way to them.
    """
    share = FALSE_ALARMS / len(NAMES)
    found = []
    for index, name in enumerate(NAMES):
        healthy = log_odds[rows["kind"] == "", index]
        start = np.quantile(healthy, 1 - TAIL)
        limit = start + (healthy[healthy > start] - start).mean() * np.log(TAIL / share)
        limit = min(limit, healthy.max() + MARGIN)
        least = np.quantile(log_odds[rows["breakage"] == name, index], 0.002)
        found.append(max(limit, (limit + least) / 2))
    return np.array(found, dtype=np.float32)


def train(rows: Rows, output: Path) -> None:
    log_odds = log_odds_of_left_out(rows)
    thresholds = limits(rows, log_odds)
    healthy = rows["kind"] == ""
    print(f"left out: {(log_odds[healthy] > thresholds).any(1).mean():.2%} of {healthy.sum()} healthy images")
    for name in NAMES:
        mask = rows["breakage"] == name
        print(f"  {name:25} {(log_odds[mask] > thresholds).any(1).mean():7.2%} of {mask.sum()}")
    head = fit(rows)
    save_file({**vars(head), "thresholds": thresholds}, output)
    print(f"wrote {output}")
