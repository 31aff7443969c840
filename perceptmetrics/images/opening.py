"""Open encoded images with Pillow, as files from strangers have to be opened.

- Only `formats.readable_formats` are tried, so that no file starts another program, and a file cannot be one image to
  a check of its size and another to the decoder.
- The number of pixels is compared with the limit before anything is decoded, without Pillow's warnings.
- A JPEG with several pictures (MPO) is its first one, a photograph: most phones write such files.
"""

from __future__ import annotations

import contextlib
import io
import struct
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile, JpegImagePlugin, TiffImagePlugin

from perceptmetrics.errors import InvalidImageError, first_line
from perceptmetrics.images.formats import foreign_format, readable_formats
from perceptmetrics.images.options import DecodeOptions, check_pixel_count
from perceptmetrics.images.pillow import DECODING_ERRORS
from perceptmetrics.images.tiff import describe_tiff

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["explain_corruption", "open_image"]

_ANOTHER_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)
"""What Pillow's readers raise for a file that is not in their format."""
_BEGINNING = 1000
_START_OF_TILE, _END_OF_CODESTREAM = b"\xff\x90", b"\xff\xd9"


def open_image(stream: IO[bytes], name: str, options: DecodeOptions) -> ImageFile.ImageFile:
    """Open an encoded image without decoding it.

    Args:
        stream: The file; it must stay open until the image is loaded, with `pillow.load_strictly`.
        name: What to call it.
        options: How large it may be.

    Returns:
        The image, with its size and format.

    Raises:
        InvalidImageError: It is empty, in no format that is read, corrupt, or too large; the message says which.
    """
    stream.seek(0)
    beginning = stream.read(_BEGINNING)
    if not beginning:
        raise InvalidImageError(f"{name} is empty (0 bytes).")
    unreadable = ""
    with explain_corruption(name):
        for file_format in readable_formats():
            factory, accept = _reader(file_format)
            if accept is not None and accept(beginning[:16]) is not True:
                continue
            stream.seek(0)
            try:
                image: ImageFile.ImageFile = factory(_prepared(stream, file_format), "")
            except _ANOTHER_FORMAT as error:
                layout = describe_tiff(stream) if file_format == "TIFF" else ""
                unreadable = unreadable or f": it begins like {file_format}, but {layout or first_line(error)}"
                continue
            check_pixel_count(image.size, name, options)
            return image
    foreign = foreign_format(beginning)
    reason = unreadable if foreign is None else f": it is {foreign[0]}. {foreign[1]}"
    raise InvalidImageError(f"{name} is not an image in a format that can be read{reason.rstrip('.')}.")


@contextlib.contextmanager
def explain_corruption(name: str) -> Iterator[None]:
    """Turn the errors of Pillow's readers and decoders into one of ours; ours pass as they are."""
    try:
        yield
    except InvalidImageError:
        raise
    except DECODING_ERRORS as error:
        raise InvalidImageError(f"{name} is truncated or corrupt: {first_line(error).rstrip('.')}.") from error


class _PlainJpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG file whose EXIF is not searched for a resolution, so that no broken entry is met."""

    def getexif(self) -> Image.Exif:
        return Image.Exif()


class _PlainTiff(TiffImagePlugin.TiffImageFile):
    """A TIFF file that is not turned by its orientation while it is loaded, and whose EXIF is not read."""

    def load_prepare(self) -> None:
        if getattr(self, "_im", None) is None:  # Pillow would compare the size with a limit of its own
            self.im = Image.new(self.mode, getattr(self, "_tile_size", self.size)).im
        super().load_prepare()

    def load_end(self) -> None:
        self._size = self.im.size  # Pillow has exchanged width and height of images that are to be turned by 90 degrees


def _reader(file_format: str) -> tuple[Any, Any]:
    """The class that reads a format, and the function that recognises it by its first 16 bytes."""
    factory, accept = Image.OPEN[file_format]
    own = {"JPEG": _PlainJpeg, "TIFF": _PlainTiff}
    return own.get(file_format, factory), accept


def _prepared(stream: IO[bytes], file_format: str) -> IO[bytes]:
    """The file as Pillow is to have it."""
    if file_format == "AVIF":
        return _without_exif(stream.read())
    if file_format == "JPEG2000":
        _check_end(stream.read())
        stream.seek(0)
    return stream


def _check_end(content: bytes) -> None:
    """Check that JPEG 2000 data, in which no marker occurs by chance, end with the marker that they must end with."""
    if content.rfind(_END_OF_CODESTREAM) < content.rfind(_START_OF_TILE):
        raise OSError("the end of its codestream is missing")


def _without_exif(content: bytes) -> IO[bytes]:
    """An AVIF file without its EXIF: it does not say how the image is turned, but Pillow writes it anew, if it can."""
    start = content.find(b"meta")
    if start < 4:
        return io.BytesIO(content)
    end = start - 4 + int.from_bytes(content[start - 4 : start], "big")
    return io.BytesIO(content[:start] + content[start:end].replace(b"Exif", b"skip") + content[end:])
