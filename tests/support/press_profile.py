"""ICC profiles that hold tables, made by hand: for CMYK and for RGB."""

from __future__ import annotations

import itertools
import struct

import numpy as np


def table_profile(space: bytes, to_lab, grid: int = 9) -> bytes:
    """A profile whose only tag for colours is a table (`lut16Type`).

    Args:
        space: `b"CMYK"` or `b"RGB "`.
        to_lab: Gives L*, a*, b* for device values (N, C) in [0, 1].
        grid: Steps of the table for each channel.
    """
    channels = 4 if space == b"CMYK" else 3
    steps = np.array(list(itertools.product(np.linspace(0, 1, grid), repeat=channels)))
    light, red, yellow = to_lab(steps).T
    lab = np.stack([light / 100 * 65280, (red + 128) * 256, (yellow + 128) * 256], axis=-1)
    straight = np.array([0, 65535], ">u2").tobytes()
    table = b"mft2\0\0\0\0" + bytes([channels, 3, grid, 0])
    table += struct.pack(">9i", *(65536 * (row == column) for row in range(3) for column in range(3)))
    table += struct.pack(">HH", 2, 2) + straight * channels + lab.round().clip(0, 65535).astype(">u2").tobytes()
    table += straight * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in (0.9642, 1.0, 0.8249)))
    words = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    words += bytes(-len(words) % 4)
    tags = {b"desc": words, b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": white, b"A2B0": table, b"A2B1": table}
    start, entries, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        entries += struct.pack(">4sII", name, start + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"prtr", space, b"Lab ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + entries + body


def press(inks):
    """Paper and inks of a press, roughly: L*, a*, b* of (N, 4) amounts of cyan, magenta, yellow and black."""
    cyan, magenta, yellow, black = inks.T
    light = 93 * (1 - black * 0.8) * (1 - 0.38 * cyan) * (1 - 0.5 * magenta) * (1 - 0.07 * yellow)
    red = (-35 * cyan + 72 * magenta - 5 * yellow) * (1 - black)
    blue = (-45 * cyan - 4 * magenta + 88 * yellow - 3) * (1 - black)
    return np.stack([light, red.clip(-100, 100), blue.clip(-100, 100)], axis=-1)
