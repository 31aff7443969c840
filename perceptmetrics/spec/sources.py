"""Where weights come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from perceptmetrics.spec.checks import require, require_sha256, require_text

__all__ = ["HubFile", "PackageFile", "WeightSource"]


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file in a repository of the Hugging Face Hub.

    Attributes:
        repo: Repository, `"organisation/name"`.
        filename: Path of the file inside the repository.
        revision: Commit hash (pinned) or branch.
        sha256: Hash of the content; None when it is unknown, then the first download records it.
        size: Size in bytes; None when it is unknown.
    """

    kind: ClassVar[str] = "hub"
    repo: str
    filename: str
    revision: str
    sha256: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        require_text("HubFile", repo=self.repo, filename=self.filename, revision=self.revision)
        require(self.repo.count("/") == 1, f"HubFile.repo must read 'organisation/name', got {self.repo!r}.")
        require_sha256("HubFile", self.sha256)


@dataclass(frozen=True, kw_only=True)
class PackageFile:
    """A file that an installed Python package carries.

    Attributes:
        package: Import name of the package.
        filename: Path of the file inside the package, with forward slashes.
        sha256: Hash of the content, or None.
        size: Size in bytes, or None.
        extra: Extra of this project that installs the package; None when it is always there.
    """

    kind: ClassVar[str] = "package"
    package: str
    filename: str
    sha256: str | None = None
    size: int | None = None
    extra: str | None = None

    def __post_init__(self) -> None:
        require_text("PackageFile", package=self.package, filename=self.filename)
        require_sha256("PackageFile", self.sha256)


WeightSource: TypeAlias = HubFile | PackageFile
