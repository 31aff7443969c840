"""What the service allows."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from perceptmetrics.errors import InvalidOptionError

__all__ = ["ServiceSettings"]


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Limits of the service, and how it batches.

    Attributes:
        max_request_bytes: Most bytes of a request's body.
        max_images: Most images of a request.
        max_pixels: Most pixels of an image; read from its header, before it is decoded.
        max_waiting_images: Most images that are decoded, wait or are scored at a time, over all requests.
        max_waiting_pixels: Most pixels of them together; a single request is never refused for this.
        max_requests: Most requests that are read or answered at a time.
        time_limit: Seconds after which a request is given up.
        batch_size: Most images of one size that go through an encoder together; None for 1 on a processor, where
            larger batches are no faster, and 8 elsewhere. With 1, a score is that of `metric.score` to the last bit,
            whatever else is asked at the time; larger batches may round the seventh digit differently.
        batch_pixels: Most pixels that go through it together; a larger image goes alone.
        max_wait: Seconds for which an image may wait for others to share its batch.
        workers: Threads that decode images.

    Raises:
        InvalidOptionError: A limit is not positive, or `max_pixels` is above Pillow's own limit.
    """

    max_request_bytes: int = 32_000_000
    max_images: int = 16
    max_pixels: int = 25_000_000
    max_waiting_images: int = 64
    max_waiting_pixels: int = 200_000_000
    max_requests: int = 64
    time_limit: float = 60.0
    batch_size: int | None = None
    batch_pixels: int = 4_000_000
    max_wait: float = 0.005
    workers: int = 2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not (value > 0 or (name == "max_wait" and value == 0)):
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
                "full request could never be taken."
            )
