"""What the commands of the papers' experiments do: call the library, print, write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics.apps.cli import experiment_tables as tables
from perceptmetrics.apps.cli.console import messages, printable, results
from perceptmetrics.apps.cli.endings import check_before, finish, name_all, report_failures
from perceptmetrics.apps.cli.experiment_metrics import create_metrics, scorer_with_progress
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.experiments import (
    attribute_profiles,
    climb_ladders,
    compare_folders,
    correlate,
    make_study,
    rank_images,
    read_choices,
    read_pairs,
    read_ratings,
    rescore,
    score_study,
)
from perceptmetrics.experiments.adjust import ADJUSTMENTS, adjustment
from perceptmetrics.images.find import find_images
from perceptmetrics.reports import (
    AGREEMENT_FORMATS,
    ATTRIBUTE_FORMATS,
    COMPARE_FORMATS,
    CORRELATE_FORMATS,
    LADDER_FORMATS,
    RANK_FORMATS,
    agreement_makers,
    attribute_makers,
    check_study_folder,
    compare_makers,
    correlate_makers,
    ladder_makers,
    rank_makers,
    write_study,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.apps.cli.arguments import How

__all__ = [
    "run_attributes",
    "run_compare",
    "run_correlate",
    "run_ladder",
    "run_rank",
    "run_study_make",
    "run_study_score",
]

PAPER_ATTRIBUTES = ("quality", "brightness", "noisiness", "colorfulness", "sharpness", "contrast")


def run_rank(
    metric: str, how: How, paths: list[str], *, top: int, title: str | None, label: str | None, output: Path | None
) -> int:
    """Carry out `rank`."""
    check_before(output, RANK_FORMATS)
    images = list(find_images(paths))
    (created,) = create_metrics([metric], how)
    ranking = rank_images(created, images, label=label, scorer=scorer_with_progress(how, messages))
    results.print(tables.ranking_table(ranking, top))
    shown = title if title is not None else f"Best and worst of {', '.join(Path(path).name or path for path in paths)}"
    return finish(output, "rank", rank_makers(ranking, top=top, title=printable(shown)), ranking.failed)


def run_attributes(names: Sequence[str], how: How, paths: list[str], *, title: str, output: Path | None) -> int:
    """Carry out `attributes`."""
    check_before(output, ATTRIBUTE_FORMATS)
    images = list(find_images(paths))
    metrics = create_metrics(names, how, PAPER_ATTRIBUTES)
    profiles = attribute_profiles(metrics, images, scorer=scorer_with_progress(how, messages))
    results.print(tables.attribute_table(profiles))
    return finish(output, "attributes", attribute_makers(profiles, title=title), profiles.failed)


def run_compare(
    metric: str, how: How, folder_a: Path, folder_b: Path, *, label: str | None, seed: int, output: Path | None
) -> int:
    """Carry out `compare`."""
    check_before(output, COMPARE_FORMATS)
    (created,) = create_metrics([metric], how)
    scorer = scorer_with_progress(how, messages)
    comparison = compare_folders(created, folder_a, folder_b, label=label, seed=seed, scorer=scorer)
    results.print(tables.comparison_table(comparison))
    for side, alone in (("A", comparison.only_a), ("B", comparison.only_b)):
        name_all(f"Only in {side}", alone)
    makers = compare_makers(comparison, names=(str(folder_a), str(folder_b)))
    return finish(output, "compare", makers, comparison.failed)


def run_ladder(
    metric: str,
    how: How,
    paths: list[str],
    attributes: list[str],
    *,
    steps: int,
    label: str | None,
    output: Path | None,
) -> int:
    """Carry out `ladder`."""
    check_before(output, LADDER_FORMATS)
    images = list(find_images(paths))
    chosen = [adjustment(attribute) for attribute in attributes or ADJUSTMENTS]
    (created,) = create_metrics([metric], how, [item.prompt for item in chosen])
    ladders = climb_ladders(
        created,
        images,
        [item.attribute for item in chosen],
        steps=steps,
        label=label,
        scorer=scorer_with_progress(how, messages),
    )
    results.print(tables.ladder_table(ladders))
    return finish(output, "ladder", ladder_makers(ladders), ladders.failed)


def run_correlate(
    names: Sequence[str],
    how: How,
    ratings_file: Path,
    *,
    images: Path | None,
    columns: list[str] | None,
    image_column: str | None,
    seed: int,
    output: Path | None,
) -> int:
    """Carry out `correlate`."""
    check_before(output, CORRELATE_FORMATS)
    ratings = read_ratings(ratings_file, images, image_column=image_column, columns=columns)
    metrics = create_metrics(names, how)
    correlations = correlate(metrics, ratings, seed=seed, scorer=scorer_with_progress(how, messages))
    results.print(tables.correlation_table(correlations))
    name_all("Rated, but there is no such file, or more than one of that name", correlations.missing)
    status = finish(output, "correlate", correlate_makers(correlations), correlations.failed)
    return 1 if correlations.missing else status


def run_study_make(
    metric: str,
    how: How,
    paths: list[str],
    output: Path,
    *,
    pairs: int,
    question: str,
    max_side: int,
    seed: int,
    label: str | None,
) -> int:
    """Carry out `study make`."""
    check_study_folder(output)
    images = list(find_images(paths))
    (created,) = create_metrics([metric], how)
    scorer = scorer_with_progress(how, messages)
    study = make_study(created, images, pairs=pairs, seed=seed, label=label, scorer=scorer)
    page, table = write_study(output, study, question=printable(question), max_side=max_side)
    results.print(tables.study_table(study))
    if len(study.pairs) < pairs:
        messages.print(f"There are only {len(study.pairs)} pairs of these images.", markup=False)
    messages.print(f"For the participants: {printable(str(page))}", markup=False)
    messages.print(f"Keep for `perceptmetrics study score`: {printable(str(table))}", markup=False)
    return report_failures(study.failed)


def run_study_score(
    metric: str | None, how: How, pairs: Path, choices: list[Path], *, label: str | None, output: Path | None
) -> int:
    """Carry out `study score`."""
    check_before(output, AGREEMENT_FORMATS)
    study = read_pairs(pairs)
    answers = read_choices(choices, study)
    if metric is not None:
        study = rescore(study, *create_metrics([metric], how), label=label, scorer=scorer_with_progress(how, messages))
    elif label is not None or how.prompts is not None:
        raise InvalidOptionError("--label and --prompts go with --metric, which scores the images anew.")
    agreement = score_study(study, answers)
    results.print(tables.agreement_table(agreement))
    results.print(tables.agreement_summary(agreement), markup=False, soft_wrap=True)
    return finish(output, "agreement", agreement_makers(agreement), ())
