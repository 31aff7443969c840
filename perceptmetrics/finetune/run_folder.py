"""The folder of a run: whose it is, and what tells one run from another."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.finetune.recipe_files import recipe_to_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.recipe import Recipe

__all__ = ["RECIPE_FILE", "is_free", "run_identity"]

RECIPE_FILE = "recipe.yaml"


def is_free(folder: Path, recipe: Recipe, *, resume: bool) -> bool:
    """Whether a folder is free for a new run; it may hold the same run, when that is to be resumed.

    Raises:
        InvalidOptionError: It holds something else.
    """
    file = folder / RECIPE_FILE
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return True
    if not file.is_file():
        raise InvalidOptionError(f"{folder} holds other things than a run. Choose another output folder.")
    if not resume:
        raise InvalidOptionError(
            f"{folder} holds a run already. Go on with it by --resume (resume=True), or choose another folder."
        )
    if file.read_text(encoding="utf-8") != recipe_to_yaml(recipe):
        raise InvalidOptionError(
            f"{folder} holds a run of another recipe (see its {RECIPE_FILE}), so this one cannot resume it."
        )
    return False


def run_identity(recipe: Recipe, datasets: Sequence[LabelledImages], encoder: str) -> str:
    """What is trained, on what: a hash of recipe, images by name, labels, groups, official splits and encoder."""
    digest = hashlib.sha256(json.dumps([recipe_to_yaml(recipe), encoder]).encode())
    for dataset in datasets:
        digest.update(json.dumps(dataset.names).encode("utf-8", "surrogatepass"))
        labels = dataset.classes if dataset.ratings is None else dataset.ratings
        digest.update(np.ascontiguousarray(labels).tobytes())
        parts = [
            part.tolist() for split in dataset.official_splits for part in (split.train, split.validation, split.test)
        ]
        tested = None if dataset.test_only is None else dataset.test_only.tolist()
        content = [dataset.labels, dataset.groups, dataset.contents, tested, parts]
        digest.update(json.dumps(content).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
