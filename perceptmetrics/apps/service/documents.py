"""Schemas of the answers, from which FastAPI derives the OpenAPI description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from perceptmetrics.errors import MissingExtraError

try:
    from pydantic import BaseModel, Field
except ImportError as error:
    raise MissingExtraError("The HTTP service", "serve") from error

if TYPE_CHECKING:
    from perceptmetrics.spec import MetricSpec

__all__ = ["ImageScores", "MetricCard", "Problem", "ProblemDetail", "ScoreAnswer", "State", "card_of"]


class ImageScores(BaseModel):
    """One image with its scores."""

    name: str = Field(description="File name as sent.")
    scores: dict[str, float | dict[str, float]] = Field(
        description="By metric: a number, or numbers by label for metrics with labels."
    )


class ScoreAnswer(BaseModel):
    """Scores of all images of a request, in the order sent."""

    images: list[ImageScores]


class MetricCard(BaseModel):
    """What a metric's scores mean."""

    name: str
    task: str
    summary: str
    lower: float | None = Field(description="Lowest score; null if unbounded.")
    upper: float | None = Field(description="Highest score; null if unbounded.")
    strict_range: bool = Field(description="Whether scores cannot lie outside the range.")
    higher_is_better: bool
    labels: list[str] = Field(description="Names of the scores, for metrics with several; else empty.")
    are_probabilities: bool = Field(description="Whether the scores are probabilities that sum to 1.")
    licence: str
    paper: str
    paper_url: str
    training_data: str
    limits: str


class State(BaseModel):
    """State of the service."""

    status: Literal["ok", "ready"]


class ProblemDetail(BaseModel):
    """What was wrong."""

    expected: str
    got: str
    fix: str


class Problem(BaseModel):
    """Answer to a refused request."""

    error: ProblemDetail


def card_of(spec: MetricSpec) -> MetricCard:
    """The card of a metric."""
    score, card = spec.score, spec.card
    return MetricCard(
        name=spec.name,
        task=spec.task,
        summary=card.summary,
        lower=score.lower,
        upper=score.upper,
        strict_range=score.strict_range,
        higher_is_better=score.higher_is_better,
        labels=list(score.labels),
        are_probabilities=score.map.gives_probabilities,
        licence=card.licence,
        paper=card.paper,
        paper_url=card.paper_url,
        training_data=card.training_data,
        limits=card.limits,
    )
