"""`convert`: trained weights as safetensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.apps.cli.console import messages, printable, results
from perceptmetrics.export.convert import Form, convert

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["convert_and_print"]


def convert_and_print(
    source: Path,
    destination: Path,
    *,
    metric: str | None,
    form: Form,
    half: bool,
    overwrite: bool,
    encoder: Path | None,
) -> None:
    """Convert, and print what was written."""
    with messages.status(f"Converting {printable(str(source))}"):
        converted = convert(
            source, destination, metric=metric, form=form, half=half, overwrite=overwrite, encoder=encoder
        )
    for file in sorted(converted.folder.iterdir()):
        results.print(f"{printable(str(file))}  {file.stat().st_size / 1e6:.3f} MB", markup=False, soft_wrap=True)
    results.print(
        f"{converted.spec.name}, {form}: its scores differ from the source's by at most {converted.deviation:.1e}."
    )
