"""The command `serve`: scores over HTTP."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from perceptmetrics.apps.cli.console import messages
from perceptmetrics.apps.cli.options import DEFAULT_METRIC, CacheDir, Device, Host, Icc, MetricNames, Precision, command
from perceptmetrics.errors import InvalidOptionError, first_line

__all__ = ["serve"]


class Protocol(str, Enum):
    """What the service answers."""

    JSON = "json"
    FLOW_GRPO = "flow-grpo"


@command
def serve(
    metric: MetricNames = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free port.")] = 8000,
    max_request_mb: Annotated[float, typer.Option(help="Maximum size of a request, in megabytes.")] = 32.0,
    max_images: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Maximum number of images per request. Default: 16; 64 for flow-grpo, as its clients send.",
            show_default=False,
        ),
    ] = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="Maximum number of pixels per image.")] = 25_000_000,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="Maximum number of images in progress; more are refused with 503.")
    ] = 64,
    max_connections: Annotated[
        int, typer.Option(min=1, help="Maximum number of open connections, at most half of `ulimit -n`.")
    ] = 256,
    time_limit: Annotated[float, typer.Option(help="Timeout of a request, in seconds.")] = 60.0,
    slow_client_limit: Annotated[
        float,
        typer.Option(
            help="How long a client may take to send headers, leave an answer unread, or send its body at less than "
            "10 kB per second, in seconds."
        ),
    ] = 10.0,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Host name that requests may be addressed to, such as iqa.example.org or *.example.org, besides "
            "localhost and numerical addresses; repeat for more; '*' allows any. Default: no other name when listening "
            "on a loopback address, any name otherwise.",
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="json: forms are answered by JSON, at /score. flow-grpo: beside that, POST / answers the clients of "
            "Flow-GRPO's reward servers, whose pickles are read without running anything."
        ),
    ] = Protocol.JSON,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a token that requests must state: 'Authorization: Bearer TOKEN'. Default: the variable "
            "PERCEPTMETRICS_TOKEN, if it is set.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Maximum number of images (of equal size) per batch. Default: 1 on the CPU, where scores then do not "
            "depend on other requests, and 8 on a GPU.",
            show_default=False,
        ),
    ] = None,
    max_wait_ms: Annotated[
        float, typer.Option(min=0, help="How long an image may wait for others to share its batch, in milliseconds.")
    ] = 5.0,
    workers: Annotated[int, typer.Option(min=1, help="Decoding threads.")] = 2,
    device: Device = "auto",
    precision: Precision = None,
    cache_dir: CacheDir = None,
    icc: Icc = "convert",
) -> None:
    """Serve scores over HTTP: POST images, receive scores as JSON.

    On SIGTERM or Ctrl-C it answers the requests in progress, then stops. Examples:

    - `perceptmetrics serve`

    - `perceptmetrics serve -m lite_iqa -m clipiqa --port 9000`

    - `perceptmetrics serve -m pickscore --protocol flow-grpo --port 18085`

    - `curl -F images=@photo.jpg -F metrics=lite_iqa http://127.0.0.1:8000/score`
    """
    from perceptmetrics.apps.cli.metrics import chosen_device
    from perceptmetrics.apps.service import ServiceSettings
    from perceptmetrics.apps.service import serve as serve_metrics
    from perceptmetrics.factory.create import create_metric

    settings = ServiceSettings(
        max_request_bytes=int(max_request_mb * 1e6),
        max_images=max_images or (64 if protocol is Protocol.FLOW_GRPO else 16),
        max_pixels=max_pixels,
        max_waiting_images=max_waiting,
        max_connections=max_connections,
        slow_client_limit=slow_client_limit,
        allowed_hosts=tuple(allowed_host) if allowed_host else None,
        time_limit=time_limit,
        batch_size=batch_size,
        max_wait=max_wait_ms / 1000,
        workers=workers,
        flow_grpo=protocol is Protocol.FLOW_GRPO,
        token=_token(token_file),
    )
    metrics = [
        create_metric(name, device=chosen_device(device), precision=precision, cache_dir=cache_dir, icc=icc)
        for name in dict.fromkeys(metric or [DEFAULT_METRIC])
    ]
    serve_metrics(
        metrics,
        settings,
        host=host,
        port=port,
        on_listening=lambda address: messages.print(f"Serving on {address} (Ctrl-C stops it).", markup=False),
    )


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get("PERCEPTMETRICS_TOKEN") or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidOptionError(f"The token cannot be read from {file}: {first_line(error)}.") from error
