"""Files of the Hub repository of pyiqa: prompts that its authors trained, and copies of releases that lie elsewhere."""

from __future__ import annotations

from perceptmetrics.spec import HubFile, LicenceSpec

__all__ = ["pyiqa_file"]


def pyiqa_file(
    filename: str, licence: LicenceSpec, *, sha256: str | None = None, size: int | None = None, revision: str = "main"
) -> HubFile:
    """A file of the repository.

    Args:
        filename: Its name there.
        licence: Its own licence; the repository as a whole is tagged CC-BY-NC-SA-4.0.
        sha256: Hash of its content; None if it is not known.
        size: Size in bytes; None if it is not known.
        revision: Commit or branch.
    """
    return HubFile(
        repo="chaofengc/IQA-PyTorch-Weights",
        filename=filename,
        revision=revision,
        sha256=sha256,
        size=size,
        licence=licence,
    )
