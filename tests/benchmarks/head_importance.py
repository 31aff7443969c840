"""Importance of all heads of ViT-L/14 beside a loop of one plain pass for each head.

    python -m tests.benchmarks.head_importance [--images 16] [--subset 24] [--threads 2] [--quick]

Random weights, PerceptCLIP's memorability: one view of 224 x 224 an image. The loop encodes all images anew for each of
the 384 heads, a few at a time as scoring does, by the same blocks as ours: what it does not share are passes. With
`--subset` it runs for so many heads, spread evenly over the layers, and its time is extrapolated; a pass takes the same
time whatever the head. Parts of the loop are run before and after each of ours, so that what else the machine does
meets both; the processor's own time is printed too. Then: how well the estimate of first order ranks the heads.
Prints Markdown; nothing is asserted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from perceptmetrics import Metric, create_metric, head_importance
from perceptmetrics.explain import Head
from perceptmetrics.functional.stats import srcc
from perceptmetrics.models.encoders import Transformer
from tests.explain.cases import amplify
from tests.support.photographs import photographs

QUICK = {"images": 1, "subset": 4, "layers": 4}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--subset", type=int, help="heads that the loop runs for; all unless stated")
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="one image, four layers, four heads in the loop")
    arguments = parser.parse_args()
    if arguments.quick:
        parser.set_defaults(**QUICK)
        arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    metric = random_metric(arguments.layers)
    images = list(pictures(arguments.images))
    heads = [Head(layer, number) for layer in range(arguments.layers) for number in range(16)]
    some = heads if arguments.subset is None else spread(heads, arguments.subset)
    print(
        f"{arguments.threads} threads, torch {torch.__version__}, ViT-L/14 with {arguments.layers} layers and random "
        f"weights, {len(images)} images, the loop run for {len(some)} of {len(heads)} heads.\n"
    )
    compare(metric, images, heads, some)


def random_metric(layers: int) -> Metric:
    """Memorability with heads that look somewhere, since random ones hardly do."""
    metric = create_metric("perceptclip_mem", weights=None)
    visual = metric.encoder.visual
    visual.transformer.resblocks = visual.transformer.resblocks[:layers]
    for block in visual.transformer.resblocks:
        block.attn.in_proj.weight.mul_(2)
    amplify(metric.head)
    return metric


def pictures(count: int) -> Tensor:
    """Photographs at 240 x 320, some of them mirrored or upside down."""
    images = photographs(240, 320)
    return torch.cat([images, images.flip(3), images.flip(2), images.flip(2, 3)])[:count]


def spread(heads: Sequence[Head], count: int) -> list[Head]:
    """So many heads, evenly over the layers."""
    return [heads[int((number + 0.5) * len(heads) / count)] for number in range(count)]


class Loop:
    """One plain pass over all images for each head; the fused attention is used except where a row is replaced."""

    def __init__(self, metric: Metric, images: Sequence[Tensor]) -> None:
        self.metric, self.images = metric, images
        self.transformer: Transformer = metric.encoder.transformer()
        self.own = self.scores(None)

    @torch.no_grad()
    def scores(self, changed: Head | None) -> Tensor:
        """Scores with the attention of a head uniform in the row of the class token."""
        views = torch.cat([self.metric.views(image[None])[0] for image in self.images])
        size = self.metric.encoder.cache_sized_part(*views.shape[-2:])
        features = [self.encode(some, changed) for some in torch.split(views, size)]
        return self.metric.forward_features([torch.cat(features)], len(self.images))

    def encode(self, pixels: Tensor, changed: Head | None) -> Tensor:
        """A pass from the pixels up; as in scoring, the last block computes the class token alone."""
        tokens = self.transformer.embed(pixels)
        last = len(self.transformer.blocks) - 1
        for layer, block in enumerate(self.transformer.blocks):
            queries = 1 if layer == last else None
            if changed is None or changed.layer != layer:
                tokens = block.through(tokens, queries)
                continue
            query, key, value = block.project(tokens)
            attended = F.scaled_dot_product_attention(query[:, :, :queries], key, value)
            attended[:, changed.number, 0] = value[:, changed.number].mean(dim=1)
            tokens = block.leave(tokens[:, :queries], attended.transpose(1, 2).flatten(2))
        return self.transformer.read(tokens[:, 0])

    def change(self, head: Head) -> Tensor:
        """Change of the scores, shape (N, K)."""
        return self.scores(head) - self.own


def compare(metric: Metric, images: Sequence[Tensor], heads: Sequence[Head], some: Sequence[Head]) -> None:
    """Run everything in turns and print it."""
    loop = Loop(metric, images)
    loop.change(some[0])  # warm
    found, seconds, busy = {}, {}, {}
    loop_seconds = loop_busy = 0.0
    changes: dict[Head, Tensor] = {}
    methods = ("gradient", "screened", "exact")
    parts = [list(some[number :: len(methods) + 1]) for number in range(len(methods) + 1)]
    for number, part in enumerate(parts):
        table, took, worked = timed(lambda part=part: {head: loop.change(head) for head in part})
        changes |= table
        loop_seconds, loop_busy = loop_seconds + took, loop_busy + worked
        if number < len(methods):
            method = methods[number]
            found[method], seconds[method], busy[method] = timed(
                lambda method=method: head_importance(metric, images, method=method)
            )
    factor = len(heads) / len(some)
    print("| | seconds | loop / this | of the processor | loop / this | aim |\n|---|---|---|---|---|---|")
    row("one pass for each head", loop_seconds * factor, loop_busy * factor, loop_seconds * factor, loop_busy * factor)
    for method in reversed(methods):
        aim = "at least 5x" if method == "exact" else ""
        row(f'`method="{method}"`', seconds[method], busy[method], loop_seconds * factor, loop_busy * factor, aim)
    exact = found["exact"]
    difference = max((exact.changes[:, head.layer, head.number] - changes[head]).abs().max().item() for head in some)
    largest = exact.changes.abs().max().item()
    print(f"\nLargest difference of an exact change from the loop's: {difference:.1e}; largest change: {largest:.1e}.")
    for method in ("gradient", "screened"):
        values = (found[method].importance.flatten(), exact.importance.flatten())
        top = len(set(found[method].strongest(20)) & set(exact.strongest(20)))
        print(f"{method}: SRCC with exact {srcc(*values):.3f}; {top} of the 20 strongest heads are the same.")


def row(label: str, seconds: float, busy: float, loop_seconds: float, loop_busy: float, aim: str = "") -> None:
    """Print a line of the table."""
    cells = f"{seconds:.1f} | {loop_seconds / seconds:.2f}x | {busy:.1f} | {loop_busy / busy:.2f}x"
    print(f"| {label} | {cells} | {aim} |", flush=True)


def timed(run: Callable[[], object]) -> tuple[object, float, float]:
    """The result, seconds, and seconds of the processor."""
    begin, busy = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - begin, time.process_time() - busy


if __name__ == "__main__":
    main()
