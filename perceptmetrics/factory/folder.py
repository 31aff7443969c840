"""Exported metrics: a folder, on disk or on the Hub, with all that a metric needs.

- `spec.json`: the specification;
- `config.json`: what other tools show of the specification; the Hub counts its downloads;
- `model.safetensors`: what was trained, see `checkpoints.trained`;
- `golden.safetensors`: a few images and their scores, by which a copy of the folder can be verified;
- `README.md`: the model card, and, of a metric that was trained, `recipe.yaml`, `report.html` and its plots
  (`plots/*.png`), where there are any.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from perceptmetrics._util.atomic import recover_folder
from perceptmetrics._util.files import check_regular
from perceptmetrics.errors import InvalidSpecError, WeightsError, first_line
from perceptmetrics.metrics.registry import list_metrics, metric_info
from perceptmetrics.spec import HubFile, MetricSpec
from perceptmetrics.spec.json import LONGEST_SPEC, spec_from_json, spec_to_json
from perceptmetrics.weights.layouts import TrainedWeights, write_trained
from perceptmetrics.weights.resolve import ResolveOptions, find_optional, resolve
from perceptmetrics.weights.tensor_files import read_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from perceptmetrics.models.metric import Metric

__all__ = [
    "CARD_FILE",
    "CONFIG_FILE",
    "EXPORTED_FILES",
    "GOLDEN_FILE",
    "PLOTS",
    "SPEC_FILE",
    "WEIGHTS_FILE",
    "cloudy_images",
    "config_of",
    "find_spec",
    "is_exported",
    "is_on_hub",
    "largest_deviation",
    "read_folder",
    "read_hub",
    "write_folder",
]

_HUB_PREFIX = "hub:"

SPEC_FILE = "spec.json"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
GOLDEN_FILE = "golden.safetensors"
CARD_FILE = "README.md"
PLOTS = "plots"  # where training writes the plots of its report
EXPORTED_FILES = frozenset({SPEC_FILE, CONFIG_FILE, WEIGHTS_FILE, GOLDEN_FILE, CARD_FILE, "recipe.yaml", "report.html"})

_GOLDEN_COUNT = 3
_GOLDEN_SIZE = (240, 320)
_GOLDEN_PROMPTS = ["A photo of clouds.", "A colourful pattern.", "Noise."]
_CLOUDS = (6, 8)  # down and across an image


def find_spec(lookup: ResolveOptions) -> tuple[MetricSpec, Path | None]:
    """Find the specification that a metric's name stands for.

    Args:
        lookup: `lookup.metric` is a registered name, the folder of an exported metric, or
            `"hub:organisation/name@revision"` for such a folder on the Hub.

    Returns:
        The specification and, for an exported metric with a trained part, its file.

    Raises:
        UnknownMetricError: No metric has this name.
        WeightsError: A file of an exported metric is missing.
        InvalidSpecError: Its specification cannot be read.
    """
    name = lookup.metric
    if is_on_hub(name):
        return read_hub(name.removeprefix(_HUB_PREFIX), lookup)
    if name not in list_metrics():
        recover_folder(Path(name))
        if Path(name).is_dir():
            return read_folder(Path(name))
    return metric_info(name), None


def is_exported(name: str) -> bool:
    """Whether a metric's name stands for an exported metric, on the Hub or in a folder."""
    return is_on_hub(name) or (name not in list_metrics() and (Path(name) / SPEC_FILE).is_file())


def is_on_hub(name: str) -> bool:
    """Whether a metric's name stands for an exported metric on the Hub."""
    return name.startswith(_HUB_PREFIX)


def read_folder(folder: Path) -> tuple[MetricSpec, Path | None]:
    """Open an exported metric.

    Args:
        folder: The folder.

    Returns:
        The specification and, for a metric with a trained part, its file.

    Raises:
        WeightsError: A file is missing.
        InvalidSpecError: The specification cannot be read.
    """
    return _read(partial(_file_of, folder))


def read_hub(name: str, lookup: ResolveOptions) -> tuple[MetricSpec, Path | None]:
    """Open an exported metric on the Hub.

    Args:
        name: `"organisation/name"` or `"organisation/name@revision"`.
        lookup: How files are looked up.

    Returns:
        The specification and, for a metric with a trained part, its file.

    Raises:
        WeightsError: A file is missing and cannot be fetched.
        InvalidSpecError: The specification cannot be read.
    """
    repo, _, revision = name.partition("@")
    revision = revision or "main"
    found = _read(lambda file: resolve(HubFile(repo=repo, filename=file, revision=revision), lookup))
    # The Hub counts downloads by this file; nothing else depends on it.
    find_optional(HubFile(repo=repo, filename=CONFIG_FILE, revision=revision), lookup)
    return found


def write_folder(
    folder: Path,
    spec: MetricSpec,
    weights: TrainedWeights,
    golden: Metric,
    *,
    card: str | None = None,
    extra_files: Mapping[str, str | bytes] | None = None,
) -> None:
    """Write the files of an exported metric.

    Args:
        folder: An existing folder; see `atomic.replacing_folder` for one that appears whole or not at all.
        spec: The specification.
        weights: What was trained.
        golden: The metric itself, for the golden scores.
        card: The model card; None for none.
        extra_files: Other files by name.
    """
    pictures = _golden_pictures()
    write_trained(folder / WEIGHTS_FILE, weights)
    (folder / SPEC_FILE).write_text(spec_to_json(spec), encoding="utf-8")
    (folder / CONFIG_FILE).write_text(config_of(spec), encoding="utf-8")
    save_tensors({"pictures": pictures, "scores": _golden_scores(golden, pictures)}, folder / GOLDEN_FILE)
    for name, content in (({} if card is None else {CARD_FILE: card}) | dict(extra_files or {})).items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def config_of(spec: MetricSpec) -> str:
    """The content of `config.json`: what other tools show of a metric. It is never read here."""
    facts = {
        "library_name": "perceptmetrics",
        "model_type": spec.name,
        "task": spec.task,
        "labels": list(spec.score.labels),
        "score_range": [spec.score.lower, spec.score.upper],
        "higher_is_better": spec.score.higher_is_better,
        "encoder": spec.encoder.architecture,
    }
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def largest_deviation(folder: Path, metric: Metric) -> float:
    """Score the golden images of an exported metric again.

    Args:
        folder: The folder.
        metric: The metric as it was made from it.

    Returns:
        The largest difference from a golden score.

    Raises:
        WeightsError: The golden file is missing or corrupt.
    """
    golden = read_tensors(_file_of(folder, GOLDEN_FILE))
    if golden.keys() != {"pictures", "scores"}:
        raise WeightsError(f"{folder / GOLDEN_FILE} should hold 'pictures' and 'scores', got {sorted(golden)}.")
    scores = _golden_scores(metric, golden["pictures"])
    return float((scores - golden["scores"]).abs().max())


def _read(find: Callable[[str], Path]) -> tuple[MetricSpec, Path | None]:
    spec = _read_spec(find(SPEC_FILE))
    return spec, find(WEIGHTS_FILE) if spec.has_trained_part else None


def _file_of(folder: Path, filename: str) -> Path:
    try:
        check_regular(folder / filename)
    except FileNotFoundError as error:
        raise WeightsError(
            f"The folder {folder} is no exported metric: {filename} missing. Expected {SPEC_FILE} and {WEIGHTS_FILE}."
        ) from error
    except OSError as error:
        raise WeightsError(f"The folder {folder} is no exported metric: {first_line(error)}.") from error
    return folder / filename


def _read_spec(path: Path) -> MetricSpec:
    list_metrics()  # metrics of installed packages say which packages carry weights
    try:
        with path.open(encoding="utf-8") as stream:
            return spec_from_json(stream.read(LONGEST_SPEC + 1))
    except (InvalidSpecError, UnicodeDecodeError) as error:
        raise InvalidSpecError(f"{path}: {error}") from error


def cloudy_images(count: int, size: tuple[int, int]) -> Tensor:
    """Clouds of colour with some grain, the same at every call: shape (count, 3, *size), float32 in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    clouds = torch.rand(count, 3, *_CLOUDS, generator=generator)
    grain = torch.randn(count, 3, *size, generator=generator)
    strength = torch.linspace(0, 0.1, count)[:, None, None, None]
    pictures = F.interpolate(clouds, size=size, mode="bicubic", align_corners=False) + strength * grain
    return pictures.clamp(0, 1)


def _golden_scores(metric: Metric, pictures: Tensor) -> Tensor:
    return metric.score_batch(pictures, _GOLDEN_PROMPTS if metric.reads_prompts else None)


def _golden_pictures() -> Tensor:
    """Shape (N, 3, H, W), uint8."""
    return cloudy_images(_GOLDEN_COUNT, _GOLDEN_SIZE).mul(255).round().to(torch.uint8)
