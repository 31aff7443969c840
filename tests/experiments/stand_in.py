"""Metrics with known scores, so that what an experiment should find is known too."""

from __future__ import annotations

from perceptmetrics.scoring.results import ScoredImage
from tests.support.mean_colour_metric import tiny_metric


def known_scores(scores, failed=()):
    """A scorer that looks scores up by file name: a number, or one number per column."""

    def scorer(metrics, sources):
        from perceptmetrics.scoring.stream import score_columns

        columns = score_columns(metrics)
        for source in sources:
            name = str(source)
            key = name.rpartition("/")[2]
            if key in failed:
                yield ScoredImage(name, error=f"{name} is broken.")
                continue
            numbers = scores[key] if key in scores else scores[name]
            numbers = numbers if isinstance(numbers, tuple) else (numbers,)
            yield ScoredImage(name, dict(zip(columns, numbers, strict=True)))

    return scorer


def metric(**options):
    """A metric named `tiny`; its own scores do not matter where `known_scores` is used."""
    return tiny_metric(**options)


def touch(folder, *names):
    """Empty files; they are never opened."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder
