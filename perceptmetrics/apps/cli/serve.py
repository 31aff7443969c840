"""The command `serve`. What needs PyTorch is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from perceptmetrics.apps.cli.arguments import MetricNames, Precision
from perceptmetrics.apps.cli.console import messages

__all__ = ["serve"]


def serve(
    metric: MetricNames = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8000,
    max_request_mb: Annotated[float, typer.Option(help="Most megabytes of a request.")] = 32.0,
    max_images: Annotated[int, typer.Option(min=1, help="Most images of a request.")] = 16,
    max_pixels: Annotated[int, typer.Option(min=1, help="Most pixels of an image.")] = 25_000_000,
    max_waiting: Annotated[int, typer.Option(min=1, help="Most images in work at a time; beyond it: 503.")] = 64,
    time_limit: Annotated[float, typer.Option(help="Seconds after which a request is given up.")] = 60.0,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most images of one size to score together. Default: 1 on a processor, where a score is then the same "
            "to the last bit whatever else is asked, and 8 on a GPU.",
            show_default=False,
        ),
    ] = None,
    max_wait_ms: Annotated[
        float, typer.Option(min=0, help="Milliseconds for which an image may wait for others to share its batch.")
    ] = 5.0,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode images.")] = 2,
    device: Annotated[str, typer.Option(help="'auto' (a CUDA GPU if there is one), 'cpu', 'cuda:1', 'mps'.")] = "auto",
    precision: Annotated[
        Precision | None,
        typer.Option(help="int8: faster on a processor, scores shift a little.", show_default=False),
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of downloaded weights. Default: the Hugging Face cache.", show_default=False),
    ] = None,
) -> None:
    """Serve scores over HTTP: images in by POST, scores out as JSON.

    SIGTERM or Ctrl-C stops it when the requests that it is answering are finished. Examples:

    - `perceptmetrics serve`

    - `perceptmetrics serve -m lite_iqa -m clipiqa --port 9000`

    - `curl -F images=@photo.jpg -F metrics=lite_iqa http://127.0.0.1:8000/score`
    """
    from perceptmetrics.apps.cli.experiment_metrics import chosen_device
    from perceptmetrics.apps.service import ServiceSettings, serve
    from perceptmetrics.factory.create import create_metric

    settings = ServiceSettings(
        max_request_bytes=int(max_request_mb * 1e6),
        max_images=max_images,
        max_pixels=max_pixels,
        max_waiting_images=max_waiting,
        time_limit=time_limit,
        batch_size=batch_size,
        max_wait=max_wait_ms / 1000,
        workers=workers,
    )
    metrics = [
        create_metric(
            name,
            device=chosen_device(device),
            precision=precision.value if precision else None,
            cache_dir=cache_dir,
        )
        for name in dict.fromkeys(metric or ["lite_iqa"])
    ]
    serve(
        metrics,
        settings,
        host=host,
        port=port,
        on_listening=lambda address: messages.print(f"Serving on {address} (Ctrl-C stops it).", markup=False),
    )
