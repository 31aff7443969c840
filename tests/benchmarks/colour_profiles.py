"""What ignoring colour profiles does to scores: `python tests/benchmarks/colour_profiles.py [METRIC ...]`.

The sample photographs, as they are and degraded, are stored in the colours of several profiles, and scored with
`icc="convert"` and `icc="ignore"`. Printed is the difference from the score of the same photograph in sRGB.
"""

from __future__ import annotations

import io
import sys

import numpy as np
from PIL import Image, ImageCms

from perceptmetrics import create_metric
from perceptmetrics.images.examples import DEGRADATIONS, sample_photographs
from perceptmetrics.images.icc import build_profile

D65 = (0.3127, 0.3290)
PROFILES = {
    "Display P3": build_profile(((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)),
    "Adobe RGB": build_profile(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65), 563 / 256),
    "ProPhoto RGB": build_profile(
        ((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), (0.3457, 0.3585)), 1.8
    ),
    "linear sRGB": build_profile(gamma=1.0),
}


def stored(image: Image.Image, icc: bytes) -> bytes:
    """The same colours in a PNG with a profile."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    converted = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), profile, renderingIntent=1)
    stream = io.BytesIO()
    converted.save(stream, "PNG", icc_profile=icc)
    return stream.getvalue()


def main() -> None:
    """Print the table."""
    photographs = list(sample_photographs().values())
    images = photographs + [degrade(image) for image in photographs for degrade in DEGRADATIONS.values()]
    print(f"{len(images)} images; largest and mean change of the score")
    for name in sys.argv[1:] or ["lite_iqa"]:
        convert, ignore = (create_metric(name, icc=icc) for icc in ("convert", "ignore"))
        plain = convert.score(images).numpy()
        print(f"{name}: scores in sRGB from {plain.min():.3f} to {plain.max():.3f}")
        for profile, icc in PROFILES.items():
            files = [stored(image, icc) for image in images]
            changes = [np.abs(metric.score(files).numpy() - plain) for metric in (convert, ignore)]
            shown = [f"{change.max():.4f} {change.mean():.4f}" for change in changes]
            print(f"  {profile:<14} convert {shown[0]}   ignore {shown[1]}")


if __name__ == "__main__":
    main()
