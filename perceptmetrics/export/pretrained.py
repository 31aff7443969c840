"""Save, load and share a metric in memory: behind `from_pretrained`, `save_pretrained` and `push_to_hub`."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from perceptmetrics._util.atomic import replacing_folder
from perceptmetrics._util.files import expand_home
from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.export.card import model_card
from perceptmetrics.export.collect import head_parts, trained_weights_of
from perceptmetrics.export.publish import REPOSITORY, publish
from perceptmetrics.export.write import EXACT, MERGED, check_destination, export_metric, tolerance_of
from perceptmetrics.factory.create import create_metric
from perceptmetrics.factory.folder import (
    EXPORTED_FILES,
    GOLDEN_FILE,
    PLOTS,
    SPEC_FILE,
    WEIGHTS_FILE,
    is_on_hub,
    largest_deviation,
)
from perceptmetrics.metrics.registry import list_metrics
from perceptmetrics.models.encoders import AbsentEncoder
from perceptmetrics.models.lora import has_lora
from perceptmetrics.spec import HubFile
from perceptmetrics.spec.json import spec_from_json
from perceptmetrics.weights.layouts import read_trained
from perceptmetrics.weights.resolve import find_optional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perceptmetrics.models.metric import Metric
    from perceptmetrics.spec import MetricSpec

__all__ = ["load_pretrained", "push_pretrained", "save_pretrained"]


def load_pretrained(name: str | os.PathLike[str], revision: str | None = None, **options: Any) -> Metric:
    """Load a metric by the name that people type; see `Metric.from_pretrained`."""
    if "as_loss" in options:
        raise InvalidOptionError("from_pretrained makes metrics; for a loss use create_metric(name, as_loss=True).")
    text = os.fspath(name)
    known = expand_home(text).exists() or text in list_metrics()
    if not known and REPOSITORY.fullmatch(text):
        text = f"hub:{text}"
    if revision is not None:
        if not is_on_hub(text) or "@" in text:
            raise InvalidOptionError(
                f"revision={revision!r} is a revision of a repository on the Hub, and {text!r} is "
                f"{'one with a revision already' if is_on_hub(text) else 'none'}. Leave it out."
            )
        text = f"{text}@{revision}"
    metric: Metric = create_metric(text, **options)
    return metric


def save_pretrained(
    metric: Metric,
    folder: str | os.PathLike[str],
    repo_id: str | None = None,
    *,
    push: bool = False,
    backbone_checkpoint: str | os.PathLike[str] | None = None,
    **push_options: Any,
) -> str | None:
    """Write a metric as a folder and, with `push`, publish it; see `Metric.save_pretrained`."""
    if not push and (repo_id is not None or push_options):
        given = min(["repo_id"] if repo_id is not None else push_options)
        raise InvalidOptionError(f"{given} is for publishing. Add push_to_hub=True, or leave it out.")
    if push and repo_id is None:
        raise InvalidOptionError("push_to_hub=True needs repo_id='organisation/name'.")
    path = expand_home(folder).resolve()
    _write(metric, path, _encoder(backbone_checkpoint))
    if not push:
        return None
    return publish(path, str(repo_id), encoder=_encoder(backbone_checkpoint), **push_options).url


def push_pretrained(
    metric: Metric, repo_id: str, *, backbone_checkpoint: str | os.PathLike[str] | None = None, **options: Any
) -> str:
    """Publish a metric; see `Metric.push_to_hub`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "metric"
        _write(metric, folder, _encoder(backbone_checkpoint))
        return publish(folder, repo_id, encoder=_encoder(backbone_checkpoint), **options).url


def _encoder(path: str | os.PathLike[str] | None) -> Path | None:
    return None if path is None else expand_home(path)


def _write(metric: Metric, folder: Path, encoder: Path | None) -> None:
    """Write a metric as it is now; with everything that belongs to it where it is what was loaded."""
    _check(metric)
    check_destination(folder, overwrite=True)
    loaded = _files_of(metric)
    if _is_unchanged(metric, loaded):
        with replacing_folder(folder) as temporary:
            for name, file in loaded.items():
                (temporary / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(file, temporary / name)
            _check_copy(metric, temporary)
        return
    spec = _spec_of(metric)
    export_metric(
        metric,
        folder,
        spec=spec,
        weights=trained_weights_of(metric, spec),
        card=model_card(spec, source=str(folder)),
        encoder=encoder,
        overwrite=True,
        tolerance=EXACT if spec.encoder.lora is None else MERGED,
    )


def _check(metric: Metric) -> None:
    name, weight = metric.metric_name, next(metric.head.parameters(), next(metric.encoder.parameters(), None))
    if not metric.spec.has_trained_part:
        raise InvalidOptionError(
            f"{name!r} has no trained part, so there is nothing to save: create_metric({name!r}) makes it anywhere."
        )
    if isinstance(metric.encoder, AbsentEncoder) or metric.device.type != "cpu" or weight is None:
        raise InvalidOptionError(
            f"A metric is saved from the CPU with its encoder, so that its copy can be checked: {name!r} is on "
            f"{metric.device.type!r}. Call metric.to('cpu') first, and do not pass embeddings_only=True."
        )
    dtypes = {tensor.dtype for tensor in metric.encoder.parameters() if tensor.is_floating_point()}
    if dtypes != {torch.float32}:
        raise InvalidOptionError(
            f"A metric is saved in float32, and {name!r} computes in {', '.join(sorted(map(str, dtypes)))}. Create it "
            "without dtype= and precision=, and save that."
        )


def _files_of(metric: Metric) -> dict[str, Path]:
    """The files of the exported metric that this one was loaded from, by name; empty for any other metric."""
    lookup = metric.loaded_from
    if lookup is None:
        return {}
    if is_on_hub(lookup.metric):
        repo, _, revision = lookup.metric.removeprefix("hub:").partition("@")
        found = {
            name: find_optional(HubFile(repo=repo, filename=name, revision=revision or "main"), lookup)
            for name in sorted(EXPORTED_FILES)
        }
        return {name: file for name, file in found.items() if file is not None}
    folder = Path(lookup.metric)
    plots = [f"{PLOTS}/{file.name}" for file in sorted((folder / PLOTS).glob("*.png"))]
    return {name: folder / name for name in [*sorted(EXPORTED_FILES), *plots] if (folder / name).is_file()}


def _is_unchanged(metric: Metric, loaded: Mapping[str, Path]) -> bool:
    """Whether a metric is the one in these files: same specification, same head, and no encoder that may train."""
    if not {SPEC_FILE, WEIGHTS_FILE, GOLDEN_FILE} <= loaded.keys() or metric.encoder.may_train:
        return False
    if metric.spec != spec_from_json(loaded[SPEC_FILE].read_text(encoding="utf-8")):
        return False
    stored, held = read_trained(loaded[WEIGHTS_FILE]).head, head_parts(metric)
    return stored.keys() == held.keys() and all(torch.equal(stored[name], held[name]) for name in stored)


def _check_copy(metric: Metric, folder: Path) -> None:
    deviation = largest_deviation(folder, metric)
    if not deviation <= tolerance_of(folder / WEIGHTS_FILE) * metric.spec.score.span:
        raise WeightsError(
            f"{metric.metric_name!r} does not give the scores of the files that it was loaded from (largest difference "
            f"{deviation:.2g}): its encoder was changed in place. Nothing was written. Load it again, and call "
            "metric.requires_grad_(True) before you change its weights."
        )


def _spec_of(metric: Metric) -> MetricSpec:
    """What a metric is now: its encoder goes along where no other file holds it, and no interval was measured."""
    spec, encoder = replace(metric.spec, interval=None), metric.spec.encoder
    baked = encoder.lora is not None and not has_lora(metric.encoder)
    trained = encoder.lora is None and metric.encoder.may_train and not has_lora(metric.encoder)
    if baked or (trained and not spec.head.needs_text_encoder):
        return replace(spec, encoder=replace(encoder, lora=None, in_trained_file=True))
    return spec
