"""What each route of the service does."""

from __future__ import annotations

import asyncio
import io
from typing import IO, TYPE_CHECKING, Annotated, Any

from perceptmetrics._util.text import printable
from perceptmetrics.apps.service.documents import ImageScores, MetricCard, Problem, ScoreAnswer, State, card_of
from perceptmetrics.apps.service.flow_grpo import read_request, refused_answer, reward_answer
from perceptmetrics.apps.service.problems import Refused
from perceptmetrics.apps.service.queue import Scores, ScoringQueue
from perceptmetrics.apps.service.uploads import Admission, area_of, decode, image_refused
from perceptmetrics.errors import InvalidImageError, InvalidOptionError, MissingExtraError
from perceptmetrics.images.options import common_decoding

try:
    from anyio import CapacityLimiter, to_thread
    from fastapi import FastAPI, File, Form, Request, Response, UploadFile
except ImportError as error:
    raise MissingExtraError("The HTTP service", "serve") from error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from perceptmetrics.apps.service.settings import ServiceSettings
    from perceptmetrics.models.metric import Metric

__all__ = ["Handlers"]

_PROBLEMS = {
    401: "The service has a token, and the request does not state it.",
    400: "The body is not a form, or the Host is not a name of the service.",
    403: "A page of another site sent the request.",
    408: "The request arrived too slowly.",
    413: "The request or one of its images is too large.",
    422: "An image cannot be decoded or scored, or the service does not offer a metric.",
    503: "The service is busy; try again after `Retry-After` seconds.",
}
_NAME_LENGTH = 120
_REASON_LENGTH = 300
_PROMPT_LENGTH = 2_000  # characters; CLIP reads 75 tokens


class Handlers:
    """The scoring queue and the handlers of the routes."""

    def __init__(self, metrics: Sequence[Metric], settings: ServiceSettings) -> None:
        self.settings = settings
        self.queue = ScoringQueue(
            metrics,
            batch_size=settings.batch_size,
            batch_pixels=settings.batch_pixels,
            max_wait=settings.max_wait,
        )
        self.cards = [card_of(metric.spec) for metric in metrics]
        self._decoding = common_decoding(metric.decoding for metric in metrics)
        self._decoders = CapacityLimiter(settings.workers)
        self._admission = Admission(settings.max_waiting_images, settings.max_waiting_pixels)

    def add_routes(self, app: FastAPI) -> None:
        """Register the methods below as handlers."""
        problems: dict[int | str, dict[str, Any]] = {
            status: {"model": Problem, "description": text} for status, text in _PROBLEMS.items()
        }
        for path, summary, statuses, answer in (
            ("/health", "Is the process alive?", (400,), self.health),
            ("/ready", "Are the models warm?", (400, 503), self.ready),
            ("/metrics", "List the metrics: range, direction, labels, card", (400,), self.list_cards),
        ):
            # The first route answers, the second only describes: HEAD would be a second operation of the same name.
            app.api_route(path, methods=["GET", "HEAD"], include_in_schema=False)(answer)
            app.get(path, summary=summary, responses={status: problems[status] for status in statuses})(answer)
        app.post("/score", summary="Score images", responses=problems)(self.score)

    def add_rewards(self, app: FastAPI) -> None:
        """Answer the clients of Flow-GRPO's reward servers; see `flow_grpo`.

        Raises:
            InvalidOptionError: A metric gives several scores, and a reward is one.
        """
        labelled = [card.name for card in self.cards if len(card.labels) > 1]
        if labelled:
            raise InvalidOptionError(f"A reward is one number, and {', '.join(labelled)} gives several. Leave it out.")
        app.post("/", include_in_schema=False)(self.reward)

    async def reward(self, request: Request) -> Response:
        """Score the images of a pickled request with all metrics; of all rewards, higher is better."""
        try:
            asked = await to_thread.run_sync(read_request, await request.body(), limiter=self._decoders)
            names = [f"image {index}" for index in range(len(asked.images))]
            rows = await self.scored(list(map(io.BytesIO, asked.images)), names, self.queue.names, asked.prompts)
        except Refused as refused:
            return refused_answer(refused)
        signs = {card.name: 1 if card.higher_is_better else -1 for card in self.cards}
        return reward_answer({name: [signs[name] * _number(row[name]) for row in rows] for name in self.queue.names})

    async def health(self) -> State:
        """Say that the process is alive."""
        return State(status="ok")

    async def ready(self) -> State:
        """Say whether the models are warm."""
        if not self.queue.is_warm:
            raise Refused(
                503,
                expected="models that are warm",
                got="models that are still warming up",
                fix="Ask again shortly.",
                retry_after=1,
            )
        return State(status="ready")

    async def list_cards(self) -> list[MetricCard]:
        """List the metrics."""
        return self.cards

    async def score(
        self,
        images: Annotated[list[UploadFile], File(description="One or more images.", min_length=1)],
        metrics: Annotated[
            list[str] | None, Form(description="Metrics to score with, see /metrics. Default: the first.")
        ] = None,
        prompts: Annotated[
            list[str] | None,
            Form(description="For metrics that compare images with prompts: that of each image, or one for all."),
        ] = None,
    ) -> ScoreAnswer:
        """Score all images of a request, or none of them."""
        names = [_name(upload, index) for index, upload in enumerate(images)]
        rows = await self.scored([upload.file for upload in images], names, self._chosen(metrics), prompts)
        return ScoreAnswer(images=[ImageScores(name=name, scores=row) for name, row in zip(names, rows, strict=True)])

    async def scored(
        self, files: Sequence[IO[bytes]], names: Sequence[str], chosen: Sequence[str], prompts: Sequence[str] | None
    ) -> list[Scores]:
        """Score encoded images, all or none of them.

        Raises:
            Refused: There are too many, one cannot be decoded or scored, there is no room, or prompts are missing.
        """
        if len(files) > self.settings.max_images:
            raise Refused(
                413,
                expected=f"at most {self.settings.max_images} images per request",
                got=f"{len(files)}",
                fix="Send several requests.",
            )
        own = self._prompts(prompts, len(files), chosen)
        areas = [
            await to_thread.run_sync(area_of, file, name, self.settings.max_pixels, limiter=self._decoders)
            for file, name in zip(files, names, strict=True)
        ]
        with self._admission.admit(areas):
            return await self._rows(files, names, own, chosen)

    def _prompts(self, prompts: Sequence[str] | None, count: int, chosen: Sequence[str]) -> list[str]:
        """The prompt of each image; empty ones where no metric reads them."""
        reading = [name for name in chosen if name in self.queue.prompted]
        if not reading:
            return [""] * count
        if not prompts or len(prompts) not in (1, count):
            raise Refused(
                422,
                expected=f"a prompt for each of {count} images, or one for all, since {', '.join(reading)} reads them",
                got=f"{len(prompts or ())}",
                fix="Send the form field 'prompts' once for each image.",
            )
        if (longest := max(map(len, prompts))) > _PROMPT_LENGTH:
            raise Refused(
                422,
                expected=f"prompts of at most {_PROMPT_LENGTH} characters",
                got=f"one of {longest}",
                fix="Shorten it.",
            )
        return list(prompts) * (count if len(prompts) == 1 else 1)

    def _chosen(self, metrics: Sequence[str] | None) -> list[str]:
        for name in metrics or ():
            if name not in self.queue.names:
                raise Refused(
                    422,
                    expected=f"metrics from {', '.join(self.queue.names)}",
                    got=printable(name)[:_NAME_LENGTH],
                    fix="GET /metrics describes them.",
                )
        return list(metrics or self.queue.names[:1])

    async def _rows(
        self, files: Sequence[IO[bytes]], names: Sequence[str], prompts: Sequence[str], chosen: Sequence[str]
    ) -> list[Scores]:
        """Decode and score; each image is scored while the next one is decoded."""
        futures: list[Future[Scores]] = []
        rows = []
        try:
            for file, name, prompt in zip(files, names, prompts, strict=True):
                pixels = await to_thread.run_sync(decode, file, name, self._decoding, limiter=self._decoders)
                futures.append(self.queue.submit(pixels, chosen, prompt))
            for future, name in zip(futures, names, strict=True):
                try:
                    rows.append(await asyncio.wrap_future(future))
                except InvalidImageError as error:
                    raise image_refused(name, error) from error
                except InvalidOptionError as error:
                    raise _prompt_refused(name, error) from error
        finally:
            for future in futures:  # useless once one has failed, or once nobody waits for them
                future.cancel()
        return rows


def _number(score: float | dict[str, float]) -> float:
    return next(iter(score.values())) if isinstance(score, dict) else score


def _prompt_refused(name: str, error: InvalidOptionError) -> Refused:
    return Refused(
        422,
        expected="prompts that the metrics can read",
        got=f"{name}: {printable(str(error))}"[:_REASON_LENGTH],
        fix="Send a shorter or another prompt.",
    )


def _name(upload: UploadFile, index: int) -> str:
    return printable(upload.filename or f"image {index}")[:_NAME_LENGTH]
