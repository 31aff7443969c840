"""A process that builds metrics, scores a file once with each, and prints the scores, then the memory it took.

    python -m tests.benchmarks.perceptclip_child KIND IMAGE METRIC=FILE...

Started by `perceptclip_speed`. KIND is

    ours       `create_metric` from the given files
    int8       the same with precision="int8"
    release    as a user of the release does: build the model, read the .pth, copy its tensors into the model
    frugal     the reference without what can be saved: nothing is initialised, tensors are taken over, not copied

Each kind imports only what it needs, since imports are part of what is measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

SCORE_NAMES = {"perceptclip_iqa": "quality", "perceptclip_mem": "memorability", "perceptclip_emo": "emotion"}


def main() -> None:
    """Build, score, print."""
    kind, image, *pairs = sys.argv[1:]
    files = dict(pair.split("=", 1) for pair in pairs)
    scorers = ours(files, "int8" if kind == "int8" else None) if kind in ("ours", "int8") else theirs(files, kind)
    print(json.dumps([score(image) for score in scorers]), flush=True)
    print(json.dumps(memory()), flush=True)


def ours(files: dict[str, str], precision: str | None) -> list[Callable[[str], list[float]]]:
    """This package's metrics."""
    from perceptmetrics import create_metric

    metrics = [create_metric(name, checkpoint=file, precision=precision) for name, file in files.items()]
    return [lambda image, metric=metric: metric.score(image).flatten().tolist() for metric in metrics]


def theirs(files: dict[str, str], kind: str) -> list[Callable[[str], list[float]]]:
    """The reference's models."""
    sys.modules["torchao"] = None  # peft imports it wherever it is installed, and needs it for nothing here
    import torch
    from PIL import Image

    from tests.parity import reference_perceptclip as reference

    def load(name: str, file: str) -> torch.nn.Module:
        state = torch.load(file, map_location="cpu")
        if kind == "frugal":
            return reference.load_released(state)
        model = reference.ReferencePerceptClip(outputs=8 if name == "perceptclip_emo" else 1)
        model.load_state_dict(state)
        return model.eval()

    models = {name: load(name, file) for name, file in files.items()}

    def scorer(name: str, model: torch.nn.Module) -> Callable[[str], list[float]]:
        score = getattr(reference, SCORE_NAMES[name])
        return lambda image: score(model, Image.open(image)).flatten().tolist()

    return [scorer(name, model) for name, model in models.items()]


def memory() -> dict[str, float]:
    """Memory of this process in GiB: the resident peak, and what it holds now that is not a page of a file.

    The peak is that of the kernel's record for this program (VmHWM). `ru_maxrss` would be no less than the peak of the
    process that started this one.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    kibibytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return {"peak": kibibytes["VmHWM"] / 2**20, "anonymous": kibibytes["RssAnon"] / 2**20}


if __name__ == "__main__":
    main()
