"""The command `convert`: trained weights as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from perceptmetrics.apps.cli.console import messages, printable, results
from perceptmetrics.apps.cli.options import Overwrite, command

__all__ = ["convert"]


@command
def convert(
    source: Annotated[
        Path,
        typer.Argument(help="A released file (.pth), or the folder of an exported or converted metric.", metavar="SRC"),
    ],
    destination: Annotated[Path, typer.Argument(help="Folder to write.", metavar="DST")],
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            "-m",
            help="Metric that the file belongs to, if its name does not identify it.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Literal["slim", "merged"],
        typer.Option("--format", help="slim: adapters and head only; needs the encoder. merged: everything."),
    ] = "slim",
    half: Annotated[bool, typer.Option("--half", help="Store a merged encoder in float16.")] = False,
    overwrite: Overwrite = False,
    backbone_checkpoint: Annotated[
        Path | None,
        typer.Option(help="Encoder weights of a slim source: a local file or folder.", show_default=False),
    ] = None,
) -> None:
    """Convert trained weights to safetensors: 11.6 MB of adapters and head, or one file with everything.

    The folder holds `model.safetensors`, `spec.json` and `golden.safetensors` (images and their scores). Before it
    appears, it is read back and compared with the source. Examples:

    - `perceptmetrics convert perceptCLIP_IQA.pth iqa-slim`

    - `perceptmetrics convert iqa-slim iqa-merged --format merged --half`
    """
    from perceptmetrics.export.convert import convert as convert_weights

    with messages.status(f"Converting {printable(str(source))}"):
        converted = convert_weights(
            source, destination, metric=metric, format=form, half=half, overwrite=overwrite, encoder=backbone_checkpoint
        )
    for file in sorted(converted.folder.iterdir()):
        results.print(f"{printable(str(file))}  {file.stat().st_size / 1e6:.3f} MB", markup=False, soft_wrap=True)
    results.print(
        f"{converted.spec.name}, {form}: its scores differ from the source's by at most {converted.deviation:.1e}."
    )
