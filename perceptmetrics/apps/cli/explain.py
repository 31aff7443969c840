"""`explain` and `heads`: why a metric gives the scores it gives. What needs PyTorch is imported when a command runs."""

from enum import Enum
from typing import Annotated

import typer

from perceptmetrics.apps.cli import arguments as given

__all__ = ["add_explanations"]


class ExplainWith(str, Enum):
    """Ways to explain a score."""

    attention = "attention"
    saliency = "saliency"
    crops = "crops"
    all = "all"


class Importance(str, Enum):
    """Ways to find the importance of heads."""

    exact = "exact"
    screened = "screened"
    gradient = "gradient"


def add_explanations(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (explain, heads):
        app.command()(command)


@given.explanation
def explain(
    images: given.Paths,
    metric: given.MetricName = "lite_iqa",
    method: Annotated[
        ExplainWith,
        typer.Option(
            help="attention: where heads look. saliency: which pixels the score depends on. crops: which views of the "
            "image raise the score. all: whatever the metric allows."
        ),
    ] = ExplainWith.all,
    heads: Annotated[
        str,
        typer.Option(
            metavar="auto|L.H,...|FILE",
            help="Heads to look at: the strongest for these images, some by LAYER.HEAD, or the strongest of a .json "
            "that `perceptmetrics heads` wrote.",
        ),
    ] = "auto",
    head_count: Annotated[int, typer.Option(min=1, help="How many heads `auto` and a file stand for.")] = 3,
    label: given.Label = None,
    show: Annotated[int, typer.Option(min=1, help="Most images to explain.")] = 12,
    samples: Annotated[
        int, typer.Option(min=1, help="Noisy copies of an image whose gradients make its saliency.")
    ] = 8,
    seed: given.Seed = 0,
    output: given.Output = None,
    *,
    how: given.How,
) -> int:
    """Show why images get their scores: attention maps, saliency, scores of crops.

    Of more than --show images, those are explained whose predictions the heads change most. Attention stands beside
    that of the encoder before training, where its weights are on this machine. Files of --output: a page (.html), a
    picture for each image (.png, .svg), numbers (.json). Examples:

    - `perceptmetrics explain photo.jpg --output why/`

    - `perceptmetrics explain photos/ -m perceptclip_iqa --heads 22.10,23.4 -o why.html`
    """
    from perceptmetrics.apps.cli.explain_runs import run_explain

    return run_explain(
        metric,
        how,
        images,
        method=method.value,
        heads=heads,
        head_count=head_count,
        label=label,
        show=show,
        samples=samples,
        seed=seed,
        output=output,
    )


@given.explanation
def heads(
    folder: given.Paths,
    metric: given.MetricName = "perceptclip_iqa",
    method: Annotated[
        Importance,
        typer.Option(
            help="exact: each head by itself, hours for many images without a GPU. gradient: an estimate of all heads, "
            "in about five passes an image. screened: the estimate, then the strongest eighth exactly."
        ),
    ] = Importance.screened,
    top: Annotated[int, typer.Option(min=1, help="How many of the strongest heads to print.")] = 12,
    output: given.Output = None,
    *,
    how: given.How,
) -> int:
    """Rank the attention heads of a metric by how much the scores of images depend on them.

    Files of --output: a page (.html), a heat map (.png, .svg, .pdf), all heads (.csv, .json). Examples:

    - `perceptmetrics heads photos/ -m perceptclip_iqa --output heads/`

    - `perceptmetrics explain photos/ -m perceptclip_iqa --heads heads/heads.json`
    """
    from perceptmetrics.apps.cli.explain_runs import run_heads

    return run_heads(metric, how, folder, method=method.value, top=top, output=output)
