"""The commands `list`, `info` and `fetch`: which metrics there are, what they mean, and their weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptmetrics.apps.cli.console import foreign, new_table, printable, property_table, results
from perceptmetrics.apps.cli.options import CacheDir, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.spec import MetricSpec, WeightSource

__all__ = ["fetch", "info", "list_metrics"]

_NOT_RECORDED = "not recorded"


@command
def list_metrics(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATTERN]...",
            help="Shell-style patterns, such as 'clip*'; also folders of exported metrics, and hub:ORG/NAME.",
            show_default=False,
        ),
    ] = None,
    commercial: Annotated[
        bool,
        typer.Option(
            "--commercial",
            help="Only metrics whose weights are all known to be under licences that allow commercial use.",
        ),
    ] = False,
    cache_dir: CacheDir = None,
) -> None:
    """List the metrics: task, range, direction, size, whether their weights are on this machine, and licences.

    Those whose weights are known to be free for commercial use come first. Examples:

    - `perceptmetrics list`

    - `perceptmetrics list 'clip*' --commercial`
    """
    from perceptmetrics.weights.resolve import find_cached

    table = new_table(
        ("metric", "task", "range", "better", "size", "cached", "commercial", "weights' licences"),
        right=("size",),
        whole=("metric",),
    )
    specs = _listed(names or [""], cache_dir, commercial=commercial)
    for name, spec in sorted(specs.items(), key=lambda item: not item[1].allows_commercial_use):
        cached = [find_cached(source, cache_dir) for source in spec.weight_sources]
        table.add_row(
            foreign(name),
            spec.task,
            spec.score.range_text,
            _better(spec),
            _total_size(spec, cached),
            "yes" if all(cached) else "no",
            "yes" if spec.allows_commercial_use else "no",
            _licences(spec),
        )
    results.print(table)


@command
def info(
    name: Annotated[
        str,
        typer.Argument(
            help="A metric, as named by `perceptmetrics list`, the folder of an exported one, or hub:ORG/NAME.",
            show_default=False,
        ),
    ],
    cache_dir: CacheDir = None,
) -> None:
    """Show a metric's card: what its score means, paper, training data, limits, licence, files.

    For example:

    - `perceptmetrics info clipiqa+`
    """
    from perceptmetrics.weights.resolve import find_cached, source_url

    spec = _spec_of(name, cache_dir)
    rows = {
        "metric": spec.name,
        "score": spec.card.summary,
        "task": spec.task,
        "range": f"{spec.score.range_text}, {_better(spec)} is better",
        "labels": ", ".join(spec.score.labels),
        "encoder": f"{spec.encoder.architecture} ({spec.encoder.library})",
        "paper": f"{spec.card.paper}. {spec.card.paper_url}",
        "trained on": spec.card.training_data,
        "limits": spec.card.limits,
        "licence": spec.card.licence,
        "commercial": "yes" if spec.allows_commercial_use else "no, as far as the licences of its weights are known",
    }
    shown = [(key, value) for key, value in rows.items() if value]
    for source in spec.weight_sources:
        cached = find_cached(source, cache_dir)
        shown.append(("file", f"{source_url(source)} ({_megabytes(source.size)})"))
        shown.append(("", _terms(source)))
        shown.append(("", f"at {cached}" if cached else f"not on this machine: perceptmetrics fetch {name}"))
    results.print(property_table(shown))


@command
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Metrics whose weights to download; also folders of exported ones, and hub:ORG/NAME.",
            show_default=False,
        ),
    ],
    backbone: Annotated[
        str | None,
        typer.Option(help="Encoder to use with backbone= later, such as ViT-L-14.", show_default=False),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Another revision of the metric's Hub repository.", show_default=False)
    ] = None,
    cache_dir: CacheDir = None,
) -> None:
    """Download the weights of metrics, verify them, and print address, size and sha256.

    Afterwards the metrics work offline. Set HF_ENDPOINT to download from a mirror. Examples:

    - `perceptmetrics fetch clipiqa`

    - `perceptmetrics fetch perceptclip_iqa --cache-dir weights`
    """
    from perceptmetrics.factory.options import apply_options, pin_revision
    from perceptmetrics.weights.resolve import ResolveOptions, file_sha256, resolve, source_url

    options_of_metric = {} if backbone is None else {"backbone": backbone}
    specs = [pin_revision(apply_options(_spec_of(name, cache_dir), options_of_metric), revision) for name in names]
    for spec in specs:
        options = ResolveOptions(metric=spec.name, backbone=backbone, revision=revision, cache_dir=cache_dir)
        for source in spec.weight_sources:
            results.print(f"{spec.name}: {source_url(source)}", soft_wrap=True)
            path = resolve(source, options)
            results.print(f"  {printable(str(path))}", soft_wrap=True, markup=False)
            results.print(f"  {path.stat().st_size} bytes, sha256 {file_sha256(path)}", soft_wrap=True)


def _listed(names: Sequence[str], cache_dir: Path | None, *, commercial: bool) -> dict[str, MetricSpec]:
    """The metrics that patterns match, and those in folders or on the Hub, each once."""
    from perceptmetrics.metrics.registry import list_metrics

    found: dict[str, MetricSpec] = {}
    for name in names:
        registered = list_metrics(name, commercial=commercial)
        if registered or not (name.startswith("hub:") or Path(name).is_dir()) or not name:
            found |= {one: _spec_of(one, cache_dir) for one in registered}
            continue
        spec = _spec_of(name, cache_dir)
        found |= {name: spec} if spec.allows_commercial_use or not commercial else {}
    return found


def _spec_of(name: str, cache_dir: Path | None) -> MetricSpec:
    """What a name stands for: a registered metric, or one in a folder or on the Hub, whose weights that brings too."""
    from perceptmetrics.metrics.registry import list_metrics, metric_info

    if name in list_metrics():
        return metric_info(name)
    from perceptmetrics.factory.folder import find_spec
    from perceptmetrics.factory.recognise import is_weight_file, recognise
    from perceptmetrics.weights.resolve import ResolveOptions

    if is_weight_file(name):
        return recognise(name).spec
    spec, _ = find_spec(ResolveOptions(metric=name, cache_dir=cache_dir))
    return spec


def _licences(spec: MetricSpec) -> str:
    """The licences of all weights, each once, those of the trained part first."""
    own = [_NOT_RECORDED] if spec.has_trained_part and spec.trained_file is None else []
    found = [_NOT_RECORDED if file.licence is None else file.licence.spdx for file in spec.weight_sources]
    return ", ".join(dict.fromkeys([*own, *reversed(found)]))


def _terms(source: WeightSource) -> str:
    licence = source.licence
    if licence is None:
        return f"licence {_NOT_RECORDED}"
    return f"licence {licence.spdx}: {licence.evidence} ({licence.checked})"


def _total_size(spec: MetricSpec, cached: list[Path | None]) -> str:
    found = zip(spec.weight_sources, cached, strict=True)
    sizes = [path.stat().st_size if path else source.size for source, path in found]
    return _megabytes(None if None in sizes else sum(size for size in sizes if size is not None))


def _megabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e6:.1f} MB"


def _better(spec: MetricSpec) -> str:
    return "lower" if spec.lower_better else "higher"
