"""A weight file says what it is: its names and shapes are compared with the layouts that the registered metrics read.

Nothing is read but the header, or what `read_tensors` maps into memory, and no code of a file is run. There is no list
of layouts here: each head declares its own (`Head.published_files`), and encoders are compared by their tensors.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from perceptmetrics._util.files import expand_home
from perceptmetrics.errors import WeightsError
from perceptmetrics.factory.tuned_encoder import known_files
from perceptmetrics.metrics.clip_encoders import OPENAI_CLIP_WEIGHTS, openai_clip
from perceptmetrics.metrics.registry import find_metric, list_metrics, metric_info
from perceptmetrics.models.encoders import encoder_shapes, text_channels_of
from perceptmetrics.spec import EncoderSpec, MetricSpec
from perceptmetrics.spec.heads import HEADS
from perceptmetrics.weights.layouts import IMAGE_ENCODER, clip_shapes, weight_file
from perceptmetrics.weights.layouts.strict import some
from perceptmetrics.weights.resolve import file_sha256
from perceptmetrics.weights.tensor_files import read_shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.models.metric_options import MetricOption
    from perceptmetrics.spec import WeightSource
    from perceptmetrics.weights.layouts import FileSignature, Shapes

__all__ = ["Recognised", "is_weight_file", "recognise"]

_SPEC = "spec.json"
_OWN = ("head.", "lora.", "encoder.")


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """What a file is.

    Attributes:
        spec: The metric that it belongs to.
        trained: The file, where it is the metric's own trained file.
        encoder: The file, where it is the encoder that makes the metric.
    """

    spec: MetricSpec
    trained: Path | None = None
    encoder: Path | None = None


def is_weight_file(name: str | os.PathLike[str]) -> bool:
    """Whether a metric's name stands for a weight file, or for a folder that holds one and no specification."""
    if find_metric(os.fspath(name)) is not None:
        return False
    path = expand_home(name)
    if not path.is_dir():
        return path.is_file()
    try:
        return not (path / _SPEC).exists() and bool(clip_shapes(read_shapes(weight_file(path))))
    except WeightsError:
        return False


def recognise(name: str | os.PathLike[str]) -> Recognised:
    """Recognise a weight file by the names and shapes of its tensors, or by its hash or name if several metrics fit.

    Args:
        name: The file, or a folder of Hugging Face's with one.

    Raises:
        WeightsError: It is corrupt, belongs to several metrics, or to none; the message says what it resembles.
    """
    path = weight_file(expand_home(name))
    shapes, specs = read_shapes(path), [metric_info(metric) for metric in list_metrics()]
    known = [(spec, signature) for spec in specs for signature in known_files(spec)]
    fitting = {spec.name: (spec, signature) for spec, signature in known if not signature.differences(shapes)}
    if fitting:
        candidates = [spec for spec, _ in fitting.values()]
        chosen = (
            candidates if len(candidates) == 1 else _pinned(path, [(spec, spec.trained_file) for spec in candidates])
        )
        if len(chosen) == 1:
            return Recognised(spec=chosen[0], trained=path)
        what = next(iter(fitting.values()))[1].what
        raise WeightsError(
            f"{path} holds {what} in a layout that several metrics share, and neither its hash nor its name tells them "
            f"apart. Say which it is: {_calls(candidates, path, 'checkpoint')}."
        )
    clip = clip_shapes(shapes)
    if clip:
        return Recognised(spec=_metric_of_clip(path, clip, specs), encoder=path)
    own = _pinned(path, [(spec, spec.trained_file) for spec in specs]) if _is_own(shapes) else []
    if len(own) == 1:
        return Recognised(spec=own[0], trained=path)
    raise _unknown(path, shapes, known)


def _pinned(path: Path, candidates: Sequence[tuple[MetricSpec, WeightSource | None]]) -> list[MetricSpec]:
    """The metrics whose published file this is: by its hash, else by its name if only one source has that name."""
    sources = [(spec, source) for spec, source in candidates if source is not None]
    size = path.stat().st_size
    if any(source.sha256 is not None and source.size in (None, size) for _, source in sources):
        digest = file_sha256(path)
        if same := [spec for spec, source in sources if source.sha256 == digest]:
            return same
    everywhere = {source for name in list_metrics() for source in metric_info(name).weight_sources}
    uses = Counter(PurePosixPath(source.filename).name for source in everywhere)
    return [
        spec for spec, source in sources if PurePosixPath(source.filename).name == path.name and uses[path.name] == 1
    ]


def _metric_of_clip(path: Path, clip: Shapes, specs: Sequence[MetricSpec]) -> MetricSpec:
    """The metric that a CLIP is published for. A CLIP does not say which activation it was trained with."""
    channels = clip.get("ln_final.weight", (None,))[0]
    image = {name: shape for name, shape in clip.items() if name.startswith(IMAGE_ENCODER)}
    encoders: dict[str, EncoderSpec] = {name: openai_clip(name, "keep") for name in OPENAI_CLIP_WEIGHTS}
    encoders |= {spec.encoder.architecture: spec.encoder for spec in specs if spec.encoder.reads_text}
    near = {name: encoder for name, encoder in encoders.items() if text_channels_of(encoder) == channels}
    names = sorted(name for name, encoder in near.items() if encoder_shapes(encoder) == image)
    fitting = [spec for spec in specs if spec.encoder.reads_text and spec.encoder.architecture in names]
    chosen = _pinned(path, [(spec, spec.encoder.weights) for spec in fitting if not spec.has_trained_part])
    if len(chosen) == 1:
        return chosen[0]
    ready = [spec for spec in fitting if not spec.encoder.in_trained_file]
    taking = [spec.name for spec in specs if any("backbone" in option.names for option in _options(spec))]
    calls = _calls(ready, path, "backbone_checkpoint") if ready else ""
    other = f"create_metric({taking[0]!r}, backbone={names[0]!r}, backbone_checkpoint=...)" if taking and names else ""
    encoder = f"with the image encoder of {names[0]}" if names else "of an architecture that is not known here"
    raise WeightsError(
        f"{path} is a CLIP {encoder}, and a CLIP is no metric. Say which to make of it: "
        f"{' or '.join(filter(None, (calls, other))) or 'none of the registered ones fits'}."
    )


def _options(spec: MetricSpec) -> Sequence[MetricOption]:
    options: Sequence[MetricOption] = HEADS.builder_of(spec.head).options(spec)
    return options


def _calls(specs: Sequence[MetricSpec], path: Path, keyword: str) -> str:
    return " or ".join(f"create_metric({spec.name!r}, {keyword}={str(path)!r})" for spec in specs)


def _is_own(shapes: Shapes) -> bool:
    return all(name.startswith(_OWN) for name in shapes)


def _unknown(path: Path, shapes: Shapes, known: Sequence[tuple[MetricSpec, FileSignature]]) -> WeightsError:
    """Say which layout is the nearest, and how the file differs from it."""
    if _is_own(shapes):
        return WeightsError(
            f"{path} is the trained file of a metric of this package, which its {_SPEC} describes. Give the folder "
            "that holds both, or the name of the metric with checkpoint=."
        )
    spec, nearest = min(known, key=lambda one: (-_shared(one[1], shapes), len(one[1].differences(shapes))))
    if not _shared(nearest, shapes):
        return WeightsError(
            f"{path} resembles no file that a metric is made of. It holds {some(shapes)}. Expected a head, learned "
            "prompts, a PerceptCLIP or a CLIP; `perceptmetrics info NAME` says what each metric needs."
        )
    return WeightsError(
        f"{path} resembles {nearest.what} of {spec.name!r} most, but it does not fit: {nearest.describe(shapes)}. "
        "Check that the file is complete and unchanged."
    )


def _shared(signature: FileSignature, shapes: Shapes) -> float:
    """How much of a layout a file has: names count, and names with the right shape count twice."""
    found = [name for name in signature.shapes if name in shapes]
    right = [name for name in found if shapes[name] == signature.shapes[name]]
    return (len(found) + len(right)) / (2 * len(signature.shapes))
