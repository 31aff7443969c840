"""Decode the frames of a video one by one, as a player would show them.

Rotation, mirroring, shape of the pixels, colour matrix, range and bit depth are those that the file states. If it
states no matrix, the resolution decides, as in players: BT.709 from 720 lines on, BT.601 below. Pixels that are not
square are made so by enlarging the frame in one direction, before it is turned. Frames come in the order of their
timestamps. FFmpeg decodes them, through PyAV.
"""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptmetrics._util.files import check_regular
from perceptmetrics.errors import InvalidImageError, MissingExtraError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["VIDEO_SUFFIXES", "SampledFrame", "frame_times", "is_video", "opened", "read_frames"]

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in ("3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ts", "webm", "wmv")
)

_HIGH_DEFINITION = 720  # lines
_MISSING_END = 0.5  # seconds by which the last frame may end before the stated duration
_SQUARE = 0.01  # deviation from square pixels that is not corrected: resizing would change more than the shape
_MAX_ASPECT = 8  # of the shapes in use, anamorphic HD is the widest: 2.4
_UNSPECIFIED, _BT709, _BT601 = 2, 1, 5  # H.273, table 4 (matrix coefficients)


@dataclass(frozen=True, eq=False)
class SampledFrame:
    """A decoded frame.

    Attributes:
        number: Index of the frame in the video, from 0.
        time: Seconds since the beginning of the video.
        pixels: Shape (H, W, 3), RGB; uint8, or uint16 for videos of more than 8 bits.
    """

    number: int
    time: float
    pixels: np.ndarray[Any, Any]


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a video, judged by its suffix."""
    return os.path.splitext(os.fspath(path))[1].lower() in VIDEO_SUFFIXES  # noqa: PTH122 - a URL is not a path


def read_frames(path: str | os.PathLike[str], wanted: Callable[[int, float], bool]) -> Iterator[SampledFrame]:
    """Decode a video in memory that does not grow with its length.

    Args:
        path: The file.
        wanted: Tells from the number and time of a frame whether it is wanted; called once per frame, in order. Other
            frames are not converted.

    Yields:
        The wanted frames.

    Raises:
        InvalidImageError: The file cannot be opened or contains no video; or it is corrupt or truncated, in which case
            the frames before the defect are yielded first. Corruption is noticed where it breaks the syntax of the
            stream: most codecs have no checksums and may decode a wrong byte as other content.
        MissingExtraError: PyAV is not installed.
    """
    with opened(path) as (container, stream):
        aspect = _pixel_aspect(stream, path)
        count, last = 0, 0.0
        for number, time, frame in _decoded(container, stream, path):
            count, last = number + 1, time
            if wanted(number, time):
                yield SampledFrame(number, time, _upright(_rgb(frame, aspect), frame))
        _check_end(stream, container, path, count, last)


def frame_times(path: str | os.PathLike[str]) -> list[float]:
    """Times of all frames in seconds, ascending, read from the packets without decoding.

    Raises:
        InvalidImageError: The file cannot be opened, or states no times.
    """
    with opened(path) as (container, stream), _explain_corruption(path, "is corrupt"):
        base = stream.time_base
        stamps = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        start = stamps[0] if stamps else 0
        times = [float((stamp - start) * base) for stamp in stamps]
    if not times:
        raise InvalidImageError(f"{os.fspath(path)} has no timestamps. Sample every n-th frame instead.")
    return times


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[Any, Any]]:
    """Open a file and find its video; yields PyAV's container and stream."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("Reading videos", "video") from error
    name = os.fspath(path)
    try:
        check_regular(name)
    except OSError as error:
        raise InvalidImageError(f"{first_line(error)}; expected a video.") from error
    with _explain_corruption(path, "is not a readable video"):
        container = av.open(name)
    with container:
        if not container.streams.video:
            raise InvalidImageError(f"{name} contains no video stream (audio only?).")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise InvalidImageError(
                f"{name} is not a readable video: there is no decoder for its codec. Convert it, for example to H.264."
            )
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"err_detect": "crccheck+explode"}  # no silent error concealment
        yield container, stream


def _decoded(container: Any, stream: Any, path: str | os.PathLike[str]) -> Iterator[tuple[int, float, Any]]:
    """Yield number, time and frame."""
    first = None
    frames = container.decode(stream)
    number = 0
    while True:
        with _explain_corruption(path, f"is corrupt after {number} frames"):
            frame = next(frames, None)
        if frame is None:
            return
        if frame.is_corrupt:
            raise InvalidImageError(
                f"{os.fspath(path)} is corrupt after {number} frames: frame {number} is incomplete."
            )
        seconds = frame.time if frame.time is not None else _by_rate(stream, number, path)
        first = seconds if first is None else first
        yield number, seconds - first, frame
        number += 1


def _by_rate(stream: Any, number: int, path: str | os.PathLike[str]) -> float:
    """Time of a frame without a timestamp."""
    if not stream.average_rate:
        raise InvalidImageError(f"{os.fspath(path)} has neither timestamps nor a frame rate.")
    return float(number / stream.average_rate)


def _check_end(stream: Any, container: Any, path: str | os.PathLike[str], count: int, last: float) -> None:
    """Check that a video ended where its header says, because a truncated file ends without an error."""
    name = os.fspath(path)
    if not count:
        raise InvalidImageError(f"{name} contains no frame that can be decoded.")
    frame = 1 / float(stream.average_rate) if stream.average_rate else 0.0
    stated = _stated_duration(stream, container, frame)
    if stated is not None and last + frame < stated - max(_MISSING_END, 2 * frame):
        raise InvalidImageError(
            f"{name} is truncated or corrupt after {count} frames: it ends after {last + frame:.2f} s and should last "
            f"{stated:.2f} s."
        )


def _stated_duration(stream: Any, container: Any, frame: float) -> float | None:
    """Duration in seconds according to the header; None if it does not say."""
    if container.format.name == "avi" and stream.frames:  # FFmpeg derives its duration from the size of the file
        return float(stream.frames * frame)
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return float(container.duration / 1e6)
    return None


def _pixel_aspect(stream: Any, path: str | os.PathLike[str]) -> float:
    """Width of a pixel divided by its height; 1 if the file does not say."""
    aspect = float(stream.sample_aspect_ratio or 1)
    if not 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT:
        raise InvalidImageError(
            f"{os.fspath(path)} states pixels {aspect:.3g} times as wide as high; expected 1/{_MAX_ASPECT} to "
            f"{_MAX_ASPECT}. Correct its sample aspect ratio."
        )
    return aspect if abs(aspect - 1) > _SQUARE else 1.0


def _rgb(frame: Any, aspect: float) -> np.ndarray[Any, Any]:
    """Convert a frame to RGB with square pixels, shape (H, W, 3)."""
    matrix = int(frame.colorspace)
    if matrix == _UNSPECIFIED:
        matrix = _BT709 if frame.height >= _HIGH_DEFINITION else _BT601
    deep = any(component.bits > 8 for component in frame.format.components)
    enlarged: dict[str, Any] = {}
    if aspect != 1:
        enlarged["width"] = round(frame.width * max(aspect, 1))
        enlarged["height"] = round(frame.height / min(aspect, 1))
        enlarged["interpolation"] = "BICUBIC"
    converted = frame.reformat(
        format="rgb48le" if deep else "rgb24", src_colorspace=matrix, dst_color_range=2, **enlarged
    )
    pixels: np.ndarray[Any, Any] = converted.to_ndarray()
    return pixels


def _upright(pixels: np.ndarray[Any, Any], frame: Any) -> np.ndarray[Any, Any]:
    """Turn and mirror an image as the display matrix of its frame states, to the nearest quarter turn.

    The matrix (ISO/IEC 14496-12, 6.2.2) takes x, y with y downwards to a x + c y, b x + d y.
    """
    stated = next((data for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), None)
    if stated is None:
        return np.ascontiguousarray(pixels)
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(stated))
    across, down = a, d
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels = pixels.swapaxes(0, 1)
        across, down = c, b
    return np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


@contextmanager
def _explain_corruption(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    import av

    try:
        yield
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, InvalidImageError):
            raise
        reason = getattr(error, "strerror", None) or first_line(error)  # without PyAV's error number and file name
        raise InvalidImageError(f"{os.fspath(path)} {what}: {reason}.") from error
