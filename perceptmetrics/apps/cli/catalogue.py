"""`list`, `info` and `fetch`: what there is, and getting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from perceptmetrics.apps.cli.console import printable, results
from perceptmetrics.factory.options import apply_options, fetch_options, pin_revision
from perceptmetrics.metrics.registry import list_metrics, metric_info
from perceptmetrics.weights.resolve import ResolveOptions, file_sha256, find_cached, resolve, source_url

if TYPE_CHECKING:
    from pathlib import Path

    from perceptmetrics.spec import MetricSpec

__all__ = ["fetch_and_print", "print_card", "print_list"]


def print_list(pattern: str, cache_dir: Path | None) -> None:
    """Print a table of the metrics whose names match a pattern."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("metric", "task", "range", "better", "size", "cached", "weights' licence"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    for name in list_metrics(pattern):
        spec = metric_info(name)
        table.add_row(
            name,
            spec.task,
            spec.score.range_text,
            _better(spec),
            _total_size(spec, cache_dir),
            "yes" if _is_cached(spec, cache_dir) else "no",
            spec.card.licence,
        )
    results.print(table)


def print_card(name: str, cache_dir: Path | None) -> None:
    """Print everything about one metric."""
    spec = metric_info(name)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    labels = ", ".join(spec.score.labels)
    rows = {
        "metric": spec.name,
        "score": spec.card.summary,
        "task": spec.task,
        "range": f"{spec.score.range_text}, {_better(spec)} is better",
        "labels": labels,
        "encoder": f"{spec.backbone.architecture} ({spec.backbone.library})",
        "paper": f"{spec.card.paper}. {spec.card.paper_url}",
        "trained on": spec.card.training_data,
        "limits": spec.card.limits,
        "licence": spec.card.licence,
    }
    for key, value in rows.items():
        if value:
            table.add_row(key, value)
    for source in spec.weight_sources:
        cached = find_cached(source, cache_dir)
        table.add_row("file", f"{source_url(source)} ({_megabytes(source.size)})")
        table.add_row("", f"at {cached}" if cached else f"not on this machine: perceptmetrics fetch {spec.name}")
    results.print(table)


def fetch_and_print(names: list[str], backbone: str | None, revision: str | None, cache_dir: Path | None) -> None:
    """Download and verify the files of metrics."""
    options_of_metric = {} if backbone is None else {"backbone": backbone}
    specs = [pin_revision(apply_options(metric_info(name), options_of_metric), revision) for name in names]
    for spec in specs:
        options = ResolveOptions(metric=spec.name, fetch_options=fetch_options(backbone, revision), cache_dir=cache_dir)
        for source in spec.weight_sources:
            results.print(f"{spec.name}: {source_url(source)}", soft_wrap=True)
            path = resolve(source, options)
            results.print(f"  {printable(str(path))}", soft_wrap=True, markup=False)
            results.print(f"  {path.stat().st_size} bytes, sha256 {file_sha256(path)}", soft_wrap=True)


def _is_cached(spec: MetricSpec, cache_dir: Path | None) -> bool:
    return all(find_cached(source, cache_dir) for source in spec.weight_sources)


def _total_size(spec: MetricSpec, cache_dir: Path | None) -> str:
    sizes = []
    for source in spec.weight_sources:
        cached = find_cached(source, cache_dir)
        sizes.append(cached.stat().st_size if cached else source.size)
    return _megabytes(None if None in sizes else sum(size for size in sizes if size is not None))


def _megabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e6:.1f} MB"


def _better(spec: MetricSpec) -> str:
    return "lower" if spec.lower_better else "higher"
