"""The forms of the answers, from which the OpenAPI description follows."""

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
    """An image with its scores."""

    name: str = Field(description="Name of the file as it was sent.")
    scores: dict[str, float | dict[str, float]] = Field(
        description="By metric: a number, or numbers by label for a metric with labels."
    )


class ScoreAnswer(BaseModel):
    """The scores of all images of a request, in the order in which they were sent."""

    images: list[ImageScores]


class MetricCard(BaseModel):
    """What the scores of a metric mean."""

    name: str
    task: str
    summary: str
    lower: float | None = Field(description="Lowest score; null when it is unbounded.")
    upper: float | None = Field(description="Highest score; null when it is unbounded.")
    strict_range: bool = Field(description="Whether no score can lie outside.")
    higher_is_better: bool
    labels: list[str] = Field(description="Names of the scores of a metric with several; else empty.")
    are_probabilities: bool = Field(description="Whether the labels share a probability of 1.")
    licence: str
    paper: str
    paper_url: str
    training_data: str
    limits: str


class State(BaseModel):
    """How the service is."""

    status: Literal["ok", "ready"]


class ProblemDetail(BaseModel):
    """What was wrong."""

    expected: str
    got: str
    fix: str


class Problem(BaseModel):
    """The answer to a request that is not carried out."""

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
