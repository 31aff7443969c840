"""Healthy images that are no photographs: documents, screenshots, drawings and charts, drawn by seeded programs.

Those of `TRAINING` teach the tripwire what is no fault; those of `TEST` come from other programs.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Draw = Callable[[np.random.Generator], np.ndarray]

__all__ = ["TEST", "TRAINING", "sample_images"]

_WORDS = [
    *("the", "of", "light", "image", "which", "while", "scores", "and", "below"),
    *("margin", "paper", "total", "under", "every", "between", "window", "about"),
]


def _colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    return tuple(int(value) for value in rng.integers(low, high, 3))


def _words(rng: np.random.Generator, count: int) -> str:
    return " ".join(rng.choice(_WORDS, count))


def _font(size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)


def document(rng):
    width, height = int(rng.integers(420, 760)), int(rng.integers(560, 980))
    image = Image.new("RGB", (width, height), _colour(rng, 240, 256))
    pen, size, y = ImageDraw.Draw(image), float(rng.integers(10, 19)), int(rng.integers(30, 90))
    while y < height * rng.uniform(0.6, 0.95):
        pen.text((40, y), _words(rng, int(width / size / 2.6)), fill=_colour(rng, 0, 50), font=_font(size))
        y += int(size * rng.choice([1.4, 1.4, 1.4, 2.6]))
    return np.asarray(image)


def form(rng):
    """A form with a table, lines and a dark header."""
    width, height = int(rng.integers(480, 800)), int(rng.integers(480, 800))
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width, int(height * 0.1)), fill=_colour(rng, 20, 140))
    rows, columns = int(rng.integers(4, 14)), int(rng.integers(2, 7))
    for row in range(rows):
        top = int(height * (0.2 + 0.7 * row / rows))
        for column in range(columns):
            left = int(width * (0.05 + 0.9 * column / columns))
            box = (left, top, left + int(width * 0.9 / columns), top + int(height * 0.7 / rows))
            pen.rectangle(box, outline=_colour(rng, 80, 160))
            pen.text((left + 4, top + 3), str(int(rng.integers(0, 99999))), fill="black", font=_font(11))
    return np.asarray(image)


def screenshot(rng):
    width, height = int(rng.integers(640, 1000)), int(rng.integers(420, 680))
    dark = rng.random() < 0.5
    ground = _colour(rng, 20, 50) if dark else _colour(rng, 225, 256)
    ink = _colour(rng, 170, 256) if dark else _colour(rng, 0, 90)
    image = Image.new("RGB", (width, height), ground)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width, 34), fill=_colour(rng))
    side = int(width * rng.uniform(0.15, 0.3))
    pen.rectangle((0, 34, side, height), fill=tuple(min(255, value + 12) for value in ground))
    for y in range(50, height - 30, int(rng.integers(20, 40))):
        pen.text((10, y), _words(rng, 2), fill=ink, font=_font(12))
        pen.text((side + 20, y), _words(rng, int(rng.integers(2, 10))), fill=ink, font=_font(13))
        if rng.random() < 0.25:
            pen.rounded_rectangle((width - 120, y, width - 30, y + 18), 5, fill=_colour(rng))
    return np.asarray(image)


def shapes(rng):
    """A flat drawing."""
    width, height = int(rng.integers(360, 720)), int(rng.integers(360, 720))
    image = Image.new("RGB", (width, height), _colour(rng))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(5, 30))):
        x, y = rng.integers(-50, width), rng.integers(-50, height)
        box = (int(x), int(y), int(x + rng.integers(20, 260)), int(y + rng.integers(20, 260)))
        if rng.random() < 0.5:
            pen.ellipse(box, fill=_colour(rng), outline="black", width=int(rng.integers(1, 5)))
        else:
            points = [(int(rng.integers(0, width)), int(rng.integers(0, height))) for _ in range(3)]
            pen.polygon(points, fill=_colour(rng), outline="black")
    return np.asarray(image.filter(ImageFilter.SMOOTH))


def line_drawing(rng):
    width, height = int(rng.integers(360, 720)), int(rng.integers(360, 720))
    image = Image.new("RGB", (width * 2, height * 2), _colour(rng, 230, 256))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(8, 40))):
        centre, steps = rng.uniform(0, 1, 2) * (2 * width, 2 * height), rng.normal(0, 60, (30, 2)).cumsum(0)
        pen.line([tuple(point) for point in centre + steps], fill=_colour(rng, 0, 70), width=int(rng.integers(2, 8)))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def chart(rng):
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    style = str(rng.choice(["default", "ggplot", "dark_background", "seaborn-v0_8-whitegrid"]))
    with plt.style.context(style):
        figure, axes = plt.subplots(figsize=rng.uniform(4, 8, 2), dpi=100)
        kind, x = rng.integers(0, 4), np.arange(int(rng.integers(5, 40)))
        if kind == 0:
            axes.plot(x, rng.normal(0, 1, (len(x), 3)).cumsum(0), label=["a", "b", "c"])
            axes.legend()
        elif kind == 1:
            axes.bar(x, rng.uniform(1, 9, len(x)), color=str(rng.choice(["C0", "C1", "teal", "grey"])))
        elif kind == 2:
            axes.scatter(*rng.normal(0, 1, (2, 400)), s=rng.uniform(5, 40, 400), c=rng.uniform(0, 1, 400))
        else:
            axes.hist(rng.normal(0, 1, (500, 2)), bins=20)
        axes.set_title(_words(rng, 4))
        axes.set_xlabel(_words(rng, 2))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        plt.close(figure)
    return np.asarray(Image.open(buffer).convert("RGB"))


def terminal(rng):
    width, height = int(rng.integers(560, 900)), int(rng.integers(380, 620))
    image = Image.new("RGB", (width, height), str(rng.choice(["black", "#1e1e2e", "#fdf6e3", "#002b36"])))
    pen = ImageDraw.Draw(image)
    light = np.mean(image.getpixel((0, 0))) < 128
    for y in range(6, int(height * rng.uniform(0.4, 1)), 16):
        ink = _colour(rng, 140, 256) if light else _colour(rng, 0, 120)
        pen.text((6 + 18 * int(rng.integers(0, 4)), y), _words(rng, int(rng.integers(1, 9))), fill=ink, font=_font(13))
    return np.asarray(image)


def receipt(rng):
    """A scanned slip: grey paper, soft text, a little noise, a slight angle."""
    width, height = int(rng.integers(300, 480)), int(rng.integers(500, 900))
    image = Image.new("RGB", (width, height), _colour(rng, 215, 245))
    pen = ImageDraw.Draw(image)
    for y in range(30, height - 60, 22):
        pen.text((24, y), _words(rng, 3), fill=(60, 60, 64), font=_font(14))
        pen.text((width - 80, y), f"{rng.uniform(1, 99):.2f}", fill=(60, 60, 64), font=_font(14))
    turned = image.rotate(float(rng.uniform(-3, 3)), Image.Resampling.BICUBIC, fillcolor=image.getpixel((2, 2)))
    soft = np.asarray(turned.filter(ImageFilter.GaussianBlur(0.7)), dtype=np.float64)
    return np.clip(soft + rng.normal(0, 4, soft.shape), 0, 255).astype(np.uint8)


def gradient_poster(rng):
    """Large letters on a smooth gradient."""
    width, height = int(rng.integers(400, 800)), int(rng.integers(400, 800))
    first, second = np.array(_colour(rng), float), np.array(_colour(rng), float)
    x = np.linspace(0, 1, width)[None, :, None] * rng.uniform(0, 1) + np.linspace(0, 1, height)[:, None, None]
    image = Image.fromarray(np.clip(first + (second - first) * x / 2, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for row in range(3):
        pen.text((30, 60 + 110 * row), _words(rng, 1), fill=_colour(rng), font=_font(float(rng.integers(50, 100))))
    return np.asarray(image)


def cartoon(rng):
    """Outlined blobs with soft shading, at four times the size and then reduced."""
    size = int(rng.integers(380, 640))
    image = Image.new("RGB", (2 * size, 2 * size), _colour(rng, 120, 256))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(4, 12))):
        angle, centre = np.linspace(0, 2 * np.pi, 60), rng.uniform(0.1, 0.9, 2) * 2 * size
        radius = size * rng.uniform(0.1, 0.5) * (1 + 0.2 * np.sin(angle * rng.integers(2, 6) + rng.uniform(0, 6)))
        points = [
            (float(centre[0] + r * np.cos(a)), float(centre[1] + r * np.sin(a)))
            for r, a in zip(radius, angle, strict=True)
        ]
        pen.polygon(points, fill=_colour(rng), outline=(20, 20, 30), width=8)
    shade = np.linspace(1.05, 0.8, size)[:, None, None]
    small = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))
    return np.clip(small * shade, 0, 255).astype(np.uint8)


TRAINING: dict[str, Draw] = {draw.__name__: draw for draw in (document, screenshot, shapes, chart, line_drawing)}
TEST: dict[str, tuple[str, Draw]] = {
    draw.__name__: (kind, draw)
    for kind, draw in (
        ("documents", form),
        ("documents", receipt),
        ("screenshots", terminal),
        ("drawings", cartoon),
        ("drawings", gradient_poster),
    )
}


def sample_images() -> dict[str, Image.Image]:
    """Images that come with scikit-image and are no photographs of everyday scenes."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    names = "page.png text.png coins.png cell.png moon.png ihc.png retina.jpg hubble_deep_field.jpg horse.png logo.png"
    return {name: Image.open(folder / name).convert("RGB") for name in names.split()}
