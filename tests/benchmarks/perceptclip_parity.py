"""How far PerceptCLIP's scores are from the independent implementation, and from each other in every format of file.

    python -m tests.benchmarks.perceptclip_parity [--weights FOLDER] [--crops 15] [--photographs 10]

Full size, seeded random weights. The reference is transformers, peft, torchvision and Pillow
(`tests/parity/reference_perceptclip.py`); `tests/parity/test_perceptclip.py` asserts what is printed here. The last
table says how much it matters whether an image comes as a file, which is resized as Pillow does it, or as a tensor,
whose resizing is differentiable. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from perceptmetrics import Metric, create_metric, load_image, metric_info
from perceptmetrics.export.convert import convert
from perceptmetrics.factory.tuned_encoder import cached_encoder, read_tuned
from perceptmetrics.images.examples import sample_photographs
from perceptmetrics.models.encoders import EncoderWeights, build_image_encoder
from perceptmetrics.models.heads import MlpHead
from perceptmetrics.models.lora import attach_lora, load_lora, merge_lora, unmerge_lora
from perceptmetrics.models.views import Views
from perceptmetrics.weights.layouts import read_image_encoder
from tests.benchmarks.perceptclip_files import (
    EMOTION_METRIC,
    MEMORABILITY_METRIC,
    QUALITY_METRIC,
    PerceptClipFiles,
    perceptclip_files,
)
from tests.parity.reference_perceptclip import MEAN, STD, ReferencePerceptClip, emotion, memorability, quality
from tests.support.photographs import photographs
from tests.support.rated_data import data_folder

GRADIENT_CROPS = 2
Score = Callable[[Tensor], Tensor]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="folder of the weights, written there once (about 5 GB)")
    parser.add_argument("--crops", type=int, default=15, help="crops of quality")
    parser.add_argument("--photographs", type=int, default=10, help="photographs of the last table")
    arguments = parser.parse_args()
    pictures = [
        picture.resize((400, 300), Image.Resampling.LANCZOS) for picture in list(sample_photographs().values())[:4]
    ]
    with perceptclip_files(arguments.weights) as files:
        print("Largest difference of scores (probabilities for emotion) from the reference, four photographs.\n")
        print("| | one at a time | batch of 4 | gradient: cosine | its norm, ours / reference |")
        print("|---|---|---|---|---|")
        for name in files.released:
            print_parity(name, files, pictures, arguments.crops)
        print("\nLargest difference between formats of the same file.\n\n| | |\n|---|---|")
        print_adapters(files, pictures)
        print_forms(files, pictures)
        print_resize_gap(files, arguments.crops, arguments.photographs)


def print_parity(name: str, files: PerceptClipFiles, pictures: list[Image.Image], crops: int) -> None:
    """A row: scores and gradient of one metric."""
    reference = files.reference(name)
    scores_of = {
        QUALITY_METRIC: lambda picture: quality(reference, picture, crops),
        MEMORABILITY_METRIC: lambda picture: memorability(reference, picture),
        EMOTION_METRIC: lambda picture: emotion(reference, picture),
    }
    wanted = torch.stack([scores_of[name](picture) for picture in pictures])
    metric = create(name, files.slim[name], crops)
    alone, together = (largest(metric.score(pictures, batch_size=batch) - wanted) for batch in (1, 4))
    size = (512, 384) if name == QUALITY_METRIC else (224, 224)  # which resizing leaves alone
    pixels = photographs(*size)[1:2]
    ours = gradient(create(name, files.slim[name], GRADIENT_CROPS), pixels)
    theirs = gradient(lambda images: reference_scores(reference, name, images), pixels)
    cosine = torch.cosine_similarity(ours.double().flatten(), theirs.double().flatten(), dim=0)
    ratio = ours.norm() / theirs.norm()
    title = f"`{name}`, {crops} crops" if name == QUALITY_METRIC else f"`{name}`"
    print(f"| {title} | {alone:.1e} | {together:.1e} | {cosine:.8f} | {ratio:.6f} |", flush=True)


def create(name: str, file: Path, crops: int) -> Metric:
    """A metric; quality with so many crops."""
    return create_metric(name, checkpoint=file, **({"crops": crops} if name == QUALITY_METRIC else {}))


def gradient(score: Score, images: Tensor) -> Tensor:
    """Gradient of a score to the pixels; for emotion, of the first label."""
    pixels = images.clone().requires_grad_()
    scores = score(pixels)
    (scores if scores.ndim == 1 else scores[:, 0]).sum().backward()
    assert pixels.grad is not None
    return pixels.grad


def reference_scores(reference: ReferencePerceptClip, name: str, images: Tensor) -> Tensor:
    """The reference's scores of pixels that need no resizing."""
    pixels = transforms.Normalize(MEAN, STD)(images)
    if name == MEMORABILITY_METRIC:
        return reference(pixels)[:, 0]
    if name == EMOTION_METRIC:
        return reference(pixels).softmax(dim=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        places = [transforms.RandomCrop.get_params(pixels, (224, 224)) for _ in range(GRADIENT_CROPS)]
    crops = torch.cat([pixels[..., top : top + 224, left : left + 224] for top, left, _, _ in places])
    return (reference(crops).mean(dim=0) + 6.52) / 9.63


def print_adapters(files: PerceptClipFiles, pictures: list[Image.Image]) -> None:
    """Rows: adapters beside the encoder's weights, merged, and taken out again."""
    spec = metric_info(MEMORABILITY_METRIC)
    trained = read_tuned(files.slim[spec.name], spec).trained
    base = cached_encoder(trained.base)
    tensors = EncoderWeights(read_image_encoder(base), {}, str(base))
    backbone = build_image_encoder(replace(spec.encoder, lora=None), tensors)
    attach_lora(backbone, spec.encoder.lora)
    load_lora(backbone, trained.lora)
    head = MlpHead(spec.head)
    head.load_state_dict(trained.head)
    metric = Metric(spec, Views(spec.views), backbone, head)
    apart = metric.score(pictures)
    merge_lora(metric)
    merged = metric.score(pictures)
    unmerge_lora(metric)
    print(f"| memorability, adapters apart and merged | {largest(apart - merged):.1e} |")
    print(f"| memorability, adapters apart and taken out again | {largest(apart - metric.score(pictures)):.1e} |")


def print_forms(files: PerceptClipFiles, pictures: list[Image.Image]) -> None:
    """Rows: the formats that `perceptmetrics convert` writes."""
    released = files.released[MEMORABILITY_METRIC]
    wanted = create_metric(MEMORABILITY_METRIC, checkpoint=released).score(pictures)
    formats = {"slim": {}, "merged": {"format": "merged"}, "merged, float16": {"format": "merged", "half": True}}
    for title, options in formats.items():
        with tempfile.TemporaryDirectory() as folder:
            converted = convert(released, Path(folder, "converted"), **options).folder
            size = Path(converted, "model.safetensors").stat().st_size / 1e6
            difference = largest(create_metric(converted).score(pictures) - wanted)
        print(f"| memorability, {title} ({size:.1f} MB) and the released file | {difference:.1e} |", flush=True)


def print_resize_gap(files: PerceptClipFiles, crops: int, count: int) -> None:
    """A table: scores of files against scores of the same pixels as tensors."""
    with tempfile.TemporaryDirectory() as folder:
        paths = photograph_files(Path(folder), count)
        sizes = sorted({"{} x {}".format(*Image.open(path).size) for path in paths})
        print(f"\nA file against the same image as a tensor: {len(paths)} photographs of {', '.join(sizes)}.\n")
        print("| | largest difference | mean difference | standard deviation of the scores |\n|---|---|---|---|")
        for name in files.slim:
            metric = create(name, files.slim[name], crops)
            of_files = metric.score(paths, batch_size=1)
            with torch.inference_mode():
                of_tensors = torch.cat([metric(load_image(path)) for path in paths])
            gap = (of_files - of_tensors).abs()
            spread = of_files.std(dim=0).mean()
            print(f"| `{name}` | {gap.max():.1e} | {gap.mean():.1e} | {spread:.1e} |", flush=True)


def photograph_files(folder: Path, count: int) -> list[Path]:
    """Files of photographs: those of the data sets, or else scikit-image's."""
    try:
        return sorted(data_folder("photos").iterdir())[:count]
    except pytest.skip.Exception:
        for name, picture in list(sample_photographs().items())[:count]:
            picture.save(folder / f"{name}.png")
        return sorted(folder.iterdir())


def largest(difference: Tensor) -> float:
    """Largest absolute value."""
    return float(difference.abs().max())


if __name__ == "__main__":
    main()
