"""Export a metric: write its folder, read it back, and compare before the folder appears."""

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
from perceptmetrics.factory.folder import EXPORTED_FILES, PLOTS, SPEC_FILE, largest_deviation, read_folder, write_folder
from perceptmetrics.models.encoders import Placement
from perceptmetrics.weights.resolve import ResolveOptions
from perceptmetrics.weights.tensor_files import read_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perceptmetrics.models.metric import Metric
    from perceptmetrics.spec import MetricSpec
    from perceptmetrics.weights.layouts import TrainedWeights

__all__ = ["EXACT", "HALF", "MERGED", "check_destination", "export_metric", "tolerance_of"]

# Largest allowed difference of a score, as a fraction of the range of the scores: same weights, or weights in float16.
EXACT = 1e-5
HALF = 1e-2
MERGED = 1e-4  # after LoRA adapters were merged into the weights


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
    """Write a metric as a folder that `create_metric` loads.

    The copy is read back and must reproduce the metric's scores; otherwise nothing is left behind.

    Args:
        metric: The metric in memory, for the golden scores; on the CPU, since other devices are less accurate than
            `tolerance`.
        folder: Folder to write, atomically.
        spec: Its specification.
        weights: Its trained weights, see `collect.trained_weights_of`.
        card: The model card (`README.md`), see `card.model_card`; None for none.
        extra_files: Other files by name, such as `recipe.yaml` and `report.html`.
        encoder: File of the encoder if `weights` has none, instead of the one that would be looked up.
        overwrite: Whether an existing exported metric may be replaced.
        keep_others: Whether the folder may contain other files, such as those of a training run; they are kept, and the
            specification is the last file to appear.
        tolerance: Largest allowed difference of a golden score, as a fraction of the range of the scores.

    Returns:
        The largest difference from a golden score.

    Raises:
        InvalidOptionError: The folder cannot be written, see `check_destination`.
        WeightsError: The weights do not fit the specification, or the copy does not reproduce the scores.
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
                f"The exported copy of {spec.name!r} does not reproduce the original's scores (largest difference "
                f"{deviation:.2g}). Nothing was written."
            )
    return deviation


def tolerance_of(file: Path) -> float:
    """Tolerance for the scores of a trained file, by the precision of its weights."""
    halved = any(tensor.dtype == torch.float16 for tensor in read_tensors(file).values())
    return HALF if halved else EXACT


def check_destination(folder: Path, *, overwrite: bool, keep_others: bool = False) -> None:
    """Check that a metric may be exported to a folder; only an earlier exported metric is ever replaced.

    Raises:
        InvalidOptionError: The folder contains other files or an exported metric, or the path is a file.
    """
    if folder.is_dir():
        held = {entry.name for entry in folder.iterdir()}
        foreign = set() if keep_others else held - EXPORTED_FILES - _plots(folder)
        if foreign:
            raise InvalidOptionError(
                f"{folder} contains more than an exported metric ({min(foreign)}), so it is not replaced. Choose "
                "another folder."
            )
        if (SPEC_FILE in held if keep_others else held) and not overwrite:
            raise InvalidOptionError(
                f"{folder} already exists. Choose another folder, or replace it with --overwrite (overwrite=True)."
            )
    elif folder.exists():
        raise InvalidOptionError(f"{folder} is a file; expected a folder to write.")


def _plots(folder: Path) -> set[str]:
    """The folder of plots, if it holds nothing else."""
    return {PLOTS} if all(file.suffix == ".png" for file in (folder / PLOTS).glob("*")) else set()


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files are moved into `folder` if the block ends without error."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as name:
        temporary = Path(name)
        yield temporary
        (folder / SPEC_FILE).unlink(missing_ok=True)  # without it, a partial copy is not a metric
        for file in sorted(temporary.iterdir(), key=lambda file: file.name == SPEC_FILE):
            file.replace(folder / file.name)
