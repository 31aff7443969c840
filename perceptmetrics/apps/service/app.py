"""The HTTP application: its routes, and `serve`, which runs it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from perceptmetrics._util.version import __version__
from perceptmetrics.apps.connections import ConnectionLimits
from perceptmetrics.apps.server import run_server
from perceptmetrics.apps.service.guard import Guard
from perceptmetrics.apps.service.handlers import Handlers
from perceptmetrics.apps.service.hosts import HostCheck, is_loopback
from perceptmetrics.apps.service.problems import answer_problems
from perceptmetrics.apps.service.settings import ServiceSettings
from perceptmetrics.apps.service.token import TokenCheck
from perceptmetrics.errors import MissingExtraError
from perceptmetrics.reports.pages import render_page

try:
    from anyio import to_thread
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse
except ImportError as error:
    raise MissingExtraError("The HTTP service", "serve") from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from perceptmetrics.models.metric import Metric

__all__ = ["create_app", "serve"]

_STOP_SECONDS = 5


def create_app(metrics: Sequence[Metric], settings: ServiceSettings | None = None) -> FastAPI:
    """Create the application.

    Args:
        metrics: The metrics to serve; the first is the default.
        settings: Limits; None for the defaults.

    Returns:
        An ASGI application. Its lifespan starts and stops the scoring thread.

    Raises:
        InvalidOptionError: There is no metric, a name occurs twice, the metrics are on several devices, or one that is
            to give rewards has several scores.

    Examples:
        >>> import perceptmetrics
        >>> app = create_app([perceptmetrics.create_metric("lite_iqa")])
        >>> sorted(app.openapi()["paths"])
        ['/health', '/metrics', '/ready', '/score']
    """
    settings = settings or ServiceSettings()
    service = Handlers(metrics, settings)

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
    if settings.token is not None:
        app.add_middleware(TokenCheck, token=settings.token)
    app.add_middleware(HostCheck, allowed=settings.allowed_hosts)
    answer_problems(app)
    service.add_routes(app)
    if settings.flow_grpo:
        service.add_rewards(app)
    page = render_page("service.html", title="perceptmetrics", cards=service.cards, settings=settings).decode()

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False, response_class=HTMLResponse)
    async def show_page() -> str:
        return page

    return app


def serve(
    metrics: Sequence[Metric],
    settings: ServiceSettings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve metrics over HTTP until SIGTERM or SIGINT; requests in progress are answered first.

    Args:
        metrics: The metrics; the first is the default.
        settings: Limits.
        host: Address to listen on. The default accepts connections from this machine only. There is no encryption, so
            put a proxy that provides it in front before you open any other address, and ask for a token.
        port: Port to listen on; 0 for any free port.
        on_listening: Called with the URL of the service once it listens.

    Raises:
        InvalidOptionError: The address is not available, or see `create_app`.
    """
    if settings.allowed_hosts is None and is_loopback(host):
        settings = replace(settings, allowed_hosts=())
    limits = ConnectionLimits(max_connections=settings.max_connections, slow_client_limit=settings.slow_client_limit)
    run_server(
        create_app(metrics, settings),
        host=host,
        port=port,
        stop_seconds=int(settings.time_limit) + _STOP_SECONDS,
        limits=limits,
        on_listening=on_listening,
    )
