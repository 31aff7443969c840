"""Find broken images among healthy ones.

A tripwire for pipelines that write images: it names the fault. A blurred or noisy photograph is not broken.
"""

from pathlib import Path

import numpy as np
from PIL import Image

import perceptmetrics

Path("outputs").mkdir()
photograph = np.asarray(Image.open("photos/sharp/astronaut.png"))
half = photograph.copy()
half[len(half) // 2 :] = 0
broken = {
    "healthy": photograph,
    "half_lost": half,
    "divided_twice": photograph // 255,
    "repeated": np.concatenate([photograph[:, : photograph.shape[1] // 2]] * 2, axis=1),
}
for name, pixels in broken.items():
    Image.fromarray(pixels).save(f"outputs/{name}.png")
Image.fromarray(np.concatenate(list(broken.values()), axis=1)).save("outputs.png")
for verdict in perceptmetrics.find_broken("outputs/"):
    print(f"{verdict.name}: {verdict.kind}")
