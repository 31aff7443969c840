"""Tiny CLIPs of the real architectures (open_clip's own classes), so that tests take milliseconds."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import open_clip

TINY_ARCHITECTURES = {"RN": "tiny-RN", "ViT": "tiny-ViT"}

_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
_CONFIGS = {
    "tiny-RN": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 224, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
        "text_cfg": _TEXT,
    },
    "tiny-ViT": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16},
        "text_cfg": _TEXT,
    },
}


def _register() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, config in _CONFIGS.items():
            Path(folder, f"{name}.json").write_text(json.dumps(config), encoding="utf-8")
        open_clip.add_model_config(folder)


_register()
