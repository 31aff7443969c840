"""ICC profiles of matrices and curves: build them, and convert with them at full precision.

littleCMS, as Pillow has it, converts 8 bits. For more bits this module does the arithmetic of the simple profiles
(three primaries and a curve for each, or a grey curve), which nearly all 16-bit files have. Profiles of tables, as
presses have them, are left to littleCMS.

Format: ICC.1:2022, https://www.color.org/specification/ICC.1-2022-05.pdf, sections 7 to 10.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["SRGB_PRIMARIES", "MatrixProfile", "build_profile", "read_matrix_profile"]

Curve: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Point: TypeAlias = tuple[float, float]

SRGB_PRIMARIES: tuple[Point, Point, Point, Point] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290))
"""Chromaticities of red, green, blue and white."""
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_TABLES = (b"A2B0", b"A2B1", b"A2B2")


@dataclass(frozen=True)
class MatrixProfile:
    """What the numbers of an image mean, by curves and perhaps a matrix.

    Attributes:
        curves: From the numbers of each channel, in [0, 1], to amounts of light; one for grey, three for RGB.
        matrix: From red, green and blue light to XYZ under D50, shape (3, 3); None for grey.
    """

    curves: tuple[Curve, ...]
    matrix: NDArray[np.float64] | None

    def to_srgb(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert to sRGB, relative colorimetric: white stays white, and colours outside sRGB are clipped.

        Args:
            samples: Shape (H, W, 1) or (H, W, 3), in [0, 1].

        Returns:
            Same shape, but (H, W, 3) where a profile of RGB belongs to a grey image; in [0, 1].
        """
        if self.matrix is None:
            return _encoded(self.curves[0](samples))
        light = np.stack([curve(samples[..., min(channel, samples.shape[2] - 1)]) for channel, curve in self._each()])
        to_srgb = np.linalg.inv(_matrix_of(SRGB_PRIMARIES)) @ self.matrix
        return _encoded(np.einsum("ij,jhw->hwi", to_srgb.astype(np.float32), light))

    def _each(self) -> list[tuple[int, Curve]]:
        return list(enumerate(self.curves))


def read_matrix_profile(profile: bytes) -> MatrixProfile | None:
    """Read a profile of curves and perhaps a matrix.

    Args:
        profile: The profile.

    Returns:
        What it says; None if it holds tables, or is another kind of profile.

    Raises:
        ValueError: It is corrupt.
    """
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        entries = [struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100))]
        tags = {name: profile[start : start + size] for name, start, size in entries}
        space = profile[16:20]
        if any(name in tags for name in _TABLES) or space not in (b"RGB ", b"GRAY"):
            return None
        if space == b"GRAY":
            return MatrixProfile((_read_curve(tags[b"kTRC"]),), None)
        curves = tuple(_read_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
        columns = [_read_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    except (struct.error, KeyError, IndexError) as error:
        raise ValueError(f"its colour profile is corrupt: {error}") from error
    return MatrixProfile(curves, np.array(columns).T)


def build_profile(primaries: tuple[Point, Point, Point, Point] = SRGB_PRIMARIES, gamma: float | None = None) -> bytes:
    """Build a profile for RGB.

    Args:
        primaries: Chromaticities of red, green, blue and white.
        gamma: Exponent of the curve; None for the curve of sRGB.

    Returns:
        The profile.

    Raises:
        ValueError: The chromaticities are no triangle around a white.
    """
    matrix = _matrix_of(primaries)
    if gamma is None:
        curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + b"".join(map(_fixed, _SRGB_CURVE))
    else:
        curve = b"para\0\0\0\0" + struct.pack(">HH", 0, 0) + _fixed(gamma)
    text = "perceptmetrics".encode("utf-16-be")
    words = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    tags = {b"desc": words, b"cprt": words, b"wtpt": _xyz(_D50)}
    tags |= {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(map(_fixed, _D50))
    return header.ljust(128, b"\0") + table + body


def _matrix_of(primaries: tuple[Point, Point, Point, Point]) -> NDArray[np.float64]:
    """From red, green and blue light to XYZ under D50, adapted by Bradford's method."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries if y > 0]).T
    if columns.shape != (3, 4) or abs(np.linalg.det(columns[:, :3])) < 1e-6:
        raise ValueError("the chromaticities of its colours are impossible")
    white = columns[:, 3]
    light = columns[:, :3] * np.linalg.solve(columns[:, :3], white)
    cones = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ light
    return adapted


def _encoded(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The curve of sRGB: from light to numbers, in [0, 1]."""
    light = light.clip(0, 1)
    bright: NDArray[np.float32] = 1.055 * light ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(light <= 0.0031308, 12.92 * light, bright).astype(np.float32)


def _read_curve(data: bytes) -> Curve:
    if data[:4] == b"curv":
        (count,) = struct.unpack_from(">I", data, 8)
        if count == 0:
            return lambda values: values
        if count == 1:
            return _power((struct.unpack_from(">H", data, 12)[0] / 256,))
        table = np.frombuffer(data, ">u2", count, 12) / 65535
        places = np.linspace(0, 1, count)
        return lambda values: np.interp(values, places, table).astype(np.float32)
    if data[:4] == b"para":
        (kind,) = struct.unpack_from(">H", data, 8)
        numbers = (1, 3, 4, 5, 7)[kind]
        return _power(tuple(value / 65536 for value in struct.unpack_from(f">{numbers}i", data, 12)))
    raise KeyError("curve")


def _power(parameters: tuple[float, ...]) -> Curve:
    """A parametric curve, ICC.1 table 68: a power of a line, and below a limit perhaps a line."""
    gamma, a, b, c, d, e, f = (*parameters, 0, 0, 0, 0, 0, 0)[:7] if len(parameters) > 1 else (*parameters, 1, *[0] * 5)
    if len(parameters) in (3, 4):  # below the limit constant, and everything raised by the same number
        c, d, e, f = 0, (-b / a if a else 0), c, c

    def curve(values: NDArray[np.float32]) -> NDArray[np.float32]:
        power = np.maximum(np.float32(a) * values + np.float32(b), 0) ** np.float32(gamma) + np.float32(e)
        return np.where(values >= d, power, np.float32(c) * values + np.float32(f)).astype(np.float32)

    return curve


def _read_xyz(data: bytes) -> tuple[float, float, float]:
    x, y, z = struct.unpack_from(">3i", data, 8)
    return x / 65536, y / 65536, z / 65536


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))
