"""The HTTP application: addresses and what they answer."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from perceptmetrics._util.text import printable
from perceptmetrics._util.version import __version__
from perceptmetrics.apps.service.admission import Admission
from perceptmetrics.apps.service.documents import ImageScores, MetricCard, Problem, ScoreAnswer, State, card_of
from perceptmetrics.apps.service.guard import Guard
from perceptmetrics.apps.service.problems import Refused, answer_problems
from perceptmetrics.apps.service.queue import Scores, ScoringQueue
from perceptmetrics.apps.service.reading import area_of, decode, image_refused
from perceptmetrics.apps.service.settings import ServiceSettings
from perceptmetrics.errors import InvalidImageError, MissingExtraError
from perceptmetrics.reports.pages import render_page

try:
    from anyio import CapacityLimiter, to_thread
    from fastapi import FastAPI, File, Form, UploadFile
    from fastapi.responses import HTMLResponse
except ImportError as error:
    raise MissingExtraError("The HTTP service", "serve") from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from concurrent.futures import Future

    from perceptmetrics.models.metric import Metric

__all__ = ["create_app"]

_PROBLEMS = {
    400: "The body is no form.",
    408: "The request came too slowly.",
    413: "The request, or an image of it, is too large.",
    422: "An image cannot be decoded or scored, or a metric is not served.",
    503: "Too much to do; try again after `Retry-After` seconds.",
}
_NAME_SHOWN = 120


def create_app(metrics: Sequence[Metric], settings: ServiceSettings | None = None) -> FastAPI:
    """Make the application.

    Args:
        metrics: The metrics to serve; the first is the default.
        settings: Limits; None for the usual ones.

    Returns:
        An ASGI application. A thread that scores is started and stopped by its lifespan.

    Raises:
        InvalidOptionError: There is no metric, a name occurs twice, or the metrics are on several devices.

    Example:
        >>> import perceptmetrics
        >>> app = create_app([perceptmetrics.create_metric("lite_iqa")])
        >>> sorted(app.openapi()["paths"])
        ['/health', '/metrics', '/ready', '/score']
    """
    settings = settings or ServiceSettings()
    service = _Service(metrics, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.queue.start()
        try:
            yield
        finally:
            await to_thread.run_sync(service.queue.close)

    app = FastAPI(
        title="perceptmetrics",
        summary="Scores how people perceive images.",
        version=__version__,
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Guard, settings=settings)
    answer_problems(app)
    service.add_routes(app)
    page = render_page("service.html", title="perceptmetrics", cards=service.cards, settings=settings).decode()

    @app.get("/", include_in_schema=False, response_class=HTMLResponse)
    async def show_page() -> str:
        return page

    return app


class _Service:
    """The queue and the addresses around it."""

    def __init__(self, metrics: Sequence[Metric], settings: ServiceSettings) -> None:
        self.settings = settings
        self.queue = ScoringQueue(
            metrics,
            batch_size=settings.batch_size,
            batch_pixels=settings.batch_pixels,
            max_wait=settings.max_wait,
        )
        self.cards = [card_of(metric.spec) for metric in metrics]
        self._decoders = CapacityLimiter(settings.workers)
        self._admission = Admission(settings.max_waiting_images, settings.max_waiting_pixels)

    def add_routes(self, app: FastAPI) -> None:
        """Bind the methods below to their addresses."""
        problems: dict[int | str, dict[str, Any]] = {
            status: {"model": Problem, "description": text} for status, text in _PROBLEMS.items()
        }
        app.get("/health", summary="Whether the process answers")(self.health)
        app.get("/ready", summary="Whether the models are warm", responses={503: problems[503]})(self.ready)
        app.get("/metrics", summary="The metrics: range, direction, labels, card")(self.list_cards)
        app.post("/score", summary="Score images", responses=problems)(self.score)

    async def health(self) -> State:
        return State(status="ok")

    async def ready(self) -> State:
        if not self.queue.is_warm:
            raise Refused(
                503,
                expected="warm models",
                got="models that are warming up",
                fix="Ask again a little later.",
                retry_after=1,
            )
        return State(status="ready")

    async def list_cards(self) -> list[MetricCard]:
        return self.cards

    async def score(
        self,
        images: Annotated[list[UploadFile], File(description="One or several images.", min_length=1)],
        metrics: Annotated[
            list[str] | None, Form(description="Metrics to score with, see /metrics; without it, the first.")
        ] = None,
    ) -> ScoreAnswer:
        """Score all images of a request, or none of them."""
        chosen = self._chosen(metrics)
        if len(images) > self.settings.max_images:
            raise Refused(
                413,
                expected=f"at most {self.settings.max_images} images in a request",
                got=f"{len(images)}",
                fix="Send several requests.",
            )
        names = [_name(upload, place) for place, upload in enumerate(images)]
        areas = [
            await to_thread.run_sync(area_of, upload.file, name, self.settings.max_pixels, limiter=self._decoders)
            for upload, name in zip(images, names, strict=True)
        ]
        with self._admission.admit(areas):
            rows = await self._rows(images, names, chosen)
        return ScoreAnswer(images=[ImageScores(name=name, scores=row) for name, row in zip(names, rows, strict=True)])

    def _chosen(self, metrics: Sequence[str] | None) -> list[str]:
        for name in metrics or ():
            if name not in self.queue.names:
                raise Refused(
                    422,
                    expected=f"metrics among {', '.join(self.queue.names)}",
                    got=printable(name)[:_NAME_SHOWN],
                    fix="GET /metrics describes them.",
                )
        return list(metrics or self.queue.names[:1])

    async def _rows(self, images: Sequence[UploadFile], names: Sequence[str], chosen: Sequence[str]) -> list[Scores]:
        """Decode and score; an image is scored while the next is decoded."""
        futures: list[Future[Scores]] = []
        rows = []
        try:
            for upload, name in zip(images, names, strict=True):
                pixels = await to_thread.run_sync(decode, upload.file, name, limiter=self._decoders)
                futures.append(self.queue.submit(pixels, chosen))
            for future, name in zip(futures, names, strict=True):
                try:
                    rows.append(await asyncio.wrap_future(future))
                except InvalidImageError as error:
                    raise image_refused(name, error) from error
        finally:
            for future in futures:  # of no use once one has failed, or when nobody waits any more
                future.cancel()
        return rows


def _name(upload: UploadFile, place: int) -> str:
    return printable(upload.filename or f"image {place}")[:_NAME_SHOWN]
