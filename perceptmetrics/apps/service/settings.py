"""Limits of the service."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from perceptmetrics.apps.service.hosts import check_host_pattern
from perceptmetrics.errors import InvalidOptionError

__all__ = ["ServiceSettings"]


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Limits of the service, and how it batches.

    Attributes:
        max_request_bytes: Maximum size of a request's body, in bytes.
        max_images: Maximum number of images per request.
        max_pixels: Maximum number of pixels per image, read from its header before it is decoded.
        max_waiting_images: Maximum number of images in progress (waiting, being decoded or scored), over all requests.
        max_waiting_pixels: Maximum number of their pixels; a request that arrives alone is never refused for this.
        max_requests: Maximum number of requests in progress.
        max_connections: Maximum number of open connections; see `apps.connections.ConnectionLimits`.
        time_limit: Timeout of a request, in seconds.
        slow_client_limit: How long a client may take to send the headers of a request, how long it may leave an answer
            unread, and how long the body may lag behind `min_rate`, in seconds.
        min_rate: Minimum rate at which a body must arrive, in bytes per second.
        allowed_hosts: Host names that requests may be addressed to, besides localhost and numerical addresses;
            `*.example.org` stands for all names below example.org, `*` for any name. None checks nothing, except that
            `serve` allows no further names where it listens on a loopback address: a page elsewhere whose name is made
            to point at this machine (DNS rebinding) gets no answer.
        token: What the header `Authorization: Bearer TOKEN` of every request must state; None for no token.
        flow_grpo: Whether `POST /` answers the clients of Flow-GRPO's reward servers, see `service.flow_grpo`.
        batch_size: Maximum number of images (of equal size) per batch; None for 1 on the CPU, where larger batches are
            no faster, and 8 elsewhere. With 1, a score equals that of `metric.score` to the last bit, whatever other
            requests there are; larger batches may round the seventh digit differently.
        batch_pixels: Maximum number of pixels per batch; a larger image is scored alone.
        max_wait: How long an image may wait for others to share its batch, in seconds.
        workers: Decoding threads.

    Raises:
        InvalidOptionError: A limit is not positive, `max_pixels` exceeds Pillow's own limit, or an allowed host is not
            a name.
    """

    max_request_bytes: int = 32_000_000
    max_images: int = 16
    max_pixels: int = 25_000_000
    max_waiting_images: int = 64
    max_waiting_pixels: int = 200_000_000
    max_requests: int = 64
    max_connections: int = 256
    time_limit: float = 60.0
    slow_client_limit: float = 10.0
    min_rate: int = 10_000
    allowed_hosts: tuple[str, ...] | None = None
    token: str | None = field(default=None, repr=False)
    flow_grpo: bool = False
    batch_size: int | None = None
    batch_pixels: int = 4_000_000
    max_wait: float = 0.005
    workers: int = 2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            is_limit = name not in ("allowed_hosts", "token", "flow_grpo") and value is not None
            if is_limit and not (value > 0 or (name == "max_wait" and value == 0)):
                raise InvalidOptionError(f"{name} must be positive, got {value}.")
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and self.max_pixels > limit:
            raise InvalidOptionError(
                f"max_pixels must be at most PIL.Image.MAX_IMAGE_PIXELS ({limit}), which guards against decompression "
                f"bombs, got {self.max_pixels}."
            )
        if self.max_images > self.max_waiting_images:
            raise InvalidOptionError(
                f"max_images ({self.max_images}) must be at most max_waiting_images ({self.max_waiting_images}), or a "
                "full request could never be accepted."
            )
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.strip()):
            raise InvalidOptionError("token must be printable ASCII characters, and not empty.")
        for name in self.allowed_hosts or ():
            check_host_pattern(name)
