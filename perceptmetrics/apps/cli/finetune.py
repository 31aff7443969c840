"""The command `finetune`. What needs PyTorch is imported when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from perceptmetrics.apps.cli.console import fail

__all__ = ["finetune"]


def finetune(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe, see --list, or a YAML file of your own.", show_default=False)
    ] = None,
    root: Annotated[
        list[str] | None,
        typer.Option(help="Folder of the data set; with several, NAME=FOLDER for each.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a key of the recipe, such as lr=1e-4; repeat.", show_default=False),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="Train on this data set instead of the recipe's; repeat for several.", show_default=False),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE: an option of the data set, such as columns=mos; repeat for another, or for a list of "
            "values. Of one data set among several: DATASET.NAME=VALUE.",
            show_default=False,
        ),
    ] = None,
    missing: Annotated[
        Literal["error", "skip"], typer.Option(help="Whether labelled images without a file are an error.")
    ] = "error",
    list_recipes: Annotated[bool, typer.Option("--list", help="List the recipes and exit.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    plots: Annotated[
        list[str] | None,
        typer.Option(
            help="Write the report's plots into plots/ of the run's folder as well: png, svg or pdf; repeat.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="'auto' (a GPU if there is one), 'cpu', 'cuda', 'mps'.")] = "auto",
    backbone_checkpoint: Annotated[
        Path | None, typer.Option(help="The encoder's weights from a file or folder.", show_default=False)
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of downloaded weights. Default: the Hugging Face cache.", show_default=False),
    ] = None,
) -> None:
    """Train a metric on human labels: a published recipe, or one's own.

    Several processes share the work when `torchrun` or `accelerate launch` starts them. Examples:

    - `perceptmetrics finetune --list`

    - `perceptmetrics finetune perceptclip_koniq10k --root KonIQ-10k --output runs/koniq --set lr=1e-4`

    - `perceptmetrics finetune lite_quality --dataset csv --root my_photos --option columns=mos -o runs/mine`
    """
    from perceptmetrics.apps.cli.finetune_run import print_recipes, run_finetune

    if list_recipes:
        print_recipes()
        return
    if recipe is None:
        fail("Name a recipe (perceptmetrics finetune --list shows them), or a YAML file.")
    try:
        run_finetune(
            recipe,
            roots=root or [],
            output=output,
            settings=settings or [],
            names=dataset or [],
            options=option or [],
            missing=missing,
            dry_run=dry_run,
            resume=resume,
            plots=plots or [],
            device=None if device == "auto" else device,
            backbone_checkpoint=backbone_checkpoint,
            cache_dir=cache_dir,
        )
    except KeyboardInterrupt:
        fail("Interrupted. The run goes on from where it was with --resume.", status=130)
