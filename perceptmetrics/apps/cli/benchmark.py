"""`benchmark`: metrics against a data set. What needs PyTorch or Matplotlib is imported when the command runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from perceptmetrics.apps.cli import arguments as given

__all__ = ["benchmark"]


@given.experiment
def benchmark(
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="A data set, as named by `perceptmetrics dataset list`.")
    ],
    root: Annotated[Path, typer.Option("--root", "-r", help="The folder into which it was unpacked.")],
    metric: given.MetricNames = None,
    splits: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Of how many splits to look at the test part; 0 for the whole set only. Default: as its papers do.",
            show_default=False,
        ),
    ] = None,
    cross: Annotated[
        str | None, typer.Option(help="Another data set, taken whole: how do the metrics transfer?", show_default=False)
    ] = None,
    cross_root: Annotated[Path | None, typer.Option(help="Its folder.", show_default=False)] = None,
    missing: Annotated[
        Literal["error", "skip"], typer.Option(help="Whether labelled images without a file are left out.")
    ] = "error",
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE: an option of the data set, such as columns=mos; repeat for another.", show_default=False
        ),
    ] = None,
    cross_option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: an option of the other data set.", show_default=False)
    ] = None,
    seed: given.Seed = 0,
    output: given.Output = None,
    *,
    how: given.How,
) -> int:
    """Set metrics against the labels of a data set: SRCC, PLCC, KRCC, errors; or accuracy, mAP, F1.

    A metric is a registered name or the folder of an exported one. Files of --output: page (.html), plot (.png, .svg,
    .pdf), predictions for each image (.csv), all figures (.json). Examples:

    - `perceptmetrics benchmark -m lite_iqa -d livec -r ChallengeDB_release/ -o livec/`

    - `perceptmetrics benchmark -m runs/mine -d csv -r photos/ --option columns=mos --option lower=1 --option upper=5`
    """
    from perceptmetrics.apps.cli.benchmark_run import DatasetRequest, run_benchmark

    main = DatasetRequest(name=dataset, root=root, options=option or [])
    other = None if cross is None else DatasetRequest(name=cross, root=cross_root, options=cross_option or [])
    if other is None and (cross_root is not None or cross_option):
        raise typer.BadParameter("--cross-root and --cross-option go with --cross.")
    return run_benchmark(
        metric or ["lite_iqa"], how, main, other, splits=splits, missing=missing, seed=seed, output=output
    )
