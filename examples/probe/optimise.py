"""Change an image, within a bound, so that a metric's score rises or falls: a probe of the metric, not of the image.

    python examples/probe/optimise.py --metric lite_iqa --output probe
    python examples/probe/optimise.py --image photo.jpg --metric perceptclip_mem --direction down
    python examples/probe/optimise.py --image photo.jpg --metric perceptclip_emo --target contentment

The output folder gets the picture before and after with their difference, the trace of the score, and a table with
two controls: noise of the same size, which the metric should not mind, and the result compressed as JPEG.
"""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

import perceptmetrics
from perceptmetrics import PerceptualLoss
from perceptmetrics._util.atomic import write_whole
from perceptmetrics.functional.image import shrink_to_long_side
from perceptmetrics.images.examples import sample_photographs

JPEG_QUALITY = 75


@dataclass(frozen=True)
class Probed:
    """What came out: the picture, shape (1, 3, H, W), and the score before each step and at the end."""

    picture: Tensor
    trace: list[float]


def main() -> None:
    """Optimise, compare, write."""
    arguments = parsed()
    loss = perceptmetrics.create_metric(
        arguments.metric,
        as_loss=True,
        loss_target=arguments.target,
        checkpoint=arguments.checkpoint,
        backbone_checkpoint=arguments.backbone_checkpoint,
    )
    source = sample_photographs()["chelsea"] if arguments.image is None else arguments.image
    long_side = 96 if arguments.quick else arguments.long_side
    picture = as_a_file_holds(shrink_to_long_side(perceptmetrics.load_image(source)[None], long_side).clamp(0, 1))
    steps = 8 if arguments.quick else arguments.steps
    bound = arguments.bound / 255
    probed = optimise(picture, loss, bound=bound, steps=steps, upward=arguments.direction == "up")
    controls = with_controls(picture, probed.picture, loss, arguments.seed)
    write(arguments.output, picture, probed, controls, arguments)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, help="a sample of scikit-image when not given")
    parser.add_argument("--output", type=Path, default=Path("probe"))
    parser.add_argument("--metric", default="lite_iqa", help="any metric: perceptclip_mem, clipiqa, ...")
    parser.add_argument("--target", help="label, for a metric with labels")
    parser.add_argument("--direction", choices=("up", "down"), default="up", help="of the score")
    parser.add_argument("--bound", type=float, default=4.0, help="largest change of a value, of 255")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--long-side", type=int, default=384, help="larger images are shrunk")
    parser.add_argument("--checkpoint", type=Path, help="the metric's trained file, where it is not on the Hub")
    parser.add_argument("--backbone-checkpoint", type=Path, help="the encoder's file, where it is not on the Hub")
    parser.add_argument("--seed", type=int, default=0, help="of the noise that is compared with")
    parser.add_argument("--quick", action="store_true", help="a few steps on a small picture")
    return parser.parse_args()


def optimise(picture: Tensor, loss: PerceptualLoss, *, bound: float, steps: int, upward: bool) -> Probed:
    """Follow the sign of the gradient in shrinking steps, never farther than `bound` from any value of the picture."""
    # The loss falls when the score gets better, which is downward for some metrics.
    sign = 1.0 if upward != loss.metric.lower_better else -1.0
    pixels, trace = picture.clone(), []
    for step in range(steps):
        pixels.requires_grad_()
        value = sign * loss(pixels)
        trace.append(loss.score.item())
        (gradient,) = torch.autograd.grad(value, pixels)
        with torch.no_grad():
            moved = pixels - 0.25 * bound * (1 - step / steps) * gradient.sign()
            pixels = picture + (moved - picture).clamp(-bound, bound)
            pixels = pixels.clamp(0, 1)
    pixels = as_a_file_holds(pixels)
    trace.append(score_of(loss, pixels))
    return Probed(pixels, trace)


@torch.no_grad()
def score_of(loss: PerceptualLoss, picture: Tensor) -> float:
    """Score of a single picture."""
    loss(picture)
    return loss.score.item()


def with_controls(before: Tensor, after: Tensor, loss: PerceptualLoss, seed: int) -> dict[str, float]:
    """Scores before and after, with noise of the same size, and after compression."""
    change = (after - before).abs()
    signs = torch.randint(0, 2, before.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    pictures = {
        "before": before,
        "after": after,
        "noise of the same size": (before + signs * change).clamp(0, 1),
        f"after, as JPEG of quality {JPEG_QUALITY}": compressed(after),
        f"before, as JPEG of quality {JPEG_QUALITY}": compressed(before),
    }
    return {name: score_of(loss, picture) for name, picture in pictures.items()}


def compressed(picture: Tensor) -> Tensor:
    """There and back."""
    buffer = io.BytesIO()
    as_image(picture).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return perceptmetrics.load_image(buffer.getvalue())[None]


def as_a_file_holds(picture: Tensor) -> Tensor:
    """Rounded to 8 bits."""
    return (picture * 255).round() / 255


def as_image(picture: Tensor) -> Image.Image:
    """Of shape (1, 3, H, W)."""
    return Image.fromarray((picture[0] * 255).round().byte().permute(1, 2, 0).numpy())


def write(
    folder: Path, before: Tensor, probed: Probed, controls: dict[str, float], arguments: argparse.Namespace
) -> None:
    """Write pictures, trace and table."""
    metric = arguments.metric if arguments.target is None else f"{arguments.metric}, {arguments.target}"
    lines = [f"| | {metric} |", "|---|---|", *(f"| {name} | {score:.4f} |" for name, score in controls.items())]
    table = "\n".join(lines) + "\n"
    change = probed.picture - before
    psnr = -10 * change.square().mean().log10().item()
    print(f"{table}\nLargest change {255 * change.abs().max().item():.0f} of 255, PSNR {psnr:.1f} dB")
    write_whole(folder / "table.md", table.encode())
    results = {"metric": metric, "scores": controls, "trace": probed.trace, "psnr": psnr}
    write_whole(folder / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    amplified = (0.5 + change * 0.5 / change.abs().max().clamp_min(1 / 255)).clamp(0, 1)
    side_by_side = as_image(torch.cat([before, probed.picture, amplified], dim=-1))
    buffer = io.BytesIO()
    side_by_side.save(buffer, format="JPEG", quality=85)
    write_whole(folder / "before_after_difference.jpg", buffer.getvalue())
    buffer = io.BytesIO()
    as_image(probed.picture).save(buffer, format="PNG")
    write_whole(folder / "after.png", buffer.getvalue())
    write_whole(folder / "trace.png", plotted(probed.trace, controls, metric))


def plotted(trace: list[float], controls: dict[str, float], metric: str) -> bytes:
    """The score step by step, beside that with noise of the same size."""
    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(len(trace)), trace, label="optimised")
    axes.axhline(controls["noise of the same size"], color="#6B7280", linestyle="--", label="noise of the same size")
    axes.set(xlabel="step", ylabel=metric)
    axes.legend(frameon=False, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
