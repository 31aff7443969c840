"""The command `demo`: a page to try metrics on in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perceptmetrics.apps.cli.console import messages
from perceptmetrics.apps.cli.options import CacheDir, Device, Host, Icc, command

__all__ = ["demo"]


@command
def demo(
    folder: Annotated[
        list[Path] | None, typer.Argument(help="Folders of exported metrics to offer as well.", show_default=False)
    ] = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free port.")] = 7860,
    max_file_mb: Annotated[float, typer.Option(min=0.001, help="Maximum size of an image file, in megabytes.")] = 20.0,
    max_pixels: Annotated[int, typer.Option(min=1, help="Maximum number of pixels per image.")] = 25_000_000,
    max_images: Annotated[int, typer.Option(min=1, help="Maximum number of images at a time.")] = 8,
    max_stored_mb: Annotated[
        float, typer.Option(min=0.001, help="Maximum size of all stored uploads, in megabytes; then the oldest go.")
    ] = 500.0,
    max_stored_files: Annotated[int, typer.Option(min=1, help="Maximum number of stored uploads.")] = 1000,
    root_path: Annotated[
        str,
        typer.Option(
            help="Path below which a proxy serves the page, such as /iqa, or its address, such as "
            "https://example.org/iqa. Default: what the proxy says in X-Forwarded-Prefix.",
            show_default=False,
        ),
    ] = "",
    device: Device = "auto",
    cache_dir: CacheDir = None,
    icc: Icc = "convert",
) -> None:
    """Open a page to try metrics on in the browser: scores, explanations, two images side by side.

    It works offline, with the metrics whose weights are on this machine. Example:

    - `perceptmetrics demo --port 7861`
    """
    from perceptmetrics.apps.cli.metrics import chosen_device
    from perceptmetrics.apps.demo import DemoLimits, Studio, offers
    from perceptmetrics.apps.demo.app import run_demo

    limits = DemoLimits(
        max_bytes=int(max_file_mb * 1e6),
        max_pixels=max_pixels,
        max_images=max_images,
        max_stored_bytes=int(max_stored_mb * 1e6),
        max_stored_files=max_stored_files,
    )
    studio = Studio(offers(folder or [], cache_dir), limits, chosen_device(device), icc)
    run_demo(
        studio,
        host=host,
        port=port,
        root_path=root_path,
        on_listening=lambda address: messages.print(f"Open {address} (Ctrl-C stops it).", markup=False),
    )
