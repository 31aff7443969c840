"""Draw the road of an image through a metric.

python docs/road.py
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

FIGURE = Path(__file__).parent / "images" / "road.svg"
STATIONS = (
    ("images", "decode, once", "(3, H, W)"),
    ("Views", "resize, crop", "(N V, 3, h, w)"),
    ("Encoder", "encode", "(N V, D)"),
    ("Head", "predict", "(N V, K)"),
    ("Pool", "average, map", "(N,) or (N, K)"),
)
WIDTH, HEIGHT, GAP, TOP = 136, 64, 52, 62
STYLE = """
  text { font: 15px system-ui, sans-serif; fill: #1a1d21; text-anchor: middle }
  .small { font-size: 12px; fill: #575e68 }
  .name { font-weight: 600 }
  rect { fill: #f4f5f7; stroke: #0059a6; stroke-width: 1.5 }
  path { fill: none; stroke: #575e68; stroke-width: 1.5 }
  .tip { fill: #575e68; stroke: none }
  .ground { fill: #ffffff; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8eaed } .small { fill: #a5adb8 } rect { fill: #1f2429; stroke: #7cbcf5 } path { stroke: #a5adb8 }
    .tip { fill: #a5adb8; stroke: none } .ground { fill: #14171b }
  }
"""


def figure() -> str:
    """The drawing as SVG."""
    width = len(STATIONS) * (WIDTH + GAP) - GAP + 20
    parts = [station(10 + place * (WIDTH + GAP), *texts) for place, texts in enumerate(STATIONS)]
    arrows = [arrow(10 + place * (WIDTH + GAP) + WIDTH) for place in range(len(STATIONS) - 1)]
    entry = 10 + WIDTH + GAP / 2
    said = [
        text(10 + WIDTH / 2, 22, "path, bytes, PIL, array", "small"),
        text(entry, 40, "tensor", "small"),
        f'<path d="M{entry} 46V{TOP + HEIGHT / 2 - 6}"/>',
        text(10 + WIDTH + GAP + (width - WIDTH - GAP) / 2, 22, "differentiable in the pixels", "small"),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 34}" role="img">'
        f'<style>{STYLE}</style><rect class="ground" width="100%" height="100%"/>'
        f"{''.join(parts + arrows + said)}</svg>\n"
    )


def station(left: float, name: str, does: str, gives: str) -> str:
    """A part of a metric, and the shape that leaves it."""
    middle = left + WIDTH / 2
    return (
        f'<rect x="{left}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        + text(middle, TOP + 28, name, "name")
        + text(middle, TOP + 48, does, "small")
        + text(middle, TOP + HEIGHT + 22, gives, "small")
    )


def arrow(left: float) -> str:
    """From one part to the next."""
    middle = TOP + HEIGHT / 2
    tip = f"M{left + GAP - 4} {middle}l-9 -5v10z"
    return f'<path d="M{left + 4} {middle}H{left + GAP - 10}"/><path class="tip" d="{tip}"/>'


def text(x: float, y: float, content: str, kind: str) -> str:
    """A line of text around a point."""
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(content)}</text>'


if __name__ == "__main__":
    FIGURE.write_text(figure(), encoding="utf-8")
