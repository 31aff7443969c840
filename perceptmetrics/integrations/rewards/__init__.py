"""Scores as rewards of image and video generators: for reinforcement learning, and for training by gradients.

`Reward` is a weighted sum of scores of which higher is better. Around it lie the forms that trainers call:
`flow_grpo_reward` (Flow-GRPO, DanceGRPO and their forks), `compute_score` (verl-omni), `VideoReward` (VideoX-Fun).
"""

from __future__ import annotations

from perceptmetrics.integrations.rewards.mixture import Reward
from perceptmetrics.integrations.rewards.trainers import VideoReward, compute_score, flow_grpo_reward

__all__ = ["Reward", "VideoReward", "compute_score", "flow_grpo_reward"]
