"""From any image source to the canonical tensor: (3, H, W), RGB, float32 in [0, 1].

The only module that decodes images. Oddities of image files are resolved as follows:

- EXIF orientation is applied.
- Transparency is composed over white.
- Grey becomes three equal channels; palette, CMYK and other colour modes are converted to RGB.
- 16-bit grey files, 16-bit colour PNG files and uint16 arrays keep their precision; Pillow reads 16-bit
  colour in other formats as 8-bit.
- The first frame of an animated file is used, and a warning is logged.

Decoded 8-bit images stay uint8 until they are scored (`load_pixels`, then `to_unit_float`), so that a waiting
image takes 3 bytes a pixel instead of 12.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import struct
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from perceptmetrics._util.files import NotAFileError, open_regular
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.addresses import is_address, read_address
from perceptmetrics.images.limits import MAX_FILE_BYTES, check_size
from perceptmetrics.images.png16 import is_sixteen_bit_colour_png, key_to_white, read_sixteen_bit_png

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "DECODING_ERRORS",
    "ImageSource",
    "check_tensor",
    "check_unit_range",
    "load_image",
    "load_pixels",
    "to_unit_float",
]

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | NDArray[np.generic] | Tensor"
)

DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on corrupt files: nearly everything but what a mistake in code raises."""
RANGE_TOLERANCE = 1e-4
_FLOATING_POINT = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

_log = logging.getLogger(__name__)
_SIXTEEN_BIT_GREY = ("I;16", "I;16B", "I;16L", "I;16N")


def load_image(source: ImageSource) -> Tensor:
    """Load one image as the canonical tensor.

    Args:
        source: A path, or an address such as `s3://bucket/photo.jpg`; encoded bytes, or a binary file that holds them;
            a PIL image; an array in uint8, uint16 or float in [0, 1] of shape (H, W) or (H, W, C) with C = 1 (grey),
            2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha); or a float tensor of shape (3, H, W) in [0, 1].

    Returns:
        Shape (3, H, W), RGB, float32 in [0, 1].

    Raises:
        InvalidImageError: It cannot be read, or is not an image of this kind; the message says why.
        MissingExtraError: It is an address, and the package of its file system is not installed.

    Example:
        >>> import numpy as np
        >>> load_image(np.full((4, 6), 255, dtype=np.uint8)).shape
        torch.Size([3, 4, 6])
    """
    return to_unit_float(load_pixels(source))


def load_pixels(source: ImageSource) -> Tensor:
    """Decode one image and check it, but keep 8-bit pixels as uint8.

    Args:
        source: See `load_image`.

    Returns:
        Shape (3, H, W), RGB; uint8 in 0..255, or float32 in [0, 1].

    Raises:
        InvalidImageError: See `load_image`.
        MissingExtraError: See `load_image`.
    """
    if isinstance(source, Tensor):
        check_tensor(source, dimensions=(3,))
        if source.device.type == "meta":
            raise InvalidImageError("The tensor is on the device 'meta', so it has no pixels. Pass one that has.")
        check_unit_range(source)
        return source.to(torch.float32)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        with _explain_corruption("PIL image"):
            return _from_pil(source, "PIL image")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_encoded(io.BytesIO(source), f"image of {len(source)} bytes")
    if hasattr(source, "read"):
        return load_pixels(source.read())
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        if not name:
            raise InvalidImageError("The path of the image is empty; expected the path or address of a file.")
        if is_address(name):
            return _from_encoded(io.BytesIO(read_address(name)), name)
        return _from_path(Path(name))
    raise InvalidImageError(
        "Expected a path, encoded bytes, a PIL image, a NumPy array or a float tensor of shape (3, H, W), "
        f"got {type(source).__name__}."
    )


def to_unit_float(pixels: Tensor) -> Tensor:
    """Turn what `load_pixels` returns (or a stack of it) into float32 in [0, 1]."""
    return pixels.to(torch.float32).div_(255.0) if pixels.dtype == torch.uint8 else pixels


def check_tensor(images: Tensor, dimensions: tuple[int, ...] = (3, 4)) -> None:
    """Check type and shape of image tensors. Values are not read, so this does not wait for the device.

    Args:
        images: Should have shape (3, H, W) or (N, 3, H, W).
        dimensions: Allowed numbers of dimensions.

    Raises:
        InvalidImageError: It is not a floating-point tensor of such a shape, or has no pixels.
    """
    if images.is_nested:
        raise InvalidImageError("Expected a tensor, got a nested one. Pass a list of tensors: list(x.unbind()).")
    shape = tuple(images.shape)
    if images.ndim not in dimensions:
        shapes = " or ".join("(N, 3, H, W)" if dimension == 4 else "(3, H, W)" for dimension in dimensions)
        raise InvalidImageError(f"Expected a tensor of shape {shapes}, got {shape}.")
    if images.shape[-3] != 3:
        hint = " It looks like channels-last; use .movedim(-1, -3)." if images.shape[-1] == 3 else ""
        raise InvalidImageError(f"Expected 3 channels (RGB) in dimension {images.ndim - 3}, got shape {shape}.{hint}")
    if images.layout != torch.strided:
        raise InvalidImageError(f"Expected a dense tensor, got one with the layout {images.layout}. Use x.to_dense().")
    if images.dtype not in _FLOATING_POINT:
        advice = "x.float() / 255 for 8-bit pixels"
        if images.is_floating_point():
            advice = "x.float(); 16, 32 and 64 bits are read"
        elif images.is_complex():
            advice = "x.real, if the image is there"
        raise InvalidImageError(
            f"Expected a floating-point tensor with values in [0, 1], got {images.dtype}. Convert it first: {advice}."
        )
    if images.numel() == 0:
        raise InvalidImageError(f"The image has no pixels: shape {shape}. Height, width and batch must be positive.")


def check_unit_range(images: Tensor) -> None:
    """Check that all values are finite and in [0, 1], with a tolerance of 1e-4 for rounding.

    Args:
        images: A floating-point tensor of any shape with at least one element.

    Raises:
        InvalidImageError: A value is NaN, infinite or out of range; the message suggests a remedy.
    """
    low, high = (float(value) for value in torch.aminmax(images.detach()))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InvalidImageError("The image holds NaN or infinite values. Find the step that produced them.")
    if low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE:
        return
    if low >= 0 and 2 < high <= 255:
        advice = "This looks like 0..255; divide by 255."
    elif low >= -1 - RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE:
        advice = "This looks like -1..1; use (x + 1) / 2."
    else:
        advice = "Clamp or rescale it, and undo any mean/std normalisation: metrics normalise by themselves."
    raise InvalidImageError(f"Expected values in [0, 1], got {low:.6g} to {high:.6g}. {advice}")


def _from_path(path: Path) -> Tensor:
    try:
        stream = open_regular(path)
    except FileNotFoundError as error:
        raise InvalidImageError(f"{error}.") from error
    except NotAFileError as error:
        raise InvalidImageError(f"{error}; expected an image file.") from error
    except PermissionError as error:
        raise InvalidImageError(f"{path} cannot be opened: permission denied.") from error
    except (OSError, ValueError) as error:
        raise InvalidImageError(f"{path} cannot be opened: {error}.") from error
    with stream:
        check_size(os.fstat(stream.fileno()).st_size, str(path), MAX_FILE_BYTES)
        return _from_encoded(stream, str(path))


def _from_encoded(stream: IO[bytes], name: str) -> Tensor:
    with _explain_corruption(name):
        try:
            image = Image.open(stream)
        except UnidentifiedImageError as error:
            stream.seek(0, os.SEEK_END)
            what = "is not an image in a format that can be read" if stream.tell() else "is empty (0 bytes)"
            raise InvalidImageError(f"{name} {what}.") from error
        with image:
            _check_pixel_count(image, name)
            if not is_sixteen_bit_colour_png(image):
                return _from_pil(image, name)
            _to_first_frame(image, name)
        return _from_array(read_sixteen_bit_png(stream))


@contextlib.contextmanager
def _explain_corruption(name: str) -> Iterator[None]:
    """Turn the errors of Pillow into one of ours."""
    try:
        yield
    except InvalidImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidImageError(f"{name}: {_BOMB_ADVICE}") from error
    except DECODING_ERRORS as error:
        raise InvalidImageError(f"{name} is truncated or corrupt: {error}.") from error


_BOMB_ADVICE = (
    "it has more pixels than PIL.Image.MAX_IMAGE_PIXELS allows, which guards against decompression bombs. "
    "If you trust the file, raise that limit."
)


def _check_pixel_count(image: Image.Image, name: str) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise InvalidImageError(f"{name} is {image.width} x {image.height}: {_BOMB_ADVICE}")


def _to_first_frame(image: Image.Image, name: str) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        _log.warning("%s has %d frames; the first one is used.", name, frames)
        image.seek(0)


def _from_pil(image: Image.Image, name: str) -> Tensor:
    if image.width == 0 or image.height == 0:
        raise InvalidImageError(f"{name} has no pixels: {image.width} x {image.height}.")
    _to_first_frame(image, name)
    image = ImageOps.exif_transpose(image)
    if image.mode in _SIXTEEN_BIT_GREY:
        return _from_sixteen_bit_grey(image, np.asarray(image).astype(np.uint16))
    if image.mode == "I":
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise InvalidImageError(
                f"{name} holds 32-bit integers from {values.min()} to {values.max()}; expected 0..65535. Rescale it."
            )
        return _from_sixteen_bit_grey(image, values.astype(np.uint16))
    if image.mode == "F":
        return _from_array(np.asarray(image))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return _from_array(np.asarray(image.convert("RGB")))


def _from_sixteen_bit_grey(image: Image.Image, samples: NDArray[np.uint16]) -> Tensor:
    transparent = image.info.get("transparency")
    return _from_array(samples if transparent is None else key_to_white(samples, transparent))


def _from_array(array: NDArray[np.generic]) -> Tensor:
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        hint = (
            " It looks like channels-first; transpose it to (H, W, 3)."
            if array.ndim == 3 and array.shape[0] == 3
            else ""
        )
        raise InvalidImageError(
            f"Expected an array of shape (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4), got {array.shape}.{hint}"
        )
    if array.size == 0:
        raise InvalidImageError(f"The array has no pixels: shape {array.shape}.")
    if array.dtype == np.uint8 and array.shape[2] in (1, 3):
        # Always a copy: the caller may go on writing to the array, or may not be allowed to.
        return torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C")).expand(3, -1, -1).contiguous()
    return _over_white(_to_float_pixels(array).permute(2, 0, 1)).contiguous()


def _to_float_pixels(array: NDArray[np.generic]) -> Tensor:
    if array.dtype in (np.uint8, np.uint16):
        full = 255 if array.dtype == np.uint8 else 65535
        return torch.from_numpy(array.astype(np.float32) / np.float32(full))
    if not np.issubdtype(array.dtype, np.floating):
        raise InvalidImageError(
            f"Expected an array of uint8, uint16 or floats in [0, 1], got {array.dtype}. Convert it: "
            "a.astype(numpy.uint8) for values 0..255."
        )
    values = torch.from_numpy(array.astype(np.float32))
    check_unit_range(values)
    return values


def _over_white(pixels: Tensor) -> Tensor:
    """Compose (1, 2, 3 or 4 channels, H, W) in [0, 1] over white: three channels."""
    if pixels.shape[0] in (2, 4):
        colour, alpha = pixels[:-1], pixels[-1:]
        pixels = colour * alpha + (1 - alpha)
    return pixels.expand(3, -1, -1)
