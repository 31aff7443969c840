"""Metrics of the installed pyiqa with random weights in the place of what they download."""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest import mock

import packaging.version
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["arniqa", "clip_of", "laion_aes", "liqe", "maclip", "openai_clip_of", "qualiclip", "with_prompts"]


def _let_openais_package_be_imported() -> None:
    """It asks for `pkg_resources`, which setuptools no longer has, and uses nothing but its `packaging`."""
    old = ModuleType("pkg_resources")
    old.packaging = packaging  # type: ignore[attr-defined]
    sys.modules["pkg_resources"] = old
    import clip  # noqa: F401

    del sys.modules["pkg_resources"]


_let_openais_package_be_imported()


def clip_of(state: dict[str, Tensor]) -> Any:
    """pyiqa's CLIP with a state dictionary of OpenAI's names, in float32."""
    from pyiqa.archs import clip_model

    with mock.patch.object(clip_model, "convert_weights", return_value=None):
        return clip_model.build_model(dict(state)).eval().requires_grad_(False)


def openai_clip_of(state: dict[str, Tensor]) -> Any:
    """The same for the package of OpenAI."""
    from clip import model as openai

    with mock.patch.object(openai, "convert_weights", return_value=None):
        return openai.build_model(dict(state)).eval().requires_grad_(False)


def with_prompts(clip: Any, model_type: str, context: Tensor | None = None, **options: Any) -> Any:
    """`clipiqa`, or `clipiqa+` and its variants with a context."""
    from pyiqa.archs import clipiqa_arch

    with mock.patch.object(clipiqa_arch, "load", return_value=clip):
        model = clipiqa_arch.CLIPIQA(model_type=model_type, pretrained=False, **options).eval()
    if context is not None:
        model.prompt_learner.ctx.data = context
    return model


def qualiclip(clip: Any, file: Path, temperature: float) -> Any:
    """QualiCLIP from a file in the layout of the release."""
    from pyiqa.archs import qualiclip_arch

    with (
        mock.patch.object(qualiclip_arch, "load", return_value=clip),
        mock.patch.object(qualiclip_arch, "load_file_from_url", return_value=str(file)),
    ):
        return qualiclip_arch.QualiCLIP(model_type="qualiclip", temperature=temperature).eval()


def liqe(clip: Any, folder: Path, *, mtl: bool) -> Any:
    """LIQE, or with `mtl` LIQE-mix; the folder keeps the features of its texts."""
    from pyiqa.archs import liqe_arch

    folder.mkdir()
    with (
        mock.patch.object(liqe_arch, "load", return_value=clip),
        mock.patch.object(liqe_arch, "DEFAULT_CACHE_DIR", str(folder)),
        contextlib.redirect_stdout(None),
        torch.no_grad(),
    ):
        return liqe_arch.LIQE(pretrained=False, mtl=mtl).eval()


def laion_aes(clip: Any, head: nn.Sequential) -> Any:
    """LAION's predictor with a head of five layers; places 1, 3, 5 of theirs are dropouts."""
    from pyiqa.archs import laion_aes_arch

    with mock.patch.object(laion_aes_arch.clip, "load", return_value=(clip, None)):
        model = laion_aes_arch.LAIONAes(pretrained=False).eval()
    for place, layer in zip((0, 2, 4, 6, 7), head, strict=True):
        model.mlp.layers[place].load_state_dict(layer.state_dict())
    return model


def arniqa(data: str, encoder_file: Path, regressor_file: Path) -> Any:
    """ARNIQA from files in the layout of the release."""
    import torchvision
    from pyiqa.archs import arniqa_arch

    with (
        mock.patch.object(torchvision.models, "resnet50", return_value=torchvision.models.resnet50()),
        mock.patch.object(
            torch.hub, "load_state_dict_from_url", return_value=torch.load(encoder_file, weights_only=True)
        ),
        mock.patch.object(arniqa_arch, "load_file_from_url", return_value=str(regressor_file)),
    ):
        return arniqa_arch.ARNIQA(data).eval()


@contextlib.contextmanager
def maclip(clip: Any) -> Iterator[Any]:
    """MA-CLIP, whose code asks for CUDA in the middle of its computation; here it stays on the processor."""
    from pyiqa.archs import maclip_arch

    to = torch.Tensor.to

    def to_processor(tensor: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        return to(tensor, *("cpu" if value == "cuda" else value for value in arguments), **keywords)

    with (
        mock.patch.object(maclip_arch, "load", return_value=clip),
        mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor),
        mock.patch.object(torch.Tensor, "to", to_processor),
    ):
        yield maclip_arch.MACLIP(model_type="maclip").eval()
