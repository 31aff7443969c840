"""The command `explain`: why a metric gives the scores it gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perceptmetrics.apps.cli.console import foreign, messages, new_table, printable, results
from perceptmetrics.apps.cli.options import (
    DEFAULT_METRIC,
    Label,
    MetricName,
    MetricOptions,
    Output,
    Paths,
    Seed,
    command,
)
from perceptmetrics.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from perceptmetrics.explain import Explanations, Head
    from perceptmetrics.models.encoders import Encoder

__all__ = ["explain"]


@command
def explain(
    images: Paths,
    metric: MetricName = DEFAULT_METRIC,
    method: Annotated[
        Literal["attention", "saliency", "crops", "all"],
        typer.Option(
            help="attention: where heads look. saliency: which pixels the score depends on. crops: which views of the "
            "image raise the score. all: all that the metric allows."
        ),
    ] = "all",
    heads: Annotated[
        str,
        typer.Option(
            metavar="auto|L.H,...|FILE",
            help="Attention heads to show: the strongest for these images, a list of LAYER.HEAD, or the strongest of a "
            ".json file that `perceptmetrics heads` wrote.",
        ),
    ] = "auto",
    head_count: Annotated[int, typer.Option(min=1, help="Number of heads to show for `auto` and for a file.")] = 3,
    label: Label = None,
    show: Annotated[int, typer.Option(min=1, help="Maximum number of images to explain.")] = 12,
    samples: Annotated[
        int, typer.Option(min=1, help="Noisy copies of each image over which saliency is averaged.")
    ] = 8,
    seed: Seed = 0,
    output: Output = None,
    *,
    options: MetricOptions,
) -> int:
    """Show why images get their scores: attention maps, saliency, scores of crops.

    Of more than --show images, those are explained whose predictions the heads change most. Attention is shown beside
    that of the encoder before training, if its weights are on this machine. Files of --output: a page (.html), an
    image for each input (.png, .svg), numbers (.json). Examples:

    - `perceptmetrics explain photo.jpg --output why/`

    - `perceptmetrics explain photos/ -m perceptclip_iqa --heads 22.10,23.4 -o why.html`
    """
    from perceptmetrics.apps.cli.metrics import create_metrics, progress_bar
    from perceptmetrics.apps.cli.output import print_written, report_failures, suggest_output
    from perceptmetrics.explain import METHODS, explain_images
    from perceptmetrics.images.find import find_images
    from perceptmetrics.reports import EXPLAIN_FORMATS, check_explain_output, write_explanations

    found = list(find_images(images))
    if output is not None:
        check_explain_output(output, min(show, len(found)))
    (created,) = create_metrics([metric], options)
    methods = METHODS if method == "all" else (method,)
    pretrained, note = _pretrained(metric, options) if "attention" in methods else (None, "")
    with progress_bar() as tell:
        explanations = explain_images(
            created,
            found,
            methods=methods,
            heads=_chosen_heads(heads, head_count),
            pretrained=pretrained,
            label=label,
            show=show,
            samples=samples,
            seed=seed,
            progress=tell,
        )
    results.print(_table(explanations))
    shows_heads = any(image.heads for image in explanations.images)
    for line in (*explanations.notes, *([note] if note and shows_heads else [])):
        messages.print(printable(line), markup=False)
    if output is None:
        suggest_output(EXPLAIN_FORMATS)
    else:
        print_written(write_explanations(output, explanations))
    return report_failures((image.name, str(image.error)) for image in explanations.failed)


def _chosen_heads(text: str, count: int) -> Sequence[Head] | int:
    from perceptmetrics.explain import parse_heads, read_heads

    if text == "auto":
        return count
    return read_heads(Path(text))[:count] if text.lower().endswith(".json") else parse_heads(text)


def _pretrained(metric: str, options: MetricOptions) -> tuple[Encoder | None, str]:
    """The encoder before training, or a line that says why it is missing."""
    from perceptmetrics.apps.cli.metrics import chosen_device
    from perceptmetrics.factory.create import create_pretrained_encoder

    try:
        encoder = create_pretrained_encoder(
            metric,
            device=chosen_device(options.device),
            checkpoint=options.checkpoint,
            backbone_checkpoint=options.backbone_checkpoint,
            cache_dir=options.cache_dir,
            local_files_only=True,
        )
    except WeightsError as error:
        return None, f"Attention before training is left out: {error}"
    return encoder, ""


def _table(explanations: Explanations) -> Table:
    """Scores, and by how much the heads change them."""
    heads = explanations.images[0].heads
    labels = explanations.labels or ("",)
    numbers = [label or "score" for label in labels]
    numbers += [f"{head.head} {label}".strip() for head in heads for label in labels]
    table = new_table(("image", *numbers), right=numbers, folded=numbers)
    for image in explanations.images:
        scores = [f"{score:.4f}" for score in image.scores.tolist()]
        table.add_row(
            foreign(image.name), *scores, *(f"{value:+.2g}" for head in image.heads for value in head.change.tolist())
        )
    return table
