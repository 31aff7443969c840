"""Find images that show the same: the same file, the same bytes, or the same picture in another encoding or size.

Two files show the same picture if small versions of them agree: the cosine of their 16 x 16 lowest DCT coefficients
(without the mean, weighted by frequency, so that all details count alike) is at least `SIMILAR`, at nearly equal
contrast and mean colour. Recompression to quality 10, other formats, and sizes from a sixth to a multiple are found;
so are the shots of a burst that hardly differ. Mirrored, cropped or recoloured copies are not, and pictures without
detail are compared by their bytes alone.

A degraded photograph counts as its photograph. Other rendered images are compared by identity.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from perceptmetrics._util.files import open_regular
from perceptmetrics._util.threads import run_ahead
from perceptmetrics.datasets.degraded import DegradedPhotograph
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.opening import explain_corruption, open_image
from perceptmetrics.images.options import current_decoding
from perceptmetrics.images.orientation import orientation_of, upright
from perceptmetrics.images.pillow import load_strictly
from perceptmetrics.images.tiff import tiff_orientation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets.labelled import ImageItem, LabelledImages

__all__ = ["ImageIndex", "Twins", "find_twins"]

ImageIndex: TypeAlias = tuple[int, int]
"""Index of a data set among several, and of an image in it."""
Group: TypeAlias = tuple[ImageIndex, ...]

SIMILAR = 0.95  # least cosine: copies at JPEG quality 10 are to reach it, other scenes are to stay below
CONTRAST = 1.35  # largest ratio
COLOUR = 14.0  # largest difference of the mean of a channel, of 255
DETAIL = 100.0  # least length of the coefficients; noise of half a grey level has about this length

_SIDE, _COEFFICIENTS = 32, 16
_DRAFT = 4  # a JPEG is decoded at least this many times as large as its small version
_PLAIN_MODES = ("L", "RGB", "CMYK", "YCbCr")
_ALPHA_MODES = ("1", "P", "PA", "LA", "La", "RGBA", "RGBa")
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_FREQUENCY = np.hypot(*np.mgrid[:_COEFFICIENTS, :_COEFFICIENTS]).astype(np.float32)
_BLOCK = 2048  # images that are compared at a time
_REMEMBERED = 4  # answers that are kept: a plan, its training and its report ask the same

_Source: TypeAlias = "tuple[str, int, int] | tuple[str]"
_answers: OrderedDict[str, tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]] = OrderedDict()


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Images that show the same.

    Attributes:
        copies: Groups of two or more images that are one file or have the same bytes.
        alike: Groups of two or more images that show the same, whether or not their bytes are the same.
    """

    copies: tuple[Group, ...]
    alike: tuple[Group, ...]


def find_twins(datasets: Sequence[LabelledImages], progress: Callable[[], object] | None = None) -> Twins:
    """Find the images of one or several data sets that show the same; see the module for what counts.

    The answer is remembered for as long as the files are unchanged. Files that cannot be read are left out.

    Args:
        datasets: The data sets.
        progress: Called for each image file that is looked at.

    Returns:
        Groups of images, and in each the images in ascending order.
    """
    members: dict[_Source, list[ImageIndex]] = {}
    files: dict[_Source, Path] = {}
    for number, dataset in enumerate(datasets):
        for index, image in enumerate(dataset.images):
            file = image.photograph if isinstance(image, DegradedPhotograph) else image
            source = _source(file)
            if source is not None:
                members.setdefault(source, []).append((number, index))
                if isinstance(file, Path):
                    files[source] = file
    sources = list(members)
    key = hashlib.sha256(repr(sources).encode("utf-8", "surrogatepass")).hexdigest()
    if key not in _answers:
        _answers[key] = _compare(sources, files, progress)
        while len(_answers) > _REMEMBERED:
            _answers.popitem(last=False)
    copies, alike = _answers[key]
    return Twins(copies=_expanded(copies, sources, members), alike=_expanded(alike, sources, members))


def _source(image: ImageItem) -> _Source | None:
    """What identifies an image and its content; None for a file that is not there."""
    if not isinstance(image, Path):
        return (image.identity,)
    try:
        status = image.stat()
    except OSError:
        return None
    return os.path.join(_real_folder(str(image.parent)), image.name), status.st_size, status.st_mtime_ns  # noqa: PTH118


@lru_cache(maxsize=1024)
def _real_folder(folder: str) -> str:
    """Resolve links to a folder; data sets are often linked. Resolving each file instead would be slow."""
    return os.path.realpath(folder)


def _expanded(
    groups: Iterable[tuple[int, ...]], sources: Sequence[_Source], members: Mapping[_Source, Sequence[ImageIndex]]
) -> tuple[Group, ...]:
    """The images of groups of sources, and those that have a source in common."""
    grouped = {index for group in groups for index in group}
    alone = ((index,) for index in range(len(sources)) if index not in grouped)
    images = [
        tuple(sorted(image for index in group for image in members[sources[index]])) for group in (*groups, *alone)
    ]
    return tuple(sorted(group for group in images if len(group) > 1))


def _compare(
    sources: Sequence[_Source], files: Mapping[_Source, Path], progress: Callable[[], object] | None
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Indices of the sources that have the same bytes, and of those that show the same."""
    by_size: dict[int, list[int]] = {}
    for index, source in enumerate(sources):
        if source in files:
            by_size.setdefault(files[source].stat().st_size, []).append(index)
    by_content: dict[str, list[int]] = {}
    for indices in by_size.values():
        for index in indices if len(indices) > 1 else ():
            by_content.setdefault(_hash(files[sources[index]]), []).append(index)
    copies = [tuple(group) for content, group in by_content.items() if content and len(group) > 1]
    repeated = {index for group in copies for index in group[1:]}
    shown = [index for index, source in enumerate(sources) if source in files and index not in repeated]
    small = _small([files[sources[index]] for index in shown], progress)
    pairs = [(shown[one], shown[other]) for one, other in _similar(small)]
    pairs += [(group[0], other) for group in copies for other in group[1:]]
    return tuple(copies), _connected(pairs, len(sources))


def _hash(path: Path) -> str:
    try:
        with open_regular(path) as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        return ""


def _connected(pairs: Sequence[tuple[int, int]], count: int) -> tuple[tuple[int, ...], ...]:
    if not pairs:
        return ()
    rows, columns = np.array(pairs).T
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (rows, columns)), shape=(count, count))
    labels = connected_components(graph, directed=False)[1]
    groups: dict[int, list[int]] = {}
    for index in sorted({index for pair in pairs for index in pair}):
        groups.setdefault(int(labels[index]), []).append(index)
    return tuple(map(tuple, groups.values()))


def _small(paths: Sequence[Path], progress: Callable[[], object] | None) -> NDArray[np.float32]:
    """Small versions of images, shape (N, 32, 32, 3), in 0..255; NaN where an image cannot be read."""
    workers = min(8, os.cpu_count() or 1) if len(paths) > _BLOCK // 32 else 0
    found = np.full((len(paths), _SIDE, _SIDE, 3), np.nan, dtype=np.float32)
    tasks = ([partial(_small_version, path)] for path in paths)
    for index, (pixels,) in enumerate(
        run_ahead(tasks, workers=workers, ahead=4 * workers, name="perceptmetrics-twins")
    ):
        if pixels is not None:
            found[index] = pixels
        if progress is not None:
            progress()
    return found


def _small_version(path: Path) -> NDArray[np.float32] | None:
    try:
        with open_regular(path) as stream, explain_corruption(str(path)):
            image: Image.Image = open_image(stream, str(path), current_decoding())
            image.draft("RGB", (_DRAFT * _SIDE, _DRAFT * _SIDE))
            load_strictly(image)
            orientation = tiff_orientation(image) or orientation_of(image.info)
            if image.mode in _PLAIN_MODES:
                small = image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
                return np.asarray(upright(small, orientation), dtype=np.float32)
            if image.mode in _ALPHA_MODES:
                paper = Image.new("RGBA", image.size, "white")
                paper.alpha_composite(image.convert("RGBA"))
                small = paper.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
                return np.asarray(upright(small, orientation), dtype=np.float32)
        return _small_version_of_many_bits(path)
    except (InvalidImageError, OSError):
        return None


def _small_version_of_many_bits(path: Path) -> NDArray[np.float32]:
    """The small version of an image that Pillow cannot convert without loss, such as grey of 16 bits."""
    import torch  # late: listing and checking data sets does not need PyTorch

    from perceptmetrics.images.load import load_image

    pixels = torch.nn.functional.interpolate(load_image(path)[None], (_SIDE, _SIDE), mode="area")[0]
    small: NDArray[np.float32] = 255 * pixels.permute(1, 2, 0).numpy()
    return small


def _similar(small: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs of small versions that show the same."""
    readable = np.flatnonzero(np.isfinite(small[:, 0, 0, 0]))
    colours = small[readable].mean(axis=(1, 2))
    coefficients = dctn(small[readable] @ _LUMINANCE, axes=(1, 2), norm="ortho")[:, :_COEFFICIENTS, :_COEFFICIENTS]
    vectors = (coefficients * _FREQUENCY).reshape(len(readable), _COEFFICIENTS**2)
    lengths = np.linalg.norm(vectors, axis=1)
    detailed = np.flatnonzero(lengths >= DETAIL)
    vectors, lengths, colours = vectors[detailed] / lengths[detailed, None], lengths[detailed], colours[detailed]
    names = readable[detailed].tolist()
    pairs = []
    for start in range(0, len(vectors), _BLOCK):
        cosines = vectors[start : start + _BLOCK] @ vectors[start:].T
        for one, other in np.argwhere(cosines >= SIMILAR) + start:
            ratio = max(lengths[one], lengths[other]) / min(lengths[one], lengths[other])
            if one < other and ratio <= CONTRAST and np.abs(colours[one] - colours[other]).max() <= COLOUR:
                pairs.append((names[one], names[other]))
    return pairs
