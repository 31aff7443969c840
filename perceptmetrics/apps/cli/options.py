"""Options that several commands share, each declared once, and `command`, which turns a function into a command.

Imports nothing heavy, so that `--help` is instant.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import nullcontext
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer
from typer.core import TyperCommand

from perceptmetrics.apps.cli.console import fail, import_torch
from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

__all__ = [
    "DEFAULT_METRIC",
    "BackboneCheckpoint",
    "BatchSize",
    "CacheDir",
    "CheckedCommand",
    "Checkpoint",
    "Confusion",
    "DatasetOptions",
    "Device",
    "EmbeddingOptions",
    "EncoderOptions",
    "Host",
    "Icc",
    "ImageColumn",
    "KeyColumn",
    "Label",
    "MaxImagePixels",
    "MetricName",
    "MetricNames",
    "MetricOptions",
    "Output",
    "OutsidePaths",
    "Overwrite",
    "Paths",
    "Precision",
    "PromptOptions",
    "ScoringOptions",
    "Seed",
    "Workers",
    "command",
]

DEFAULT_METRIC = "lite_iqa"

Paths = Annotated[list[str], typer.Argument(help="Images, folders or patterns.", show_default=False)]
MetricName = Annotated[
    str, typer.Option("--metric", "-m", help="Metric to score with, or the folder of an exported one.")
]
MetricNames = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        "-m",
        help=f"Metric to score with, or the folder of an exported one; repeat for several. Default: {DEFAULT_METRIC}.",
        show_default=False,
    ),
]
Label = Annotated[
    str | None, typer.Option(help="Label to use, for metrics with several labelled scores.", show_default=False)
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder for all result files, or a single file whose suffix selects the format.",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed.")]
DatasetOptions = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=VALUE: option of the data set, such as columns=mos; repeat for more, or for a list of values.",
        show_default=False,
    ),
]
Confusion = Annotated[
    str | None,
    typer.Option(
        help="TRUE=PREDICTED, such as awe=contentment: the page also shows images of one class that are taken for "
        "another.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(help="'auto' (a CUDA GPU if there is one), 'cpu', 'cuda:1' or 'mps'.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Maximum number of images (of equal size) per batch.")]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Decoding threads. Default: one per CPU core, at most 8.", show_default=False),
]
ImageColumn = Annotated[
    str | None, typer.Option(help="Parquet, CSV: column with the images. Default: detected.", show_default=False)
]
KeyColumn = Annotated[
    str | None,
    typer.Option(
        help="Parquet, CSV: column with their names. Default: the row number, in a CSV the path.", show_default=False
    ),
]
OutsidePaths = Annotated[
    bool,
    typer.Option(
        "--outside-paths", help="Parquet, CSV: also read paths and addresses outside the folder of the table."
    ),
]
Precision = Annotated[
    Literal["int8"] | None,
    typer.Option(help="int8: faster on the CPU; scores change slightly.", show_default=False),
]
BackboneCheckpoint = Annotated[
    Path | None,
    typer.Option(help="Encoder weights: a local file or folder instead of the Hub.", show_default=False),
]
Checkpoint = Annotated[
    Path | None, typer.Option(help="The metric's own trained weights: a local file or folder.", show_default=False)
]
CacheDir = Annotated[
    Path | None,
    typer.Option(help="Folder for downloaded weights. Default: the Hugging Face cache.", show_default=False),
]
Icc = Annotated[
    Literal["convert", "ignore"],
    typer.Option(help="Colour profiles of images: convert the colours to sRGB, or ignore them, as most libraries do."),
]
MaxImagePixels = Annotated[
    int | None,
    typer.Option(
        min=1, help="Maximum number of pixels per image, from its header. Default: 179 million.", show_default=False
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 accepts connections from this machine only.")]


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """Where encoders run, where their weights come from, and how images are decoded."""

    device: Device = "auto"
    precision: Precision = None
    backbone_checkpoint: BackboneCheckpoint = None
    cache_dir: CacheDir = None
    icc: Icc = "convert"
    max_image_pixels: MaxImagePixels = None


@dataclass(frozen=True, kw_only=True)
class PromptOptions:
    """What metrics compare images with, by which encoder, and at which size (CLIP-IQA, Tables 1 and 2)."""

    prompts: Annotated[
        str | None,
        typer.Option(
            help="Attributes for metrics that take prompts, such as 'quality,brightness,Cosy photo.|Cold photo.'.",
            show_default=False,
        ),
    ] = None
    prompt: Annotated[
        str | None,
        typer.Option(help="A single prompt: the score is its cosine similarity with the image.", show_default=False),
    ] = None
    template: Annotated[
        str | None,
        typer.Option(
            help="Sentence with {} for the adjective of an attribute, such as 'A {} photo.'.", show_default=False
        ),
    ] = None
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Encoder: RN50, ViT-B-32, ViT-L-14, ..., or ARCHITECTURE/TAG of open_clip.", show_default=False
        ),
    ] = None
    positional_embedding: Annotated[
        Literal["drop", "keep", "interpolate", "interpolate_table"] | None,
        typer.Option(help="Positional embedding at sizes other than that of training.", show_default=False),
    ] = None
    resize: Annotated[
        str | None,
        typer.Option(
            help="Size at which images are shown, instead of their own (bicubic): 512 for the short side, square:224, "
            "or crop:224 for the middle after resizing.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptions:
    """Embeddings that are scored in place of images."""

    embeddings: Annotated[
        list[str] | None,
        typer.Option(
            help="Score embeddings in place of images: a .npy or .parquet file, or a folder of them, such as "
            "clip-retrieval's; repeat for more.",
            show_default=False,
        ),
    ] = None
    embedding_column: Annotated[
        str | None, typer.Option(help="Parquet: column with the embeddings. Default: detected.", show_default=False)
    ] = None
    normalized: Annotated[
        bool,
        typer.Option(
            "--normalized/--not-normalized", help="Whether the embeddings have unit length, as clip-retrieval's have."
        ),
    ] = True
    embedding_encoder: Annotated[
        str | None,
        typer.Option(
            help="Encoder that the embeddings come from, by name (ViT-L-14) or fingerprint; another one than the "
            "metric's is refused. Default: not known.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class MetricOptions(PromptOptions, EncoderOptions):
    """How metrics are created."""

    checkpoint: Checkpoint = None


@dataclass(frozen=True, kw_only=True)
class ScoringOptions(MetricOptions):
    """How metrics are created, and how images go through them."""

    batch_size: BatchSize = 8
    workers: Workers = None


class CheckedCommand(TyperCommand):
    """A command that takes no empty argument: as a path it would stand for the working directory."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, after a look for empty ones."""
        for before, argument in zip(["", *args], args, strict=False):
            option, equals, value = argument.partition("=")
            is_option = argument.startswith("--") and equals == "="
            if not (value if is_option else argument):
                named = option if is_option else before if before.startswith("-") else "An argument"
                raise InvalidOptionError(
                    f"{named} is an empty text. Is a variable unset? Give a value ('.' for the working directory), or "
                    "leave it out."
                )
        return super().parse_args(ctx, args)


def command(function: Callable[..., int | None]) -> Callable[..., None]:
    """Turn a function into a command.

    A parameter whose type is a dataclass stands for the fields of that class: the command has an option for each field,
    and the function receives the object. The function returns the exit status; None is 0. Ctrl-C ends a command with
    status 130. `--icc` and `--max-image-pixels` hold for every image that it reads; encoder options import PyTorch.
    """
    own = inspect.signature(function, eval_str=True).parameters
    groups: dict[str, Any] = {name: one.annotation for name, one in own.items() if is_dataclass(one.annotation)}
    options = {name: _fields(kind) for name, kind in groups.items()}

    @functools.wraps(function)
    def wrapper(**given: object) -> None:
        objects = {
            name: kind(**{option.name: given.pop(option.name) for option in options[name]})
            for name, kind in groups.items()
        }
        stated = {name: value for holder in (given, *map(vars, objects.values())) for name, value in holder.items()}
        try:
            with _decoding_as(stated):
                if any(isinstance(group, EncoderOptions) for group in objects.values()):
                    import_torch()
                status = function(**given, **objects)
        except KeyboardInterrupt:
            fail("Interrupted.", status=130)
        raise typer.Exit(status or 0)

    del wrapper.__wrapped__  # Typer must see the signature below
    parameters: list[inspect.Parameter] = []
    for name, parameter in own.items():
        parameters += options[name] if name in groups else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
    wrapper.__signature__ = inspect.Signature(parameters, return_annotation=None)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def _decoding_as(stated: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Decode images as the options of a command say, if it has such options."""
    if "icc" not in stated:
        return nullcontext()
    from perceptmetrics.images.options import DecodeOptions, decoding

    return decoding(DecodeOptions(icc=stated["icc"], max_image_pixels=stated.get("max_image_pixels")))


@functools.cache
def _fields(kind: type) -> list[inspect.Parameter]:
    """The fields of a dataclass as parameters with evaluated annotations, those of its bases last."""
    hints = get_type_hints(kind, include_extras=True)
    parameters = inspect.signature(kind).parameters
    names = [name for owner in kind.__mro__ for name in inspect.get_annotations(owner)]
    return [parameters[name].replace(annotation=hints[name]) for name in names]
