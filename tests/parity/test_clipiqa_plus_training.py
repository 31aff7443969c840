"""Three steps of learning prompts on a full-size CLIP equal those of an independent implementation (CLIP-IQA+, CoOp).

The reference runs all 77 tokens through the CLIP implementation that piq carries; nothing is random in a step.
"""

from __future__ import annotations

from collections.abc import Callable

import open_clip
import pytest
import torch
from torch import Tensor

from perceptmetrics.models.encoders import ClipResNet, TextEncoder
from perceptmetrics.models.heads import AntonymHead
from perceptmetrics.models.prompt_learner import PromptLearner, random_context
from perceptmetrics.spec import PromptPair
from tests.parity import reference_clipiqa_plus as plus
from tests.parity.reference_clipiqa import MEAN, STD, build_reference
from tests.support.full_size_clip import random_clip_state
from tests.support.photographs import photographs

TOLERANCE = 1e-4
STEPS = 3
LEARNING_RATE = 0.002  # of the release
QUALITY = PromptPair(name="quality", positive="Good photo.", negative="Bad photo.")
OPINIONS = torch.tensor([0.9, 0.1, 0.6, 0.35])
CONTEXTS = {"shared": None, "a context a prompt": 2}
MISTAKES = {
    "words behind the vectors": {"before": plus.CONTEXT},
    "one full stop": {"stop": plus.DOT},
    "feature beside the end": {"shift_end": -1},
    "prompts swapped": {"swapped": True},
}

# Losses, gradients of the vectors, and the vectors at the end.
Course = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def images() -> Tensor:
    return photographs(224, 224)[: len(OPINIONS)]


def train(context: Tensor, predict: Callable[[], Tensor]) -> Course:
    """Train with SGD on the mean squared error."""
    optimizer, losses, gradients = torch.optim.SGD([context], lr=LEARNING_RATE), [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = ((predict() - OPINIONS) ** 2).mean()
        loss.backward()
        losses.append(loss.detach())
        gradients.append(context.grad.clone())
        optimizer.step()
    return torch.stack(losses), torch.stack(gradients), context.detach().clone()


def start(kind: str) -> Tensor:
    return random_context(512, plus.CONTEXT, prompts=CONTEXTS[kind], seed=1)


@pytest.fixture(scope="module")
def ours(images: Tensor) -> dict[str, Course]:
    model = open_clip.CLIP(**open_clip.get_model_config("RN50"), quick_gelu=True)
    model.load_state_dict(random_clip_state())
    model.eval().requires_grad_(False)
    text, backbone = TextEncoder(model), ClipResNet(model.visual, "drop")
    with torch.no_grad():
        features = backbone((images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])
    courses = {}
    for kind in CONTEXTS:
        learner, head = (
            PromptLearner(text, [QUALITY], start(kind)),
            AntonymHead(torch.zeros(1, 2, 1024), text.logit_scale),
        )

        def predict(learner: PromptLearner = learner, head: AntonymHead = head) -> Tensor:
            learner.install(head)
            return head(features)[:, 0]

        courses[kind] = train(learner.context, predict)
    return courses


@pytest.fixture(scope="module")
def reference() -> plus.openai_clip.CLIP:
    return build_reference(random_clip_state()).requires_grad_(False)


@pytest.fixture(scope="module")
def features(reference: plus.openai_clip.CLIP, images: Tensor) -> Tensor:
    """Of the images, unit length."""
    pixels = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        encoded = reference.encode_image(pixels, pos_embedding=False)
    return encoded / encoded.norm(dim=-1, keepdim=True)


def theirs(reference: plus.openai_clip.CLIP, features: Tensor, kind: str, **mistake: object) -> Course:
    context = start(kind).requires_grad_()

    def predict() -> Tensor:
        logits = reference.logit_scale.exp() * features @ plus.prompt_features(reference, context, **mistake).T
        return logits.softmax(dim=-1)[:, 0]

    return train(context, predict)


def distances(one: Course, other: Course) -> list[float]:
    """Of the losses; of the gradients and of the way to the final vectors in terms of their length."""
    return [
        (one[0] - other[0]).abs().max().item(),
        ((one[1] - other[1]).norm() / other[1].norm()).item(),
        ((one[2] - other[2]).norm() / (LEARNING_RATE * other[1].sum(dim=0)).norm()).item(),
    ]


@pytest.mark.parametrize("kind", CONTEXTS)
def test_three_steps(ours: dict[str, Course], reference: plus.openai_clip.CLIP, features: Tensor, kind: str) -> None:
    mine, other = ours[kind], theirs(reference, features, kind)
    assert (other[0].diff() < 0).all()  # it learns
    for one, same in zip(mine, other, strict=True):
        assert (one - same).abs().max() <= TOLERANCE * min(1.0, same.abs().max().item())
    assert max(distances(mine, other)) <= 10 * TOLERANCE


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_noticed(
    ours: dict[str, Course], reference: plus.openai_clip.CLIP, features: Tensor, mistake: str
) -> None:
    wrong = theirs(reference, features, "shared", **MISTAKES[mistake])
    assert min(distances(ours["shared"], wrong)) > 10 * TOLERANCE
