"""Networks of timm: with and without memory for their weights, and the names of their tensors in timm's files.

`features_only=True` renames some modules (`stages.0` becomes `stages_0`) and leaves out what comes after the last
stage. In files, and wherever this package names tensors, they have the names of the whole network.
"""

from __future__ import annotations

import inspect
import re
from functools import lru_cache
from typing import TYPE_CHECKING

import timm
import torch
from timm.models.efficientnet import EfficientNetFeatures

from perceptmetrics._util.seeding import seeded
from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.models.encoders.base import EncoderBuilder, register_encoder
from perceptmetrics.models.encoders.timm_networks import TimmBlocks, TimmEncoder, TimmPooled, TimmStages
from perceptmetrics.spec import TimmEncoderSpec
from perceptmetrics.weights.layouts import read_efficientnet_lite0, read_timm
from perceptmetrics.weights.layouts.strict import without_counters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from torch import Tensor, nn

__all__ = ["TimmBuilder", "is_any_size_convolutional"]

_LITE0 = "tf_efficientnet_lite0"
_NAME = re.compile(r"\w+(\.\w+)?", re.ASCII)  # timm also takes folders and repositories


class TimmBuilder(EncoderBuilder[TimmEncoderSpec]):
    """Builds encoders of timm's networks."""

    spec_class = TimmEncoderSpec

    def empty_network(self, spec: TimmEncoderSpec) -> nn.Module:
        """See `EncoderBuilder.empty_network`; a network that computes something while it is built has memory."""
        network = _without_memory(lambda: _network(spec))
        kept = network.state_dict().keys()
        in_files = all(name in kept for name, _ in network.named_buffers())
        return network if in_files else _network(spec)  # what no file holds must be there from the start

    def random_network(self, spec: TimmEncoderSpec, seed: int) -> nn.Module:
        """See `EncoderBuilder.random_network`."""
        with seeded(seed):
            return _network(spec)

    def wrap(self, network: nn.Module, spec: TimmEncoderSpec) -> TimmEncoder:
        """See `EncoderBuilder.wrap`."""
        if spec.features == "stages":
            return TimmStages(network).eval()
        if spec.features == "blocks":
            return TimmBlocks(network).eval()
        is_convolutional = is_any_size_convolutional(spec.architecture)
        any_size = not is_convolutional and _interpolates(network)
        return TimmPooled(network, convolutional=is_convolutional, any_size=any_size).eval()

    def read(self, path: Path, spec: TimmEncoderSpec) -> dict[str, Tensor]:
        """Read a checkpoint of timm, or the file of the package that carries EfficientNet-Lite0."""
        if spec.architecture == _LITE0 and path.suffix == ".pth":
            tensors = read_efficientnet_lite0(path, _shapes(_LITE0, classifier=True))
        else:
            classifiers = _classifiers(spec.architecture)
            tensors = read_timm(path, _shapes(spec.architecture), classifiers, spec.architecture, spec.renames)
        return {name: tensors[name] for name in _names_in_files(spec).values()}

    def file_names(self, spec: TimmEncoderSpec, network: nn.Module) -> dict[str, str]:
        """Names in files, which are those of the whole network."""
        return dict(_names_in_files(spec))

    def network_name(self, name: str) -> str:
        """Without the prefix of the module that holds the network."""
        return name.removeprefix(TimmEncoder.library_prefix)


def is_any_size_convolutional(architecture: str) -> bool:
    """Whether timm lists an architecture as a network that takes images of any size and pools a feature map.

    Nothing is built for the answer.
    """
    configuration = timm.get_pretrained_cfg(architecture)
    return configuration is not None and bool(configuration.pool_size) and not configuration.fixed_input_size


def _network(spec: TimmEncoderSpec) -> nn.Module:
    """The network as the encoder uses it, on the current default device."""
    _check(spec)
    if spec.features != "pooled":
        network = _created(spec, features_only=True)
        if spec.features == "blocks" and not isinstance(network, EfficientNetFeatures):
            raise InvalidSpecError(
                f"features='blocks' is for networks that timm builds as EfficientNets, which {spec.architecture!r} is "
                "not. Use 'stages'."
            )
        return network
    try:
        return _created(spec, num_classes=0, dynamic_img_size=True)
    except TypeError:  # not a transformer that interpolates its positional embedding
        return _created(spec, num_classes=0)


def _interpolates(network: nn.Module) -> bool:
    """Whether a network interpolates its positional embedding, since it was built with `dynamic_img_size=True`."""
    return "dynamic_img_size" in inspect.signature(type(network)).parameters


@lru_cache(maxsize=64)
def _shapes(architecture: str, classifier: bool = False) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a whole network, by default without its classifier, as files hold them."""
    options: dict[str, Any] = {} if classifier else {"num_classes": 0}
    network = _without_memory(lambda: timm.create_model(architecture, pretrained=False, **options))
    return {name: tuple(tensor.shape) for name, tensor in without_counters(network.state_dict()).items()}


@lru_cache(maxsize=64)
def _names_in_files(spec: TimmEncoderSpec) -> dict[str, str]:
    """Names in files by the names inside the encoder's network."""
    own = without_counters(_without_memory(lambda: _network(spec)).state_dict())
    if spec.features == "pooled":
        return {name: name for name in own}
    whole = {_flat(name): name for name in _shapes(spec.architecture)}
    if unknown := [name for name in own if _flat(name) not in whole]:
        raise InvalidSpecError(
            f"timm reads no feature stages off {spec.architecture!r} in a way that this release knows (its "
            f"{unknown[0]} is not in the whole network). Use features='pooled'."
        )
    return {name: whole[_flat(name)] for name in own}


def _created(spec: TimmEncoderSpec, **options: Any) -> nn.Module:
    network: nn.Module = timm.create_model(spec.architecture, pretrained=False, **options)
    return network


def _check(spec: TimmEncoderSpec) -> None:
    if _NAME.fullmatch(spec.architecture) is None or not _is_known(spec.architecture):
        raise InvalidSpecError(f"timm has no architecture {spec.architecture!r}; see timm.list_models().")
    if spec.quick_gelu:
        raise InvalidSpecError(f"timm builds {spec.architecture} without QuickGELU; state quick_gelu=False.")
    if spec.features != "pooled" and not is_any_size_convolutional(spec.architecture):
        raise InvalidSpecError(
            f"features={spec.features!r} is for convolutional networks, which {spec.architecture!r} is not. "
            "Use 'pooled'."
        )


def _is_known(architecture: str) -> bool:
    try:
        timm.get_pretrained_cfg(architecture)
    except RuntimeError:  # an unknown tag after the dot
        return False
    return bool(timm.is_model(architecture))


def _classifiers(architecture: str) -> tuple[str, ...]:
    configuration = timm.get_pretrained_cfg(architecture)
    names = () if configuration is None else configuration.classifier or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _without_memory(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network without memory for its weights, unless it computes something while it is built."""
    try:
        with torch.device("meta"):
            return build()
    except (RuntimeError, NotImplementedError):
        return build()


def _flat(name: str) -> str:
    return name.replace(".", "_")


register_encoder(TimmBuilder())
