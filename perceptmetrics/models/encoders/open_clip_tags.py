"""CLIPs by architecture and tag, as open_clip lists them."""

from __future__ import annotations

from typing import NamedTuple

from perceptmetrics.spec import HubFile

__all__ = ["TaggedClip", "find_tag"]


class TaggedClip(NamedTuple):
    """What open_clip knows of pretrained weights."""

    architecture: str
    quick_gelu: bool
    weights: HubFile
    mean: tuple[float, ...]
    std: tuple[float, ...]


def find_tag(name: str) -> TaggedClip | None:
    """Look up pretrained weights.

    Args:
        name: `"ARCHITECTURE/TAG"`, such as `"ViT-B-32/laion2b_s34b_b79k"`; see `open_clip.list_pretrained()`.

    Returns:
        What they are, or None when open_clip has no such weights on the Hub.
    """
    import open_clip
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME

    architecture, _, tag = name.rpartition("/")
    config = open_clip.get_pretrained_cfg(architecture, tag) if architecture in open_clip.list_models() else None
    if not config or not config.get("hf_hub"):
        return None
    repo, filename = config["hf_hub"].rsplit("/", 1)
    weights = HubFile(repo=repo, filename=filename or HF_SAFE_WEIGHTS_NAME, revision="main")
    quick_gelu = bool(config.get("quick_gelu") or open_clip.get_model_config(architecture).get("quick_gelu"))
    return TaggedClip(architecture, quick_gelu, weights, tuple(config["mean"]), tuple(config["std"]))
