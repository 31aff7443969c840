"""The wire format of Flow-GRPO's reward servers: pickles over HTTP, read without building any object.

Its clients post `{"images": [JPEG, ...], "prompts": [...], "metadata": ...}` and unpickle the answer. A pickle can run
any code in whoever reads it carelessly. These ones are read by an unpickler that knows no class and no function, so
that a request is numbers, texts, bytes and containers of them, or is refused.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from perceptmetrics._util.text import printable
from perceptmetrics.apps.service.problems import Refused
from perceptmetrics.errors import MissingExtraError
from perceptmetrics.weights.pickles import check_pickles

try:
    from fastapi.responses import Response
except ImportError as error:
    raise MissingExtraError("The HTTP service", "serve") from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["RewardRequest", "read_request", "refused_answer", "reward_answer"]

_TYPE = "application/octet-stream"
_FORM = "a pickle of {'images': [encoded images as bytes], 'prompts': [texts]}, with nothing but such values"
_REASON_LENGTH = 200
_MOST_INSTRUCTIONS = 100_000  # a request of 64 images has some 500


class RewardRequest(NamedTuple):
    """What a client asks for.

    Attributes:
        images: Encoded images.
        prompts: Their prompts; None where the request has none.
    """

    images: list[bytes]
    prompts: list[str] | None


class _PlainUnpickler(pickle.Unpickler):
    """Reads containers, texts, bytes and numbers; refuses everything that a pickle refers to by name."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")

    def persistent_load(self, pid: object) -> NoReturn:
        raise pickle.UnpicklingError("it refers to an object outside of it")


def read_request(body: bytes) -> RewardRequest:
    """Read a request.

    Raises:
        Refused: It is no pickle, refers to a class or function, or holds something else (422).
    """
    try:
        check_pickles(io.BytesIO(body), most_instructions=_MOST_INSTRUCTIONS)
        content = _PlainUnpickler(io.BytesIO(body)).load()
    except Exception as error:
        raise _refused(f"what cannot be read: {error}") from error
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, (list, tuple)) or not images or not all(isinstance(one, bytes) for one in images):
        raise _refused("something else under 'images'" if isinstance(content, dict) else f"{type(content).__name__}")
    prompts = content.get("prompts")
    if prompts is None:
        return RewardRequest(list(images), None)
    if not isinstance(prompts, (list, tuple)) or not all(isinstance(one, str) for one in prompts):
        raise _refused("something else under 'prompts'")
    return RewardRequest(list(images), list(prompts))


def reward_answer(rewards: Mapping[str, Sequence[float]]) -> Response:
    """The answer: rewards of the first metric as `scores`, and as `outputs` for other clients; all by metric."""
    first = list(next(iter(rewards.values())))
    return _answer({"scores": first, "outputs": first, "metrics": {name: list(row) for name, row in rewards.items()}})


def refused_answer(refused: Refused) -> Response:
    """The answer to a refused request: `{"error": ...}`."""
    return _answer({"error": str(refused.detail)}, refused.status_code, refused.headers)


def _answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(pickle.dumps(content, protocol=2), status, headers, media_type=_TYPE)


def _refused(got: str) -> Refused:
    return Refused(
        422,
        expected=_FORM,
        got=printable(got)[:_REASON_LENGTH],
        fix="Send arrays and strings of NumPy as plain lists and texts.",
    )
