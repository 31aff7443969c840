"""The commands `study make` and `study score`: pairs of images for people to choose from, and how a metric agrees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptmetrics.apps.cli.console import (
    foreign,
    format_interval,
    messages,
    new_table,
    printable,
    property_table,
    results,
)
from perceptmetrics.apps.cli.options import (
    DEFAULT_METRIC,
    Label,
    MetricName,
    Output,
    Paths,
    ScoringOptions,
    Seed,
    command,
)
from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from rich.table import Table

    from perceptmetrics.experiments import Agreement, Study

__all__ = ["make_study", "score_study"]


@command
def make_study(
    images: Paths,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the study.", show_default=False)],
    pairs: Annotated[int, typer.Option(min=1, help="Number of pairs.")] = 40,
    question: Annotated[str, typer.Option(help="Question that people are asked.")] = "Which image looks better?",
    max_side: Annotated[int, typer.Option(min=64, help="Shrink larger images to this side length, in pixels.")] = 1024,
    seed: Seed = 0,
    metric: MetricName = DEFAULT_METRIC,
    label: Label = None,
    *,
    options: ScoringOptions,
) -> int:
    """Choose pairs with a wide range of score differences and write a page that records choices.

    Writes pairs.csv, which you keep, and study.html, which you give to the participants. Example:

    - `perceptmetrics study make photos/ --pairs 40 -o study/`
    """
    from perceptmetrics.apps.cli.metrics import create_metrics, scorer_with_progress
    from perceptmetrics.apps.cli.output import report_failures
    from perceptmetrics.experiments import make_study as choose_pairs
    from perceptmetrics.images.find import find_images
    from perceptmetrics.reports import check_study_folder, write_study

    check_study_folder(output)
    found = list(find_images(images))
    (created,) = create_metrics([metric], options)
    scorer = scorer_with_progress(options)
    study = choose_pairs(created, found, pairs=pairs, seed=seed, label=label, scorer=scorer)
    page, table = write_study(output, study, question=printable(question), max_side=max_side)
    results.print(_study_table(study))
    if len(study.pairs) < pairs:
        messages.print(f"There are only {len(study.pairs)} pairs of these images.", markup=False)
    messages.print(f"For the participants: {printable(str(page))}", markup=False)
    messages.print(f"Keep for `perceptmetrics study score`: {printable(str(table))}", markup=False)
    return report_failures((row.name, str(row.error)) for row in study.failed)


@command
def score_study(
    pairs: Annotated[Path, typer.Argument(help="The pairs.csv of the study.", show_default=False)],
    choices: Annotated[list[Path], typer.Argument(help="Files that participants saved.", show_default=False)],
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", help="Score the images again, with another metric.", show_default=False),
    ] = None,
    label: Label = None,
    output: Output = None,
    *,
    options: ScoringOptions,
) -> int:
    """Compare the metric's choices with those of people, with exact intervals.

    Files of --output: plot (.png, .svg, .pdf), agreement (.csv, .json). Example:

    - `perceptmetrics study score study/pairs.csv choices-*.csv -o agreement/`
    """
    from perceptmetrics.apps.cli.output import check_before, finish
    from perceptmetrics.experiments import read_choices, read_pairs, rescore
    from perceptmetrics.experiments import score_study as agreement_of
    from perceptmetrics.reports import AGREEMENT_FORMATS, agreement_makers

    check_before(output, AGREEMENT_FORMATS)
    study = read_pairs(pairs)
    answers = read_choices(choices, study)
    if metric is not None:
        from perceptmetrics.apps.cli.metrics import create_metrics, scorer_with_progress

        study = rescore(study, *create_metrics([metric], options), label=label, scorer=scorer_with_progress(options))
    elif label is not None or options.prompts is not None:
        raise InvalidOptionError("--label and --prompts go with --metric, which scores the images again.")
    agreement = agreement_of(study, answers)
    results.print(_agreement_table(agreement))
    results.print(
        f"{agreement.column}; sign test p = {agreement.p_value:.3g}; left out: {agreement.undecided} undecided, "
        f"{agreement.ties} on equal scores",
        markup=False,
        soft_wrap=True,
    )
    return finish(output, "agreement", agreement_makers(agreement), ())


def _study_table(study: Study) -> Table:
    differences = [pair.difference for pair in study.pairs]
    images = {image for pair in study.pairs for image in (pair.left, pair.right)}
    return property_table(
        (
            ("study", study.identity),
            ("pairs", str(len(study.pairs))),
            ("images", str(len(images))),
            ("score", study.column),
            ("differences", f"{min(differences):.4f} to {max(differences):.4f}"),
        )
    )


def _agreement_table(agreement: Agreement) -> Table:
    """Fractions of choices that agree, with their intervals."""
    numbers = ("agree", "of", "fraction", "95 % interval")
    table = new_table(("choices of people", *numbers), right=numbers, folded=numbers)
    rows = [agreement.overall]
    rows += [agreement.majority] if agreement.majority is not None and len(agreement.participants) > 1 else []
    for row in (*rows, *agreement.by_difference, *agreement.participants):
        name = f"score difference {row.name}" if row in agreement.by_difference else row.name
        interval = format_interval(row.interval, ".1%")
        table.add_row(foreign(name), str(row.agreed), str(row.count), f"{row.fraction:.1%}", interval)
    return table
