"""A metric as something to minimise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from perceptmetrics._util.modules import on_cpu_unless_stated
from perceptmetrics.errors import InvalidImageError, InvalidOptionError, nearest_names
from perceptmetrics.functional.loss import label_divergence
from perceptmetrics.models.closed import conversion_only, let_follow_its_input, note_other_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from perceptmetrics.models.metric import Metric
    from perceptmetrics.models.metric_base import Prompts

__all__ = ["LossSign", "LossTarget", "PerceptualLoss", "Reduction"]

Reduction = Literal["mean", "sum", "none"]
LossSign = Literal["auto", "raw"]
LossTarget: TypeAlias = "str | Mapping[str, float] | Tensor"

_SUM_TOLERANCE = 1e-3  # of probabilities that add up to 1, which may come from a table with three digits


class PerceptualLoss(nn.Module):
    """Distance of a metric's score from its best value, to be minimised.

    The sign follows from the metric: where higher is better the loss is `upper - score` (`-score` when the range
    is open), where lower is better `score - lower`. Gradients reach the pixels; the metric itself is frozen and
    no submodule, so nothing that is done to a module that contains the loss changes it, and it adds nothing to
    `parameters()`, `buffers()` and `state_dict()`: a checkpoint of the network that is trained does not carry the
    metric, and loads without it. `to(device)` and its like reach it. (`loss.metric.state_dict()` has its weights.)

    Args:
        metric: The metric.
        target: For a metric with labels: the label whose score is to be raised. For one whose labels share the
            probability of 1, such as `perceptclip_emo`, also the distribution that is wanted: probabilities by label
            (those left out are 0), or a tensor of shape (K,) or (N, K); the loss is then the Kullback-Leibler
            divergence `sum t log(t / p)` of the predicted probabilities p from the wanted ones t.
        weight: Factor; a tensor of shape (N,) weighs the images.
        reduction: `"mean"`, `"sum"` or `"none"` over the batch.
        sign: `"auto"` as above; `"raw"` leaves the score as it is, as pyiqa does: where higher is better, minimising
            it makes images worse unless the weight is negative.
        checkpointing: Compute the metric's activations again for the gradient, which takes less memory and more time.
            It is switched on in the metric itself.

    Attributes:
        score: Score of the last call, detached: shape (N,), or (N, K) for a distribution; None before the first.

    Raises:
        InvalidOptionError: An argument is none of those possible, or the metric cannot do what it asks for.

    Examples:
        >>> import torch, perceptmetrics
        >>> loss = perceptmetrics.create_metric("lite_iqa", as_loss=True, loss_weight=0.1)
        >>> pixels = torch.rand(2, 3, 64, 64, requires_grad=True)
        >>> loss(pixels).backward()
        >>> pixels.grad.shape
        torch.Size([2, 3, 64, 64])
    """

    def __init__(
        self,
        metric: Metric,
        target: LossTarget | None = None,
        weight: float | Tensor = 1.0,
        reduction: Reduction = "mean",
        *,
        sign: LossSign = "auto",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise InvalidOptionError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}.")
        if sign not in ("auto", "raw"):
            raise InvalidOptionError(f"sign must be 'auto' or 'raw', got {sign!r}.")
        label, distribution = _resolve_target(metric, target, sign)
        self.metric: Metric
        self.__dict__["metric"] = metric  # an attribute, but no submodule, which a parent could train
        self.target = label
        self.reduction = reduction
        self.sign = sign
        self.score: Tensor | None = None
        self.weight = _checked_weight(weight).to(metric.device)
        self.distribution = None if distribution is None else distribution.to(metric.device)
        if checkpointing:
            metric.encoder.checkpointing = True

    def forward(
        self, images: Tensor, target: Tensor | None = None, prompts: Prompts | None = None, *, validate: bool = False
    ) -> Tensor:
        """Loss of a batch.

        Args:
            images: Shape (N, 3, H, W), RGB in [0, 1].
            target: For a loss made with a distribution: those of this batch in its place, shape (N, K) or (K,). Its
                values are not checked, so that no device is waited for.
            prompts: For a metric that compares each image with a text of its own: see `Metric.forward`.
            validate: Whether to check that all values are finite and in [0, 1], which waits for the device.

        Returns:
            Scalar, or shape (N,) for `reduction="none"`.

        Raises:
            InvalidImageError: Not a tensor of images; with `validate` also NaN, infinite, or not in [0, 1].
            InvalidOptionError: Weight or distribution are for another number of images.
        """
        if not isinstance(images, Tensor):
            raise InvalidImageError(f"A loss takes a tensor of shape (N, 3, H, W), got {type(images).__name__}.")
        self.metric.check_images(images, values=validate)
        images = images if images.ndim == 4 else images[None]
        count = images.shape[0]
        if self.weight.numel() not in (1, count):
            raise InvalidOptionError(
                f"weight has shape ({self.weight.numel()},), but the batch has {count} images. Give one weight per "
                "image, or a single number."
            )
        if self.distribution is None and target is not None:
            raise InvalidOptionError(
                "A loss takes a distribution for each batch only if it was made with one; give the first as target= "
                "when it is made."
            )
        wanted = self.distribution if target is None else target
        distances = self._distances(images, prompts) if wanted is None else self._divergences(images, wanted)
        loss = self.weight.to(distances.device) * distances
        if self.reduction == "none":
            return loss
        return loss.mean() if self.reduction == "mean" else loss.sum()

    def apply(self, fn: Callable[[nn.Module], None]) -> Self:
        """Nothing: `apply` comes from a module that contains the loss, to initialise weights."""
        del fn
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, which does not concern a frozen metric."""
        self.training = mode
        if not self.metric.closed:
            self.metric.train(mode)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Convert the metric, and move what the loss itself has to the same device, in its own precision."""
        self.metric._apply(fn, recurse)  # noqa: SLF001 - as PyTorch calls it
        device = conversion_only(fn)(self.weight).device
        self.weight = self.weight.to(device)
        self.distribution = None if self.distribution is None else self.distribution.to(device)
        return self

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *_: object) -> None:
        """Load nothing; an older state dictionary may hold weights of the metric."""
        note_other_weights(self.metric, state_dict, prefix, "metric.")

    def _replicate_for_data_parallel(self) -> Self:
        """For `DataParallel`: the metric follows its input to the device."""
        replica: Self = super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        let_follow_its_input(replica)
        return replica

    def _distances(self, images: Tensor, prompts: Prompts | None) -> Tensor:
        """Shape (N,): how far the scores are from the best one, or the scores themselves."""
        score: Tensor = self.metric(images, prompts)
        if self.target is not None:
            score = score[:, self.metric.labels.index(self.target)]
        self.score = score.detach()
        if self.sign == "raw":
            return score
        lower, upper = self.metric.score_range
        return score - (lower or 0.0) if self.metric.lower_better else (upper or 0.0) - score

    def _divergences(self, images: Tensor, wanted: Tensor) -> Tensor:
        """Shape (N,): how far the probabilities are from those wanted."""
        count, labels = images.shape[0], len(self.metric.labels)
        if wanted.shape not in ((labels,), (count, labels)):
            raise InvalidOptionError(
                f"The distribution must have shape ({labels},) or ({count}, {labels}) for this batch, got "
                f"{tuple(wanted.shape)}."
            )
        outputs = self.metric.outputs(self.metric.encode(self.metric.views(images)), count)
        self.score = outputs.detach().softmax(dim=-1)
        return label_divergence(outputs, wanted.to(outputs))


@on_cpu_unless_stated()
def _resolve_target(metric: Metric, target: LossTarget | None, sign: LossSign) -> tuple[str | None, Tensor | None]:
    """The label, or the distribution over labels, that a target stands for."""
    if not isinstance(target, (Mapping, Tensor)):
        if (target is not None or metric.labels) and target not in metric.labels:
            raise InvalidOptionError(
                f"The target of the loss must name one of the outputs of {metric.metric_name!r}, got {target!r}. "
                + (f"Labels: {', '.join(metric.labels)}." if metric.labels else "It has a single score; leave it out.")
            )
        return target, None
    if not metric.spec.score.map.gives_probabilities:
        raise InvalidOptionError(
            f"A distribution as the target needs labels that share the probability of 1, as those of 'perceptclip_emo' "
            f"(without raw=True) do; {metric.metric_name!r} gives "
            + ("scores that are independent. Name one of its labels." if metric.labels else "a single score.")
        )
    if sign == "raw":
        raise InvalidOptionError("sign='raw' hands on a score, and a distribution has none. Leave one of them out.")
    wanted = _by_label(target, metric.labels) if isinstance(target, Mapping) else target.detach().clone().float()
    if wanted.ndim not in (1, 2) or wanted.shape[-1] != len(metric.labels):
        raise InvalidOptionError(
            f"The distribution must have shape ({len(metric.labels)},) or (N, {len(metric.labels)}), got "
            f"{tuple(wanted.shape)}. Labels: {', '.join(metric.labels)}."
        )
    sums = wanted.sum(dim=-1)
    if not ((wanted >= 0).all() and ((sums - 1).abs() <= _SUM_TOLERANCE).all()):  # NaN is neither
        raise InvalidOptionError(
            f"The probabilities of a distribution must not be negative and must add up to 1, got {target!r}."
        )
    return None, wanted / sums[..., None]


def _by_label(target: Mapping[str, float], labels: tuple[str, ...]) -> Tensor:
    for label in target:
        if label not in labels:
            raise InvalidOptionError(f"There is no label {label!r}. {nearest_names(str(label), labels)}")
    return torch.tensor([float(target.get(label, 0.0)) for label in labels])


@on_cpu_unless_stated()
def _checked_weight(weight: float | Tensor) -> Tensor:
    if not isinstance(weight, (Tensor, int, float)) or (isinstance(weight, Tensor) and weight.ndim > 1):
        given = f"shape {tuple(weight.shape)}" if isinstance(weight, Tensor) else repr(weight)
        raise InvalidOptionError(f"weight must be a number or a tensor of shape (N,), got {given}.")
    values = torch.as_tensor(weight, dtype=torch.float32).detach().clone()
    if not values.isfinite().all():
        raise InvalidOptionError(f"weight must be finite, got {weight!r}.")
    return values
