"""From pixels to scores.

images --Views--> groups of pixels --encoder--> features --Head--> outputs --Pool, score map--> scores
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor, nn

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.images.given import is_single_image
from perceptmetrics.models.embeddings import checked_rows, score_rows
from perceptmetrics.models.metric_base import MetricBase
from perceptmetrics.models.pool import Pool
from perceptmetrics.models.pretrained import Pretrained
from perceptmetrics.spec import PoolSpec
from perceptmetrics.spec.interval import FEWEST_IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.encoders import Encoder
    from perceptmetrics.models.metric_base import Prompts
    from perceptmetrics.models.views import Views
    from perceptmetrics.spec import MetricSpec

__all__ = ["Metric", "Prediction"]


class Prediction(TypedDict):
    """The most probable label, and the probabilities of all."""

    label: str
    probabilities: dict[str, float]


class Metric(Pretrained, MetricBase[Tensor]):
    """A no-reference metric of how people perceive images.

    Made by `create_metric`. Its parameters are frozen: it gives gradients to pixels, none to weights. Nothing that is
    done to a module that contains it changes that; only `requires_grad_(True)` on the metric itself does.

    Args:
        spec: What the metric is.
        views: How an image is shown to the encoder.
        encoder: The encoder.
        head: From features to outputs.
        pool: From the outputs of an image's views to its raw outputs; None for their mean.

    Attributes:
        spec: The specification, with range, direction, labels, paper and licence.

    Examples:
        >>> import torch, perceptmetrics
        >>> metric = perceptmetrics.create_metric("lite_iqa")
        >>> metric(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2])
    """

    def __init__(
        self, spec: MetricSpec, views: Views, encoder: Encoder, head: nn.Module, pool: Pool | None = None
    ) -> None:
        super().__init__()
        self.spec = spec
        self.views = views
        self.encoder = encoder
        self.head = head
        self.pool = Pool(PoolSpec()) if pool is None else pool
        self.requires_grad_(False)
        self.eval()

    @property
    def metric_name(self) -> str:
        """Registered name."""
        return self.spec.name

    @property
    def metric_mode(self) -> str:
        """`"NR"`: no reference image is needed."""
        return "NR"

    @property
    def lower_better(self) -> bool:
        """Whether a lower score is better."""
        return self.spec.lower_better

    @property
    def score_range(self) -> tuple[float | None, float | None]:
        """Lowest and highest possible score; None where it is unbounded."""
        return self.spec.score.lower, self.spec.score.upper

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the K outputs; empty for a metric with a single score."""
        return self.spec.score.labels

    @property
    def device(self) -> torch.device:
        """Where the encoder lives."""
        return next(self.encoder.parameters()).device

    @property
    def reads_prompts(self) -> bool:
        """Whether each image is compared with a text of its own: `metric(images, prompts)`."""
        return self.spec.head.reads_prompts

    def forward_batch(self, images: Tensor, prompts: Sequence[str] | Tensor | None = None) -> Tensor:
        """Score a batch; see `MetricBase.forward_batch`."""
        return self.forward_features(self.encode(self.views(images)), images.shape[0], prompts)

    @property
    def score_columns(self) -> tuple[str, ...]:
        """The metric's name, or `name.label` for each of its labels."""
        return tuple(f"{self.metric_name}.{label}" for label in self.labels) or (self.metric_name,)

    def to_output(self, rows: Tensor) -> Tensor:
        """Shape (N, K), or (N,) for a single score."""
        return rows if self.labels else rows[:, 0]

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Text features of prompts, which `metric(images, features)` takes in place of the texts.

        Args:
            prompts: N texts.

        Returns:
            Shape (N, D), unit length, without gradients.

        Raises:
            InvalidSpecError: The metric compares images with no prompts of their own.
            InvalidOptionError: A prompt is empty, or too long to be read whole.
        """
        features: Tensor = self.head.encode_prompts(prompts)  # type: ignore[operator]
        return features

    def encode(self, groups: Sequence[Tensor]) -> list[Tensor]:
        """Encode views.

        Args:
            groups: What `views` returns: shapes (N * V, 3, h, w).

        Returns:
            Features of shapes (N * V, D), in float32 unless the encoder's own precision is higher.
        """
        if not torch.compiler.is_compiling():
            self._check_weights()
        dtype = next(self.encoder.parameters()).dtype
        encoded = [self.encoder(group.to(dtype)) for group in groups]
        return [features.to(torch.promote_types(features.dtype, torch.float32)) for features in encoded]

    def score_features(
        self,
        embeddings: Tensor | np.ndarray,
        prompts: Prompts | None = None,
        *,
        normalized: bool,
        encoder: str | None = None,
    ) -> Tensor:
        """Score embeddings in place of images; for metrics that need nothing but the encoder's output.

        The score is that of the image: to the last bit where `encode` gave the embeddings of the same batch, otherwise
        up to the rounding of float32, or of the precision in which they were stored.

        Args:
            embeddings: Shape (N, D), or (D,) for one: what the metric's encoder gives for the metric's view of each
                image (of a CLIP, the projected embedding). Floating point, on any device; differentiable.
            prompts: See `forward`.
            normalized: Whether they were divided by their length. A warning is logged where they were not.
            encoder: Name (`"ViT-L-14"`, see `named_encoder`) or fingerprint (`metric.encoder.fingerprint()`) of the
                encoder that they come from, to be compared with the metric's; None where it is not known.

        Returns:
            Shape (N,), or (N, K) for a metric with K labels; float32, where the embeddings are.

        Raises:
            InvalidOptionError: The metric cannot score such embeddings, or the encoder is another one.
            InvalidEmbeddingError: They have another width than the encoder's, or are not finite, zero, or no numbers.

        Examples:
            >>> import torch, perceptmetrics
            >>> metric = perceptmetrics.create_metric("lite_iqa")
            >>> [embedding] = metric.encode(metric.views(image := torch.rand(1, 3, 64, 64)))
            >>> torch.equal(metric.score_features(embedding, normalized=False), metric(image))
            True
        """
        rows = checked_rows(self, embeddings, normalized=normalized, encoder=encoder)
        return self.to_output(score_rows(self, rows, self._prompts_of(prompts, len(rows))))

    def forward_features(
        self,
        features: Sequence[Tensor],
        count: int,
        prompts: Sequence[str] | Tensor | None = None,
    ) -> Tensor:
        """Turn features into scores: the head, the pool over an image's views, the score map.

        Args:
            features: What `encode` returns.
            count: Number of images N.
            prompts: For a metric that reads prompts: the text of each image, or text features, shape (N, D).

        Returns:
            Shape (N, K), float32.
        """
        return self.spec.score.map(self.outputs(features, count, prompts))

    def outputs(self, features: Sequence[Tensor], count: int, prompts: Sequence[str] | Tensor | None = None) -> Tensor:
        """Turn features into raw outputs: the head, and the pool over the views of an image.

        Args:
            features: What `encode` returns.
            count: Number of images N.
            prompts: See `forward_features`.

        Returns:
            Shape (N, K), float32.
        """
        texts = prompts if prompts is None or isinstance(prompts, Tensor) else self.encode_prompts(prompts)
        if self.spec.head.joins_views:
            features = [torch.cat([group.view(count, -1) for group in features], dim=1)]
        outputs = [self._head_outputs(group, count, texts) for group in features]
        raw: Tensor = self.pool(torch.cat(outputs, dim=1)).float()
        return raw

    def _head_outputs(self, features: Tensor, count: int, texts: Tensor | None) -> Tensor:
        """Outputs of the views in a group, shape (N, V, K)."""
        if texts is None:
            outputs: Tensor = self.head(features)
        else:
            outputs = self.head(features, texts.repeat_interleave(len(features) // count, dim=0))
        return outputs.unflatten(0, (count, -1))  # type: ignore[no-untyped-call,no-any-return]

    def predict(
        self, images: ImageSource | Iterable[ImageSource], *, binary: bool = False
    ) -> Prediction | list[Prediction]:
        """Name the most probable label of images; for metrics whose labels share the probability of 1.

        Args:
            images: A single image, or several; see `score`.
            binary: Sum up the pleasant emotions as `"positive"` and the others as `"negative"`.

        Returns:
            Label and probabilities; a list of them, in order, unless a single image is given.

        Raises:
            InvalidOptionError: The metric does not give probabilities, or does not know which are positive.
            InvalidImageError: An image cannot be read.
        """
        if not self.spec.score.map.gives_probabilities:
            raise InvalidOptionError(
                f"{self.metric_name!r} gives no probabilities of labels, so there is nothing to predict. Use a metric "
                "such as 'perceptclip_emo' (without raw=True), or read the scores."
            )
        positive = self.spec.score.positive_labels
        if binary and not positive:
            raise InvalidOptionError(f"{self.metric_name!r} does not say which of its labels are positive.")
        predictions = []
        for row in self.score(images).tolist():
            probabilities = dict(zip(self.labels, row, strict=True))
            if binary:
                pleasant = sum(probabilities[label] for label in positive)
                probabilities = {"positive": pleasant, "negative": 1 - pleasant}
            label = max(probabilities, key=probabilities.__getitem__)
            predictions.append(Prediction(label=label, probabilities=probabilities))
        return predictions[0] if is_single_image(images) else predictions

    def score_interval(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Between which ratings the rating of a new image lies, of the kind that the metric was trained on.

        Args:
            scores: What the metric gave: shape (N,), or (N, K) with labels.

        Returns:
            Lower and upper ends, each of the shape of `scores`; they cover `spec.interval.coverage` of new images.

        Raises:
            InvalidOptionError: The metric has no intervals.
        """
        interval, score = self.spec.interval, self.spec.score
        if interval is None:
            raise InvalidOptionError(
                f"{self.metric_name!r} has no intervals: how far ratings lie from its scores was not measured. Metrics "
                f"that were trained on ratings have them, from {FEWEST_IMAGES} images that were held out."
            )
        half = scores.new_tensor(interval.half_widths)
        lower = -math.inf if score.lower is None else score.lower
        upper = math.inf if score.upper is None else score.upper
        return (scores - half).clamp(lower, upper), (scores + half).clamp(lower, upper)  # no rating is beyond the scale

    def requires_grad_(self, requires_grad: bool = True) -> Metric:
        """Let all weights train, or freeze them; what trains is not shared with other metrics.

        A metric that trains is an ordinary module: one that contains it sees its weights, in `parameters()` and in
        `state_dict()`. A frozen metric is closed to it.
        """
        for part in self._all_parts():
            part.requires_grad_(requires_grad)
        return self.open() if requires_grad else self.close()

    def train(self, mode: bool = True) -> Metric:
        """Switch to training mode, except for the frozen parts, which stay in eval mode."""
        super().train(mode)
        for part in self._all_parts():
            part.train(mode and any(parameter.requires_grad for parameter in part.parameters()))
        return self

    def _all_parts(self) -> tuple[nn.Module, ...]:
        """Views, encoder, head and pool, whether the metric is open or closed."""
        return self.views, self.encoder, self.head, self.pool

    def _check_weights(self) -> None:
        """Refuse to score with weights that train, or were changed, without the metric's knowledge."""
        self.encoder.shared.check_unchanged()
        if self.closed and torch.is_grad_enabled() and not self.encoder.may_train:
            thawed = sum(parameter.requires_grad for parameter in self.encoder.parameters())
            if thawed:
                raise InvalidOptionError(
                    f"{thawed} weights of the frozen metric {self.metric_name!r} require gradients, although the "
                    "metric was not asked to train, so an optimizer would change it. Freeze them again with "
                    "metric.requires_grad_(False). To train the metric call metric.requires_grad_(True) in place of "
                    "setting its parameters; metric.encoder.requires_grad_(False) then leaves the head alone to train."
                )
