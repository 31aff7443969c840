"""Commands of the papers' experiments. What needs PyTorch or Matplotlib is imported when a command runs."""

from pathlib import Path
from typing import Annotated

import typer

from perceptmetrics.apps.cli import arguments as given

__all__ = ["add_experiments"]

study_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


def add_experiments(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (rank, attributes, compare, ladder, correlate):
        app.command()(command)
    app.add_typer(study_app, name="study", help="Pairs of images for people to choose from, and how a metric agrees.")


@given.experiment
def rank(
    folder: given.Paths,
    metric: given.MetricName = "lite_iqa",
    top: Annotated[int, typer.Option(min=1, help="How many of the best and of the worst to show.")] = 12,
    title: Annotated[str | None, typer.Option(help="Title of page and picture.", show_default=False)] = None,
    label: given.Label = None,
    output: given.Output = None,
    *,
    how: given.How,
) -> int:
    """Show the best and the worst images of a folder.

    Files of --output: a page (.html), a picture (.png, .pdf), all scores (.csv, .json). Examples:

    - `perceptmetrics rank photos/ --output ranking/`

    - `perceptmetrics rank photos/ -m clipiqa --prompts scary -o scary.html`
    """
    from perceptmetrics.apps.cli.experiment_runs import run_rank

    return run_rank(metric, how, folder, top=top, title=title, label=label, output=output)


@given.experiment
def attributes(
    images: given.Paths,
    metric: given.MetricNames = None,
    title: Annotated[str, typer.Option(help="Title of the plot.", show_default=False)] = "",
    output: given.Output = None,
    *,
    how: given.How,
) -> int:
    """Set several scores of images side by side, in a table and a radar plot.

    The metric must give several scores; clipiqa without --prompts gives six of its paper. Several metrics with one
    score each work too. Files of --output: plot (.png, .svg, .pdf), .csv, .json. Example:

    - `perceptmetrics attributes a.jpg b.jpg -m clipiqa --prompts quality,brightness,sharpness -o radar.svg`
    """
    from perceptmetrics.apps.cli.experiment_runs import run_attributes

    return run_attributes(metric or ["lite_iqa"], how, images, title=title, output=output)


@given.experiment
def compare(
    folder_a: Annotated[Path, typer.Argument(help="Folder A.", show_default=False)],
    folder_b: Annotated[Path, typer.Argument(help="Folder B, with images of the same names.", show_default=False)],
    metric: given.MetricName = "lite_iqa",
    label: given.Label = None,
    seed: given.Seed = 0,
    output: given.Output = None,
    *,
    how: given.How,
) -> int:
    """Compare images of equal names in two folders: win rate, mean difference, sign test.

    Files of --output: plot (.png, .svg, .pdf), scores of the pairs (.csv), result (.json). Example:

    - `perceptmetrics compare restored/ blurred/ -o comparison/`
    """
    from perceptmetrics.apps.cli.experiment_runs import run_compare

    return run_compare(metric, how, folder_a, folder_b, label=label, seed=seed, output=output)


@given.experiment
def ladder(
    images: given.Paths,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute", "-a", help="brightness, noise, colour, contrast or sharpness; repeat. Default: all."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=3, help="Number of steps.")] = 7,
    metric: given.MetricName = "lite_iqa",
    label: given.Label = None,
    output: given.Output = None,
    *,
    how: given.How,
) -> int:
    """Change attributes of images step by step and correlate the steps with the score.

    A metric that takes prompts is asked about the very attribute that changes, unless --prompts says otherwise. Files
    of --output: plot (.png, .svg, .pdf), scores (.csv), correlations (.json). Example:

    - `perceptmetrics ladder photo.jpg --attribute sharpness --attribute noise -o ladder/`
    """
    from perceptmetrics.apps.cli.experiment_runs import run_ladder

    return run_ladder(metric, how, images, attribute or [], steps=steps, label=label, output=output)


@given.experiment
def correlate(
    ratings: Annotated[
        Path, typer.Argument(help="CSV with a column of image names and columns of ratings.", show_default=False)
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder of the images. Default: that of the CSV.", show_default=False),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Columns of ratings, with commas. Default: all that hold numbers.", show_default=False),
    ] = None,
    image_column: Annotated[
        str | None, typer.Option(help="Column of image names. Default: image, name, file ...", show_default=False)
    ] = None,
    metric: given.MetricNames = None,
    seed: given.Seed = 0,
    output: given.Output = None,
    *,
    how: given.How,
) -> int:
    """Correlate scores with human ratings: SRCC, PLCC before and after a logistic fit, KRCC.

    Files of --output: scatter plot (.png, .svg, .pdf), points (.csv), coefficients (.json). Example:

    - `perceptmetrics correlate ratings.csv --images photos/ -m clipiqa --prompts aesthetic,happy -o correlation/`
    """
    from perceptmetrics.apps.cli.experiment_runs import run_correlate

    chosen = None if columns is None else [column.strip() for column in columns.split(",")]
    return run_correlate(
        metric or ["lite_iqa"],
        how,
        ratings,
        images=images,
        columns=chosen,
        image_column=image_column,
        seed=seed,
        output=output,
    )


@study_app.command("make")
@given.experiment
def study_make(
    folder: given.Paths,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the study.", show_default=False)],
    pairs: Annotated[int, typer.Option(min=1, help="Number of pairs.")] = 40,
    question: Annotated[str, typer.Option(help="What people are asked.")] = "Which image looks better?",
    max_side: Annotated[int, typer.Option(min=64, help="Show larger images shrunk to this side, in pixels.")] = 1024,
    seed: given.Seed = 0,
    metric: given.MetricName = "lite_iqa",
    label: given.Label = None,
    *,
    how: given.How,
) -> int:
    """Choose pairs with a wide range of score differences and write a page that records choices.

    Writes pairs.csv, which you keep, and study.html, which you give to the participants. Example:

    - `perceptmetrics study make photos/ --pairs 40 -o study/`
    """
    from perceptmetrics.apps.cli.experiment_runs import run_study_make

    return run_study_make(
        metric, how, folder, output, pairs=pairs, question=question, max_side=max_side, seed=seed, label=label
    )


@study_app.command("score")
@given.experiment
def study_score(
    pairs: Annotated[Path, typer.Argument(help="The pairs.csv of the study.", show_default=False)],
    choices: Annotated[list[Path], typer.Argument(help="Files that participants saved.", show_default=False)],
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", help="Score the images anew with another metric.", show_default=False),
    ] = None,
    label: given.Label = None,
    output: given.Output = None,
    *,
    how: given.How,
) -> int:
    """Compare the metric's choices with those of people, with exact intervals.

    Files of --output: plot (.png, .svg, .pdf), shares (.csv, .json). Example:

    - `perceptmetrics study score study/pairs.csv choices-*.csv -o agreement/`
    """
    from perceptmetrics.apps.cli.experiment_runs import run_study_score

    return run_study_score(metric, how, pairs, choices, label=label, output=output)
