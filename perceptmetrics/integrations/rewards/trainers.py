"""Rewards in the forms that trainers of generators call."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.integrations.rewards.mixture import Images, Metrics, Reward, channels_first

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FlowGrpoReward", "VideoReward", "compute_score", "flow_grpo_reward"]

FlowGrpoReward: TypeAlias = "Callable[[Images, Sequence[str], Any], tuple[NDArray[np.float32], dict[str, Any]]]"


def flow_grpo_reward(metrics: Metrics, **options: Any) -> Callable[[torch.device | str], FlowGrpoReward]:
    """Make a reward in the form of Flow-GRPO's `score_functions`: `device -> (images, prompts, metadata) -> rewards`.

    Args:
        metrics: See `Reward`.
        **options: Options of `Reward`.

    Returns:
        A function of the device. It returns a function of a batch, which returns one float32 per image, as an array,
        and an empty dictionary, without gradients.

    Examples:
        >>> import torch
        >>> score_functions = {"quality": flow_grpo_reward("lite_iqa")}
        >>> score = score_functions["quality"]("cpu")
        >>> rewards, _ = score(torch.rand(2, 3, 64, 64), ["a photo", "a drawing"], {})
        >>> rewards.shape
        (2,)
    """

    def on(device: torch.device | str) -> FlowGrpoReward:
        reward = Reward(metrics, device=device, **options)

        @torch.no_grad()
        def score(images: Images, prompts: Sequence[str], metadata: Any) -> tuple[NDArray[np.float32], dict[str, Any]]:
            del metadata
            pixels = images.clamp(0, 1) if isinstance(images, Tensor) and images.is_floating_point() else images
            if isinstance(pixels, Tensor):
                pixels = pixels.to(device)
            return reward(pixels, list(prompts) if reward.reads_prompts else None).cpu().numpy(), {}

        return score

    return on


class VideoReward:
    """A differentiable reward of videos in the form of VideoX-Fun's `BaseReward`: the mean over the frames.

    Args:
        metrics: See `Reward`.
        best: The reward that the loss is the distance from, such as 10; None to minimise the negative reward.
        loss_scale: Factor of the loss.
        **options: Options of `Reward`, such as `device`.

    Examples:
        >>> import torch
        >>> frames = torch.rand(2, 3, 4, 64, 64, requires_grad=True)  # videos, channels, frames, height, width
        >>> loss, reward = VideoReward("lite_iqa")(frames)
        >>> loss.backward()
        >>> frames.grad.shape
        torch.Size([2, 3, 4, 64, 64])
    """

    is_image_reward = True

    def __init__(self, metrics: Metrics, *, best: float | None = None, loss_scale: float = 1.0, **options: Any) -> None:
        self.reward = Reward(metrics, **options)
        self._best = best
        self._loss_scale = loss_scale

    def __call__(self, batch_frames: Tensor, batch_prompt: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
        """Compute loss and reward, both means over the batch.

        Args:
            batch_frames: Shape (B, 3, T, H, W), floating point in [0, 1].
            batch_prompt: The prompt of each video.

        Returns:
            The loss, to be minimised, and the reward, both scalars.

        Raises:
            InvalidImageError: The frames have another shape or type.
        """
        rewards = self.get_reward(batch_frames, batch_prompt)
        distances = -rewards if self._best is None else (rewards - self._best).abs()
        return self._loss_scale * distances.mean(), rewards.mean()

    def get_reward(self, batch_frames: Tensor, batch_prompt: Sequence[str] | None = None) -> Tensor:
        """Compute the reward of each video, shape (B,); see `__call__`."""
        if batch_frames.ndim != 5:
            raise InvalidImageError(f"Expected frames of shape (B, 3, T, H, W), got {tuple(batch_frames.shape)}.")
        videos, _, frames = batch_frames.shape[:3]
        prompts = None
        if self.reward.reads_prompts and batch_prompt is not None:
            prompts = [prompt for prompt in batch_prompt for _ in range(frames)]
        rewards: Tensor = self.reward(batch_frames.movedim(2, 1).flatten(0, 1), prompts)
        return rewards.reshape(videos, frames).mean(dim=1)


_rewards: dict[tuple[str, str], Reward] = {}
_lock = threading.Lock()  # verl-omni calls scorers from several threads


def compute_score(
    data_source: str,
    solution_image: Tensor,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    metrics: str | Mapping[str, float] = "lite_iqa",
    device: str = "cpu",
    **_: Any,
) -> dict[str, float]:
    """Score one sample in the form of verl-omni's reward functions; see `reward.custom_reward_function` there.

    Metrics are created at the first call and kept.

    Args:
        data_source: Not used.
        solution_image: Shape (3, H, W), (N, 3, H, W), or channels last; floating point in [0, 1]. Of several frames
            the mean is taken.
        ground_truth: The prompt.
        extra_info: `frame_interval` says that only every so manieth frame is scored; the rest is not used.
        metrics: A name, or weights by name; see `Reward`.
        device: Where to score.

    Returns:
        `score`, and the raw score of each metric as `NAME_raw`.

    Examples:
        >>> import torch
        >>> sorted(compute_score("prompts", torch.rand(3, 64, 64), "a photo", {}))
        ['lite_iqa_raw', 'score']
    """
    del data_source
    frames = channels_first(solution_image if solution_image.ndim > 3 else solution_image[None])
    interval = (extra_info or {}).get("frame_interval", 1)
    if not isinstance(interval, int) or interval < 1:
        raise InvalidOptionError(f"frame_interval must be a positive integer, got {interval!r}.")
    frames = frames[::interval]
    weights = {metrics: 1.0} if isinstance(metrics, str) else {name: float(weight) for name, weight in metrics.items()}
    key = (repr(sorted(weights.items())), device)
    with _lock, torch.no_grad():
        if key not in _rewards:
            _rewards[key] = Reward(weights, device=device)
        reward = _rewards[key]
        prompts = [ground_truth] * len(frames) if reward.reads_prompts else None
        total = reward(frames.to(device).clamp(0, 1), prompts).mean().item()
        return {"score": total, **{f"{name}_raw": scores.mean().item() for name, scores in reward.parts.items()}}
