"""What `explain` and `heads` do: call the library, print, write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from perceptmetrics.apps.cli.cells import foreign, new_table
from perceptmetrics.apps.cli.console import messages, printable, results
from perceptmetrics.apps.cli.endings import check_before, finish, report_failures
from perceptmetrics.apps.cli.experiment_metrics import chosen_device, create_metrics, progress_bar
from perceptmetrics.errors import WeightsError
from perceptmetrics.explain import (
    METHODS,
    create_pretrained_encoder,
    explain_images,
    head_importance,
    parse_heads,
    read_heads,
)
from perceptmetrics.images.find import find_images
from perceptmetrics.reports import (
    EXPLAIN_FORMATS,
    HEADS_FORMATS,
    check_explain_output,
    heads_makers,
    write_explanations,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from perceptmetrics.apps.cli.arguments import How
    from perceptmetrics.explain import ExplainMethod, Explanations, Head, HeadImportance, ImportanceMethod
    from perceptmetrics.models.encoders import Backbone

__all__ = ["run_explain", "run_heads"]


def run_explain(
    metric: str,
    how: How,
    paths: list[str],
    *,
    method: str,
    heads: str,
    head_count: int,
    label: str | None,
    show: int,
    samples: int,
    seed: int,
    output: Path | None,
) -> int:
    """Carry out `explain`."""
    images = list(find_images(paths))
    if output is not None:
        check_explain_output(output, min(show, len(images)))
    (created,) = create_metrics([metric], how)
    methods = METHODS if method == "all" else (cast("ExplainMethod", method),)
    pretrained, note = _pretrained(metric, how) if "attention" in methods else (None, "")
    with progress_bar(messages) as tell:
        explanations = explain_images(
            created,
            images,
            methods=methods,
            heads=_chosen_heads(heads, head_count),
            pretrained=pretrained,
            label=label,
            show=show,
            samples=samples,
            seed=seed,
            progress=tell,
        )
    results.print(_explanation_table(explanations))
    for line in (*explanations.notes, *([note] if note and any(image.heads for image in explanations.images) else [])):
        messages.print(printable(line), markup=False)
    if output is None:
        messages.print(f"Add --output FOLDER for {', '.join('.' + form for form in EXPLAIN_FORMATS)}.", markup=False)
    else:
        for path in write_explanations(output, explanations):
            messages.print(f"Wrote {printable(str(path))}.", markup=False)
    return report_failures(explanations.failed)


def run_heads(metric: str, how: How, paths: list[str], *, method: str, top: int, output: Path | None) -> int:
    """Carry out `heads`."""
    check_before(output, HEADS_FORMATS)
    images = list(find_images(paths))
    (created,) = create_metrics([metric], how)
    with progress_bar(messages) as tell:
        importance = head_importance(
            created, images, method=cast("ImportanceMethod", method), progress=lambda share: tell("heads", share)
        )
    results.print(_heads_table(importance, top))
    return finish(output, "heads", heads_makers(importance), importance.failed)


def _chosen_heads(text: str, count: int) -> Sequence[Head] | int:
    if text == "auto":
        return count
    return read_heads(Path(text))[:count] if text.lower().endswith(".json") else parse_heads(text)


def _pretrained(metric: str, how: How) -> tuple[Backbone | None, str]:
    """The encoder before training, or a line that says why there is none."""
    try:
        encoder = create_pretrained_encoder(
            metric,
            device=chosen_device(how.device),
            checkpoint=how.checkpoint,
            backbone_checkpoint=how.backbone_checkpoint,
            cache_dir=how.cache_dir,
            local_files_only=True,
        )
    except WeightsError as error:
        return None, f"Attention before training is left out: {error}"
    return encoder, ""


def _explanation_table(explanations: Explanations) -> Table:
    """Scores, and what the heads change."""
    heads = explanations.images[0].heads
    labels = explanations.labels or ("",)
    changes = [f"{head.head} {label}".strip() for head in heads for label in labels]
    table = new_table(("image",), (*(label or "score" for label in labels), *changes))
    for image in explanations.images:
        scores = [f"{score:.4f}" for score in image.scores.tolist()]
        table.add_row(
            foreign(image.name), *scores, *(f"{value:+.2g}" for head in image.heads for value in head.change.tolist())
        )
    return table


def _heads_table(importance: HeadImportance, top: int) -> Table:
    """The strongest heads."""
    signed = importance.labels or ("",)
    table = new_table(("head",), ("importance", "exact", *(f"signed {label}".strip() for label in signed)))
    for head in importance.strongest(top):
        cells = [f"{importance.importance[head]:.3g}", "yes" if importance.exact[head] else "no"]
        table.add_row(str(head), *cells, *(f"{value:+.2g}" for value in importance.signed[head].tolist()))
    return table
