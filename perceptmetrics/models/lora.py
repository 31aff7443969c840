"""Low-rank adaptation of fused attention projections.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022; as PerceptCLIP (section 4) uses it, on the
queries, keys and values of every layer.

CLIP and timm compute the three in one linear layer, `[q; k; v] = W x + b`, whose output rows are cut into thirds.
An adapter adds `alpha / rank * up(down(dropout(x)))` to its third. Trained adapters are merged into W, after which the
layer costs what it did before.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from perceptmetrics.errors import InvalidSpecError, WeightsError
from perceptmetrics.functional.low_rank import draw_kept, low_rank_linear
from perceptmetrics.models.encoders.attention import FusedAttention
from perceptmetrics.models.encoders.base import Encoder
from perceptmetrics.spec.encoders import ATTENTION_PARTS, AttentionPart, LoraSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Adapter",
    "LoraProjection",
    "adapter_name",
    "adapter_shapes",
    "attach_lora",
    "bake_lora",
    "has_lora",
    "load_lora",
    "lora_state",
    "merge_lora",
    "merge_projection",
    "unmerge_lora",
    "without_lora",
]

# Where a fused projection lies in the attention modules that can be adapted.
_FUSED_NAMES = ("in_proj", "qkv")


def adapter_name(attention: str, part: AttentionPart, matrix: str) -> str:
    """Name of an adapter's matrix in a file.

    Args:
        attention: Path of the attention module, such as `visual.transformer.resblocks.0.attn`.
        part: `"q"`, `"k"` or `"v"`.
        matrix: `"down"`, shape (rank, C), or `"up"`, shape (C, rank).

    Returns:
        The name.
    """
    return f"{attention}.{part}.{matrix}"


def adapter_shapes(attention: str, width: int, spec: LoraSpec) -> dict[str, tuple[int, int]]:
    """Names and shapes of all matrices that a file holds for an attention module.

    Args:
        attention: Path of the attention module.
        width: Its number of channels C.
        spec: Rank and targets.

    Returns:
        Shape by name.
    """
    shapes = {"down": (spec.rank, width), "up": (width, spec.rank)}
    return {adapter_name(attention, part, matrix): shapes[matrix] for part in spec.targets for matrix in shapes}


def merge_projection(weight: Tensor, updates: Mapping[AttentionPart, tuple[Tensor, Tensor]], scale: float) -> Tensor:
    """Add trained updates to a fused weight.

    Args:
        weight: Shape (3 C, C), the rows of q, then k, then v; not changed.
        updates: The matrices down (rank, C) and up (C, rank) of the parts that are adapted.
        scale: `alpha / rank`.

    Returns:
        Shape (3 C, C).
    """
    merged = weight.detach().clone()
    for part, third in zip(ATTENTION_PARTS, merged.chunk(3), strict=True):
        if part in updates:
            down, up = (matrix.detach().to(weight.dtype) for matrix in updates[part])
            third.addmm_(up, down, alpha=scale)
    return merged


class Adapter(nn.Module):
    """The matrices of a trainable update of low rank, which starts as no update at all.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        rank: Rank of the update.
    """

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)


class LoraProjection(nn.Module):
    """A fused projection of queries, keys and values with an adapter for each target.

    The projection itself is frozen; the adapters train. Each adapter has a dropout of its own, drawn at every call
    in training mode.

    Args:
        base: Linear layer from C to 3 C channels.
        spec: Rank, alpha, dropout, targets.
    """

    def __init__(self, base: nn.Linear, spec: LoraSpec) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.third = base.out_features // 3
        self.scale = spec.scale
        self.dropout = spec.dropout
        self.adapters = nn.ModuleDict({part: Adapter(base.in_features, self.third, spec.rank) for part in spec.targets})
        self.adapters.to(base.weight.device, base.weight.dtype)
        self._unmerged: list[nn.Parameter] = []  # in a list, so that it is no parameter of the module

    @property
    def merged(self) -> bool:
        """Whether the adapters are part of the base's weight at the moment."""
        return bool(self._unmerged)

    def forward(self, tokens: Tensor) -> Tensor:
        """Project tokens of shape (..., C) to (..., 3 C)."""
        if self.merged:
            return cast("Tensor", self.base(tokens))
        updates = [(ATTENTION_PARTS.index(part) * self.third, *pair) for part, pair in self.updates().items()]
        drops = self.training and self.dropout > 0
        kept = [draw_kept(tokens.shape, self.dropout, tokens.device) for _ in updates] if drops else []
        return low_rank_linear(tokens, self.base.weight, self.base.bias, updates, self.scale, kept)

    def updates(self) -> dict[AttentionPart, tuple[Tensor, Tensor]]:
        """Matrices down and up of each adapted part."""
        adapters = {part: cast("Adapter", self.adapters[part]) for part in ATTENTION_PARTS if part in self.adapters}
        return {part: (adapter.down.weight, adapter.up.weight) for part, adapter in adapters.items()}

    def merge(self) -> None:
        """Make the adapters part of the base's weight; `unmerge` takes it back exactly."""
        if not self.merged:
            self._unmerged = [cast("nn.Parameter", self.base.weight)]
            merged = merge_projection(self.base.weight, self.updates(), self.scale)
            self.base.weight = nn.Parameter(merged, requires_grad=False)

    def unmerge(self) -> None:
        """Take the adapters out of the base's weight again."""
        if self.merged:
            merged, weight = self.base.weight, self._unmerged.pop()
            weight.data = weight.data.to(merged.device, merged.dtype)  # the module may have been moved meanwhile
            self.base.weight = weight

    def weight(self, *, merged: bool) -> Tensor:
        """The base's weight with or without the adapters, whatever it has at the moment; shape (3 C, C)."""
        original = (self._unmerged or [cast("nn.Parameter", self.base.weight)])[0].detach()
        return merge_projection(original, self.updates(), self.scale) if merged else original

    def baked(self) -> nn.Linear:
        """The base alone, with the adapters in its weight for good."""
        self.merge()
        return self.base


def attach_lora(module: nn.Module, spec: LoraSpec) -> list[str]:
    """Attach adapters to the attention of every block inside a module.

    Args:
        module: An encoder of this package, of open_clip (`torch.nn.MultiheadAttention`, which is replaced by
            `FusedAttention` with the same weights) or of timm (attention with a fused `qkv` layer).
        spec: Rank, alpha, dropout, targets.

    Returns:
        Paths of the adapted attention modules.

    Raises:
        InvalidSpecError: The module has no attention that can be adapted, or has adapters already.
    """
    if has_lora(module):
        raise InvalidSpecError("The encoder has LoRA adapters already; merge or bake them before attaching others.")
    replacements = [
        (parent, name, FusedAttention(child))
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.MultiheadAttention)
    ]
    for parent, name, attention in replacements:
        setattr(parent, name, attention)
    if isinstance(module, Encoder):
        module.may_train = True
    adapted = []
    for path, attention in list(module.named_modules()):
        for name in _FUSED_NAMES:
            base = getattr(attention, name, None)
            called = getattr(attention, "q_bias", None) is None  # BEiT reads the weights past the layer
            if called and isinstance(base, nn.Linear) and base.out_features == 3 * base.in_features:
                setattr(attention, name, LoraProjection(base, spec))
                adapted.append(path)
    if not adapted:
        raise InvalidSpecError(
            f"{type(module).__name__} has no attention with a fused projection of queries, keys and values, to which "
            "LoRA could be attached. Use a vision transformer of open_clip or timm."
        )
    return adapted


def merge_lora(module: nn.Module) -> None:
    """Merge all adapters inside a module; `unmerge_lora` takes it back exactly."""
    for _, projection in _projections(module):
        projection.merge()


def unmerge_lora(module: nn.Module) -> None:
    """Take all adapters inside a module out of the weights again."""
    for _, projection in _projections(module):
        projection.unmerge()


def bake_lora(module: nn.Module) -> None:
    """Merge all adapters inside a module and remove them: what remains is a plain encoder."""
    for path, projection in list(_projections(module)):
        parent, _, name = path.rpartition(".")
        setattr(module.get_submodule(parent), name, projection.baked())


def lora_state(module: nn.Module) -> dict[str, Tensor]:
    """The adapters' matrices by their names in a file, see `adapter_name`.

    Of an encoder of this package, attention modules have the paths that they have in its library's layout.
    """
    prefix = getattr(module, "library_prefix", "")  # of an encoder
    return {
        adapter_name(path.removeprefix(prefix).rpartition(".")[0], part, matrix): tensor.detach()
        for path, projection in _projections(module)
        for part, pair in projection.updates().items()
        for matrix, tensor in zip(("down", "up"), pair, strict=True)
    }


def has_lora(module: nn.Module) -> bool:
    """Whether there are adapters inside a module."""
    return next(_projections(module), None) is not None


def without_lora(module: nn.Module, *, merged: bool) -> dict[str, Tensor]:
    """The state dictionary of a module as if it had no adapters; the module is left as it is.

    Args:
        module: A module with or without adapters.
        merged: Whether the weights are to be those after `bake_lora`, or those before adapters were attached.
    """
    state = dict(module.state_dict())
    for path, projection in _projections(module):
        for name in [name for name in state if name.startswith(f"{path}.")]:
            tensor, inside = state.pop(name), name.removeprefix(f"{path}.")
            if inside.startswith("base."):
                state[f"{path}.{inside.removeprefix('base.')}"] = tensor
        state[f"{path}.weight"] = projection.weight(merged=merged)
    return state


def load_lora(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load the adapters' matrices, which must fit exactly; merged adapters are unmerged first.

    Args:
        module: A module with adapters.
        tensors: What `lora_state` returned.

    Raises:
        WeightsError: A matrix is missing, unexpected or of another shape.
    """
    unmerge_lora(module)
    own = lora_state(module)
    wrong = sorted(own.keys() ^ tensors.keys()) or sorted(n for n in own if own[n].shape != tensors[n].shape)
    if wrong:
        raise WeightsError(f"The LoRA weights do not fit the adapters: {wrong[0]} is missing, unexpected or misshapen.")
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def _projections(module: nn.Module) -> Iterator[tuple[str, LoraProjection]]:
    for path, child in module.named_modules():
        if isinstance(child, LoraProjection):
            yield path, child
