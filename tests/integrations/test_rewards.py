"""Rewards are weighted scores, in the forms that trainers of generators call."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from perceptmetrics import create_metric, metric_info
from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.integrations.rewards import Reward, VideoReward, compute_score, flow_grpo_reward
from tests.support import small_clip
from tests.support.registered_metrics import build, temporary_metrics, tiny

BYTES = torch.randint(0, 256, (4, 3, 48, 56), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
IMAGES = BYTES / 255


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory) -> Iterator[None]:
    """A metric of which lower is better, and a tiny one with labels."""
    spec = metric_info("lite_iqa")
    low = replace(spec, name="noise.v2", score=replace(spec.score, higher_is_better=False))
    small_clip.register(tmp_path_factory.mktemp("clip"))
    with temporary_metrics(low, tiny(metric_info("perceptclip_emo"))):
        yield


@pytest.fixture(scope="module")
def scores() -> torch.Tensor:
    return create_metric("lite_iqa")(IMAGES)


def test_a_reward_is_a_weighted_sum_of_which_higher_is_better(scores) -> None:
    reward = Reward({"lite_iqa": 2.0, "noise.v2": 0.5})
    torch.testing.assert_close(reward(IMAGES), 2 * scores - 0.5 * scores)
    assert reward.names == ("lite_iqa", "noise.v2")
    torch.testing.assert_close(reward.parts["noise.v2"], scores)
    torch.testing.assert_close(Reward("lite_iqa")(IMAGES), scores)
    torch.testing.assert_close(Reward([(create_metric("lite_iqa"), 3)])(IMAGES), 3 * scores)


def test_a_reward_is_differentiable_and_has_no_weights_of_its_own(scores) -> None:
    reward, pixels = Reward("lite_iqa"), IMAGES.clone().requires_grad_()
    reward(pixels).sum().backward()
    assert (pixels.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert not list(reward.parameters())
    assert set(reward.state_dict()) == {"count", "mean", "squares"}
    assert not reward.parts["lite_iqa"].requires_grad


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(BYTES, id="bytes, channels first"),
        pytest.param(BYTES.movedim(1, -1), id="bytes, channels last"),
        pytest.param(BYTES.movedim(1, -1).numpy(), id="array"),
        pytest.param([Image.fromarray(image.movedim(0, -1).numpy()) for image in BYTES], id="PIL"),
        pytest.param(list(IMAGES), id="tensors"),
    ],
)
def test_images_are_taken_in_every_form(images, scores) -> None:
    torch.testing.assert_close(Reward("lite_iqa")(images), scores)


def test_normalised_scores_have_the_mean_and_deviation_of_everything_seen(scores) -> None:
    reward = Reward({"lite_iqa": 1.0, "noise.v2": 1.0}, normalize=True)
    for size in (1, 2, 1):
        start = int(reward.count[0])
        last = reward(IMAGES[start : start + size])
    torch.testing.assert_close(reward.mean[0], scores.double().mean())
    torch.testing.assert_close(reward.squares[0] / reward.count[0], scores.double().var(correction=0))
    torch.testing.assert_close(last, torch.zeros(1), atol=1e-6, rtol=0)  # the same score, once with each sign
    alone = Reward("lite_iqa", normalize=True)
    alone.load_state_dict({name: values[:1] for name, values in reward.state_dict().items()})
    alone.eval()
    expected = (scores - scores.mean()) / scores.std(correction=0)
    torch.testing.assert_close(alone(IMAGES), expected, atol=1e-4, rtol=1e-4)
    assert alone.count.item() == 4


def test_a_label_is_stated_behind_the_name() -> None:
    metric = create_metric("perceptclip_emo", weights=None)
    with pytest.raises(InvalidOptionError, match=r"State a label, such as 'perceptclip_emo\.\w+'"):
        Reward(metric)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    reward = Reward("perceptclip_emo.awe", weights=None)
    torch.testing.assert_close(reward(images), reward.suite(images)["perceptclip_emo"][:, metric.labels.index("awe")])


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({}, "needs metrics"),
        ({"lite_iqa": float("nan")}, "must be a finite number"),
        ({"lite_iqa": "0.5"}, "must be a finite number, got '0.5'"),
        ([("lite_iqa", 1.0), ("lite_iqa", 2.0)], "each of another name"),
        ("lite_iqa.sharpness", "has no label 'sharpness'"),
    ],
)
def test_what_is_no_reward_is_refused(metrics, message) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        Reward(metrics)


def test_flow_grpo_calls_it_as_its_own_rewards(scores) -> None:
    score_functions = {
        "quality": flow_grpo_reward("lite_iqa"),
        "both": flow_grpo_reward({"lite_iqa": 1, "noise.v2": 2}),
    }
    details = defaultdict(list)
    for name, weight in {"quality": 0.5, "both": 1.0}.items():
        rewards, more = score_functions[name]("cpu")(IMAGES * 1.001, ["a"] * 4, [{}] * 4)
        assert (rewards.dtype, rewards.shape, more) == (np.float32, (4,), {})
        details[name] = rewards
        details["avg"].append([weight * reward for reward in rewards])
    np.testing.assert_allclose(details["quality"], scores, atol=1e-3)
    np.testing.assert_allclose(np.sum(details["avg"], axis=0), (0.5 + 1 - 2) * scores.numpy(), atol=1e-3)


def test_flow_grpo_passes_prompts_on() -> None:
    metric = build("clip_score")
    rewards, _ = flow_grpo_reward(metric)("cpu")(IMAGES, ("a", "b", "c", "d"), None)
    np.testing.assert_allclose(rewards, metric(IMAGES, ["a", "b", "c", "d"]).numpy(), rtol=1e-5)


def test_videos_have_the_mean_of_their_frames(scores) -> None:
    frames = IMAGES.unflatten(0, (2, 2)).movedim(1, 2).clone().requires_grad_()
    video = VideoReward("lite_iqa", best=10, loss_scale=0.1)
    loss, reward = video(frames)
    torch.testing.assert_close(video.get_reward(frames), scores.unflatten(0, (2, 2)).mean(dim=1))
    torch.testing.assert_close(reward, scores.mean())
    torch.testing.assert_close(loss, 0.1 * (10 - scores.mean()))
    loss.backward()
    assert frames.grad.abs().sum() > 0
    torch.testing.assert_close(VideoReward("lite_iqa")(frames.detach())[0], -scores.mean())
    with pytest.raises(InvalidImageError, match=r"shape \(B, 3, T, H, W\)"):
        video(IMAGES)


def test_each_frame_is_compared_with_the_prompt_of_its_video() -> None:
    metric = build("clip_score")
    frames = IMAGES.unflatten(0, (2, 2)).movedim(1, 2)
    expected = metric(IMAGES, ["a", "a", "b", "b"]).unflatten(0, (2, 2)).mean(dim=1)
    torch.testing.assert_close(VideoReward(metric).get_reward(frames, ["a", "b"]), expected)
    with pytest.raises(InvalidOptionError, match="prompt"):
        VideoReward(metric)(frames)


def test_verl_omni_calls_it_by_keyword(scores) -> None:
    assert not inspect.iscoroutinefunction(compute_score)
    sample = {"data_source": "x", "ground_truth": "a photo", "extra_info": {"num_turns": 1}, "model_name": "m"}
    one = compute_score(solution_image=IMAGES[0], **sample)
    assert one == {"score": pytest.approx(scores[0].item(), rel=1e-5), "lite_iqa_raw": one["score"]}
    assert compute_score(solution_image=IMAGES[0].movedim(0, -1), **sample) == one
    weighted = compute_score(solution_image=IMAGES, metrics={"lite_iqa": 2, "noise.v2": 1}, **sample)
    assert weighted["score"] == pytest.approx(scores.mean().item(), rel=1e-5)
    assert set(weighted) == {"score", "lite_iqa_raw", "noise.v2_raw"}


def test_verl_omni_scores_some_frames_and_calls_from_several_threads(scores) -> None:
    every_third = compute_score("x", IMAGES, "", {"frame_interval": 3})
    assert every_third["score"] == pytest.approx(scores[[0, 3]].mean().item(), rel=1e-5)
    with pytest.raises(InvalidOptionError, match="frame_interval must be a positive integer, got 0"):
        compute_score("x", IMAGES, "", {"frame_interval": 0})
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda image: compute_score("x", image, "", {})["score"], IMAGES))
    assert results == pytest.approx(scores.tolist(), rel=1e-5)
