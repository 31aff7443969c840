"""Exporting a metric: the folder is written, read again and compared before anybody sees it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from perceptmetrics._util.atomic import replacing_folder
from perceptmetrics._util.modules import evaluating
from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.factory.build import Files, build_metric
from perceptmetrics.factory.folder import EXPORTED_FILES, SPEC_FILE, largest_deviation, read_folder, write_folder
from perceptmetrics.models.encoders import Placement
from perceptmetrics.weights.resolve import ResolveOptions
from perceptmetrics.weights.tensor_files import read_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perceptmetrics.models.metric import Metric
    from perceptmetrics.spec import MetricSpec
    from perceptmetrics.weights.layouts import TrainedWeights

__all__ = ["EXACT", "HALF", "check_destination", "export_metric", "tolerance_of"]

# By how much a score may move, as a share of the range of the scores: with the very weights, and with those in float16.
EXACT = 1e-5
HALF = 1e-2


def export_metric(
    metric: Metric,
    folder: Path,
    *,
    spec: MetricSpec,
    weights: TrainedWeights,
    card: str | None = None,
    extra_files: Mapping[str, str | bytes] | None = None,
    encoder: Path | None = None,
    overwrite: bool = False,
    keep_others: bool = False,
    tolerance: float = EXACT,
) -> float:
    """Write a metric as a folder from which `create_metric` makes it again.

    What is written is read again and must give the metric's scores; otherwise nothing is left behind.

    Args:
        metric: The metric as it is in memory, for the golden scores; on the CPU, since other devices compute more
            coarsely than `tolerance` allows.
        folder: Folder to write; it appears whole or not at all.
        spec: What it is.
        weights: What was trained, see `trained_parts.trained_weights_of`.
        card: The model card (`README.md`), see `model_card.model_card`; None for none.
        extra_files: Other files by name, such as `recipe.yaml` and `report.html`.
        encoder: File of the encoder, in place of the one that would be looked up, when `weights` holds none.
        overwrite: Whether an exported metric that lies there may be replaced.
        keep_others: Whether other things may lie there, such as those of a training run; they are left alone, and
            the specification is the last file that appears.
        tolerance: By how much a golden score may differ, as a share of the range of the scores.

    Returns:
        The largest difference from a golden score.

    Raises:
        InvalidOptionError: The folder cannot be written to, see `check_destination`.
        WeightsError: The weights do not fit the specification, or the copy scores otherwise.
    """
    folder = folder.resolve()
    check_destination(folder, overwrite=overwrite, keep_others=keep_others)
    written = _beside(folder) if keep_others else replacing_folder(folder)
    with written as temporary:
        with evaluating(metric), torch.inference_mode():
            write_folder(temporary, spec, weights, metric, card=card, extra_files=extra_files)
        read, trained = read_folder(temporary)
        files = Files(lookup=ResolveOptions(metric=read.name), trained=trained, encoder=encoder)
        deviation = largest_deviation(temporary, build_metric(read, files, Placement()))
        if not deviation <= tolerance * spec.score.span:
            raise WeightsError(
                f"The exported copy of {spec.name!r} scores otherwise than the original, by up to {deviation:.2g}. "
                "Nothing was written."
            )
    return deviation


def tolerance_of(file: Path) -> float:
    """By how much scores may differ from those of the metric that a trained file was written from."""
    halved = any(tensor.dtype == torch.float16 for tensor in read_tensors(file).values())
    return HALF if halved else EXACT


def check_destination(folder: Path, *, overwrite: bool, keep_others: bool = False) -> None:
    """Check that a metric may be exported to a folder: nothing but an earlier exported metric is ever replaced.

    Raises:
        InvalidOptionError: The folder holds other things or an exported metric already, or is a file.
    """
    if folder.is_dir():
        held = {entry.name for entry in folder.iterdir()}
        foreign = set() if keep_others else held - EXPORTED_FILES
        if foreign:
            raise InvalidOptionError(
                f"{folder} holds other things than an exported metric ({min(foreign)}), so it is not replaced. "
                "Choose another folder."
            )
        if (SPEC_FILE in held if keep_others else held) and not overwrite:
            raise InvalidOptionError(
                f"{folder} exists already. Choose another folder, or replace it with --overwrite (overwrite=True)."
            )
    elif folder.exists():
        raise InvalidOptionError(f"{folder} is a file; expected a folder to write.")


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files are moved among those of `folder` when the block ends without error."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as name:
        temporary = Path(name)
        yield temporary
        (folder / SPEC_FILE).unlink(missing_ok=True)  # without it, nobody takes half of the files for a metric
        for file in sorted(temporary.iterdir(), key=lambda file: file.name == SPEC_FILE):
            file.replace(folder / file.name)
