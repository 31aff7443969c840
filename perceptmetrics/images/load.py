"""From any image source to the canonical tensor: (3, H, W), RGB, float32 in [0, 1].

The only module that decodes images; `docs/images.md` lists formats, layouts and limits. Oddities of image files are
resolved as follows:

- The EXIF orientation is applied; nothing else in EXIF matters.
- Transparency is composed over white.
- Grey becomes three equal channels; palette, CMYK and other colour modes are converted to RGB.
- 16-bit grey files, 16-bit colour PNG and TIFF files and uint16 arrays keep their precision.
- The first frame of an animated file is used, and a warning is logged.

Decoded 8-bit images stay uint8 until they are scored (`load_pixels`, then `to_unit_float`), so that a waiting
image takes 3 bytes a pixel instead of 12.
"""

from __future__ import annotations

import io
import logging
import os
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from perceptmetrics._util.files import NotAFileError, open_regular
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.addresses import is_address, read_address
from perceptmetrics.images.arrays import check_tensor, check_unit_range, from_array, to_unit_float
from perceptmetrics.images.limits import MAX_FILE_BYTES, check_size
from perceptmetrics.images.opening import explain_corruption, open_image
from perceptmetrics.images.options import DecodeOptions, IccHandling, current_decoding, decode_options
from perceptmetrics.images.orientation import ORIENTATION, orientation_of, upright, upright_array
from perceptmetrics.images.pillow import DECODING_ERRORS, load_strictly
from perceptmetrics.images.pixels import pixels_of, pixels_of_samples
from perceptmetrics.images.profiles import Profile, profile_of
from perceptmetrics.images.sixteen_bits import has_sixteen_bit_colour, read_sixteen_bits
from perceptmetrics.images.tiff import has_odd_planes, meaning_of_samples, prepare_tiff, tiff_orientation
from perceptmetrics.images.tiff_planes import read_planes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
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

_log = logging.getLogger(__name__)


def load_image(source: ImageSource, *, icc: IccHandling | None = None, max_image_pixels: int | None = None) -> Tensor:
    """Load one image as the canonical tensor.

    Args:
        source: A path, or an address such as `s3://bucket/photo.jpg`; encoded bytes, or a binary file that holds them;
            a PIL image; an array in uint8, uint16 or float in [0, 1] of shape (H, W) or (H, W, C) with C = 1 (grey),
            2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha); or a float tensor of shape (3, H, W) in [0, 1].
        icc: `"convert"` converts the colours to sRGB as the image's profile says, `"ignore"` takes the numbers as they
            are. None to convert, or as `images.options.decoding` says.
        max_image_pixels: Largest number of pixels; None for 179 million, see `images.options.DecodeOptions`.

    Returns:
        Shape (3, H, W), RGB, float32 in [0, 1].

    Raises:
        InvalidImageError: It cannot be read, or is not an image of this kind; the message says why.
        InvalidOptionError: An option has another value.
        MissingExtraError: It is an address, and the package of its file system is not installed.

    Examples:
        >>> import numpy as np
        >>> load_image(np.full((4, 6), 255, dtype=np.uint8)).shape
        torch.Size([3, 4, 6])
    """
    return to_unit_float(load_pixels(source, decode_options(icc, max_image_pixels)))


def load_pixels(source: ImageSource, options: DecodeOptions | None = None) -> Tensor:
    """Decode one image and check it, but keep 8-bit pixels as uint8.

    Args:
        source: See `load_image`.
        options: How to decode it; tensors and arrays are taken as they are. None for `current_decoding()`.

    Returns:
        Shape (3, H, W), RGB; uint8 in 0..255, or float32 in [0, 1].

    Raises:
        InvalidImageError: See `load_image`.
        MissingExtraError: See `load_image`.
    """
    options = current_decoding() if options is None else options
    if isinstance(source, Tensor):
        check_tensor(source, dimensions=(3,))
        if source.device.type == "meta":
            raise InvalidImageError("The tensor is on the device 'meta', so it has no pixels. Pass one that has.")
        check_unit_range(source)
        return source.to(torch.float32)
    if isinstance(source, np.ndarray):
        return from_array(source)
    if isinstance(source, Image.Image):
        return _from_pil_image(source, options)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_encoded(io.BytesIO(source), f"image of {len(source)} bytes", options)
    if hasattr(source, "read"):
        return load_pixels(source.read(), options)
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        if not name:
            raise InvalidImageError("The path of the image is empty; expected the path or address of a file.")
        if is_address(name):
            return _from_encoded(io.BytesIO(read_address(name)), name, options)
        return _from_path(Path(name), options)
    raise InvalidImageError(
        "Expected a path, encoded bytes, a PIL image, a NumPy array or a float tensor of shape (3, H, W), "
        f"got {type(source).__name__}."
    )


def _from_path(path: Path, options: DecodeOptions) -> Tensor:
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
        return _from_encoded(stream, str(path), options)


def _from_encoded(stream: IO[bytes], name: str, options: DecodeOptions) -> Tensor:
    open_file = partial(open_image, stream, name, options)
    with open_file() as image:
        announced = image.size
        with explain_corruption(name):
            _to_first_frame(image, name)
            prepare_tiff(image, name)
            meaning = meaning_of_samples(image)
            if isinstance(image, TiffImageFile) and has_odd_planes(image):
                samples = read_planes(stream, image.tag_v2, partial(_grey_samples, name=name, options=options))
            elif has_sixteen_bit_colour(image):
                samples = read_sixteen_bits(image, open_file)
            else:
                load_strictly(image)
                _check_decoded_size(image, announced, name)
                profile = _profile(image, name, options, stream)
                return pixels_of(upright(image, _stored_orientation(image)), name, meaning, profile)
            profile = _profile(image, name, options, stream)
            upright_samples = upright_array(samples, _stored_orientation(image))
            return pixels_of_samples(upright_samples, name, meaning, profile, image.info)


def _profile(image: Image.Image, name: str, options: DecodeOptions, stream: IO[bytes] | None = None) -> Profile | None:
    return profile_of(image, name, stream) if options.icc == "convert" else None


def _grey_samples(stream: IO[bytes], name: str, options: DecodeOptions) -> NDArray[Any]:
    """Decode a grey TIFF as it is stored."""
    with open_image(stream, name, options) as image:
        prepare_tiff(image, name)
        load_strictly(image)
        return np.array(image)


def _from_pil_image(image: Image.Image, options: DecodeOptions) -> Tensor:
    name = "PIL image"
    with explain_corruption(name):
        if image.width == 0 or image.height == 0:
            raise InvalidImageError(f"{name} has no pixels: {image.width} x {image.height}.")
        _to_first_frame(image, name)
        prepare_tiff(image, name)
        meaning = meaning_of_samples(image)
        load_strictly(image)
        profile = _profile(image, name, options)
        return pixels_of(upright(image, _orientation(image)), name, meaning, profile)


def _stored_orientation(image: Image.Image) -> int:
    """Orientation of a file that was loaded as it is stored."""
    return tiff_orientation(image) or orientation_of(image.info)


def _orientation(image: Image.Image) -> int:
    """Orientation of a PIL image: it may have been changed in memory, which `info` does not say."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except DECODING_ERRORS:
        return orientation_of(image.info)


def _check_decoded_size(image: Image.Image, announced: tuple[int, int], name: str) -> None:
    if sorted(image.size) != sorted(announced):
        raise InvalidImageError(
            f"{name} announces {announced[0]} x {announced[1]} pixels and holds {image.width} x {image.height}."
        )


def _to_first_frame(image: Image.Image, name: str) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        if image.format != "MPO":  # photographs of phones, with a second picture that is no frame
            _log.warning("%s has %d frames; the first one is used.", name, frames)
        image.seek(0)
