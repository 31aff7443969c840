"""Train a small denoiser with L1 alone, and with L1 plus a perceptual term, and compare them on left-out photographs.

    python examples/restoration/train.py --photos FOLDER --output restoration

Without --photos the sample pictures of scikit-image are used, which are few: expect less. The denoiser is first trained
with L1. From there it is trained on, once with L1 alone and once for each weight with the perceptual term added; all
see the same patches with the same noise. The output folder gets a table (Markdown and JSON), a plot of PSNR and score
during the training, and a picture of left-out photographs before and after.
"""

from __future__ import annotations

import argparse
import copy
import io
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

import perceptmetrics
from perceptmetrics import PerceptualLoss
from perceptmetrics._util.atomic import write_whole
from perceptmetrics.functional.image import centre_crop, shrink_to_long_side
from perceptmetrics.images.examples import sample_photographs
from perceptmetrics.images.find import find_images

NOISE = 25 / 255  # standard deviation
BASELINE = "L1"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is trained and on what; `--quick` makes all of it small."""

    side: int = 96
    batch: int = 4
    channels: int = 32
    first_steps: int = 400
    more_steps: int = 200
    watch_every: int = 50
    long_side: int = 640
    shown_side: int = 224


QUICK = Plan(side=64, channels=8, first_steps=60, more_steps=24, watch_every=12, long_side=160, shown_side=64)


class Denoiser(nn.Module):
    """Six convolutions that estimate the noise; it starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [3, *[channels] * 5, 3]
        layers: list[nn.Module] = []
        for inner, outer in itertools.pairwise(widths):
            layers += [nn.Conv2d(inner, outer, 3, padding=1, padding_mode="reflect"), nn.ReLU(inplace=True)]
            nn.init.kaiming_normal_(layers[-2].weight)
            nn.init.zeros_(layers[-2].bias)
        self.layers = nn.Sequential(*layers[:-1])
        nn.init.zeros_(self.layers[-1].weight)

    def forward(self, noisy: Tensor) -> Tensor:
        """Denoise; shape (N, 3, H, W)."""
        return noisy - self.layers(noisy)


@dataclass
class Training:
    """A denoiser on its way, with what was measured on left-out photographs."""

    name: str
    network: Denoiser
    weight: float = 0.0
    steps: list[int] | None = None
    psnr: list[float] | None = None
    score: list[float] | None = None


def main() -> None:
    """Train, compare, write."""
    arguments = parsed()
    plan = QUICK if arguments.quick else Plan()
    torch.manual_seed(arguments.seed)
    training, left_out = photographs(arguments.photos, plan)
    loss = perceptmetrics.create_metric(
        arguments.metric, as_loss=True, loss_target=arguments.target, checkpoint=arguments.checkpoint,
        backbone_checkpoint=arguments.backbone_checkpoint,
    )  # fmt: skip
    noisy = with_noise(left_out, torch.Generator().manual_seed(arguments.seed))
    first = Training(BASELINE, Denoiser(plan.channels))
    print(f"{len(training)} photographs to train on, {len(left_out)} left out; "
          f"{sum(parameter.numel() for parameter in first.network.parameters())} parameters")  # fmt: skip
    train(first, training, loss, plan, steps=plan.first_steps, rate=2e-3, watched=(left_out, noisy))
    trainings = []
    for weight in [0.0, *arguments.weights]:
        name = f"L1 + {weight:g} x {arguments.metric}" if weight else BASELINE
        trainings.append(Training(name, copy.deepcopy(first.network), weight))
        torch.manual_seed(arguments.seed + 1)  # the same patches and noise for all
        train(trainings[-1], training, loss, plan, steps=plan.more_steps, rate=5e-4, watched=(left_out, noisy))
    rows = compared(trainings, loss, left_out, noisy)
    write(arguments.output, rows, first, trainings, arguments.metric, (left_out, noisy))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder of photographs; scikit-image's samples when not given")
    parser.add_argument("--output", type=Path, default=Path("restoration"))
    parser.add_argument("--metric", default="lite_iqa", help="any metric: clipiqa, perceptclip_iqa, ...")
    parser.add_argument("--target", help="label to raise, for a metric with labels")
    parser.add_argument("--checkpoint", type=Path, help="the metric's trained file, where it is not on the Hub")
    parser.add_argument("--backbone-checkpoint", type=Path, help="the encoder's file, where it is not on the Hub")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.005, 0.02, 0.1], help="of the perceptual term")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; the result means nothing")
    return parser.parse_args()


def photographs(folder: Path | None, plan: Plan) -> tuple[list[Tensor], Tensor]:
    """Photographs to train on, (3, H, W) each, and the middles of every fourth one, which is left out: (M, 3, h, w)."""
    sources = list(sample_photographs().values()) if folder is None else find_images([folder])
    images = [shrink_to_long_side(perceptmetrics.load_image(source)[None], plan.long_side) for source in sources]
    images = [image.clamp(0, 1) for image in images if min(image.shape[-2:]) >= max(plan.side, plan.shown_side)]
    if len(images) < 2:
        raise SystemExit(f"At least two photographs of {plan.shown_side} pixels are needed, found {len(images)}.")
    left_out = [centre_crop(image, plan.shown_side) for image in images[1::4]]
    return [image[0] for number, image in enumerate(images) if number % 4 != 1], torch.cat(left_out)


def with_noise(clean: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Add noise and clip, as a camera would."""
    return (clean + NOISE * torch.randn(clean.shape, generator=generator)).clamp(0, 1)


def train(
    training: Training,
    photos: list[Tensor],
    loss: PerceptualLoss,
    plan: Plan,
    *,
    steps: int,
    rate: float,
    watched: tuple[Tensor, Tensor],
) -> None:
    """Train on random patches, and look at the left-out photographs now and then."""
    network = training.network
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    training.steps, training.psnr, training.score = [], [], []
    for step in range(steps + 1):
        if step % plan.watch_every == 0 or step == steps:
            psnr, score = measured(network, loss, *watched)
            training.steps.append(step)
            training.psnr.append(psnr.mean().item())
            training.score.append(score.mean().item())
            print(f"{training.name:28} step {step:4}  PSNR {training.psnr[-1]:.2f}  score {training.score[-1]:.4f}")
        if step == steps:
            break
        clean = torch.stack([patch(photos, plan.side) for _ in range(plan.batch)])
        restored = network(with_noise(clean))
        total = F.l1_loss(restored, clean)
        if training.weight:
            total = total + training.weight * loss(restored.clamp(0, 1))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()


def patch(photos: list[Tensor], side: int) -> Tensor:
    """A random square of a random photograph, mirrored half of the time."""
    photo = photos[int(torch.randint(len(photos), ()))]
    top, left = (int(torch.randint(length - side + 1, ())) for length in photo.shape[-2:])
    cut = photo[:, top : top + side, left : left + side]
    return cut.flip(-1) if torch.rand(()) < 0.5 else cut


@torch.no_grad()
def measured(network: nn.Module, loss: PerceptualLoss, clean: Tensor, noisy: Tensor) -> tuple[Tensor, Tensor]:
    """PSNR in dB and score of each left-out photograph."""
    restored = network(noisy).clamp(0, 1)
    loss(restored)  # which keeps the scores
    return -10 * (restored - clean).square().mean(dim=(1, 2, 3)).log10(), loss.score


def compared(
    trainings: list[Training], loss: PerceptualLoss, clean: Tensor, noisy: Tensor
) -> list[dict[str, str | float]]:
    """A row for the noisy photographs, one for each training, and one for the clean photographs."""
    rows: list[dict[str, str | float]] = []
    networks = {"noisy": nn.Identity()} | {training.name: training.network for training in trainings}
    base: Tensor | None = None
    for name, network in networks.items():
        psnr, score = measured(network, loss, clean, noisy)
        base = score if name == BASELINE else base
        better = float("nan") if base is None or name == BASELINE else float((score > base).sum())
        rows.append({"name": name, "psnr": psnr.mean().item(), "score": score.mean().item(), "above_l1": better})
    score = measured(nn.Identity(), loss, clean, clean)[1]
    rows.append({"name": "clean", "psnr": float("nan"), "score": score.mean().item(), "above_l1": float("nan")})
    return rows


def write(
    folder: Path,
    rows: list[dict[str, str | float]],
    first: Training,
    trainings: list[Training],
    metric: str,
    pictures: tuple[Tensor, Tensor],
) -> None:
    """Write the table, the plot and the picture."""
    count = pictures[0].shape[0]
    lines = [f"| | PSNR, dB | mean {metric} | above L1 alone |", "|---|---|---|---|"]
    for row in rows:
        cells = [
            f"{row['psnr']:.2f}", f"{row['score']:.4f}", f"{row['above_l1']:.0f} of {count}"
        ]  # fmt: skip
        lines.append(f"| {row['name']} | " + " | ".join("" if "nan" in cell else cell for cell in cells) + " |")
    table = "\n".join(lines) + "\n"
    print(table)
    write_whole(folder / "table.md", table.encode())
    numbers = [{key: None if value != value else value for key, value in row.items()} for row in rows]
    curves = {
        name: {"steps": training.steps, "psnr": training.psnr, "score": training.score}
        for name, training in [("L1, first part", first), *((training.name, training) for training in trainings)]
    }
    results = {"metric": metric, "rows": numbers, "curves": curves}
    write_whole(folder / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    write_whole(folder / "training.png", plotted(first, trainings, metric))
    write_whole(folder / "before_after.jpg", shown(trainings, *pictures))


def plotted(first: Training, trainings: list[Training], metric: str) -> bytes:
    """PSNR and score on the left-out photographs along the training."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, field, title in zip(figure.subplots(1, 2), ("psnr", "score"), ("PSNR, dB", metric), strict=True):
        axes.plot(first.steps, getattr(first, field), color="#6B7280", label="L1, first part")
        for training, line in zip(trainings, ("-", "--", "-.", ":") * len(trainings), strict=False):
            steps = [first.steps[-1] + step for step in training.steps]
            axes.plot(steps, getattr(training, field), line, label=training.name)
        axes.set(xlabel="step", ylabel=title)
    figure.axes[0].legend(frameon=False, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


@torch.no_grad()
def shown(trainings: list[Training], clean: Tensor, noisy: Tensor, rows: int = 3, side: int = 160) -> bytes:
    """Middles of left-out photographs, one in a row: noisy, restored by each network, clean."""
    columns = [noisy, *(training.network(noisy).clamp(0, 1) for training in trainings), clean]
    places = torch.linspace(0, len(clean) - 1, min(rows, len(clean))).round().long()
    cut = [centre_crop(column[places], min(side, column.shape[-1])) for column in columns]
    picture = torch.cat([torch.cat(list(column), dim=-2) for column in cut], dim=-1)
    buffer = io.BytesIO()
    pixels = (picture * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=85, subsampling=0)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
