"""Where weights come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from perceptmetrics.spec.checks import require, require_sha256, require_text
from perceptmetrics.spec.kinds import Family, Kind

__all__ = ["SOURCES", "HubFile", "PackageFile", "WeightSource"]


@dataclass(frozen=True, kw_only=True)
class WeightSource(Kind, ABC):
    """A file of weights, wherever it is kept.

    Attributes:
        filename: Path of the file where it is kept, with forward slashes.
        sha256: Hash of the content; None when it is unknown.
        size: Size in bytes; None when it is unknown.
    """

    filename: str
    sha256: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        require_text(type(self).__name__, filename=self.filename)
        require_sha256(type(self).__name__, self.sha256)

    @property
    @abstractmethod
    def location(self) -> str:
        """Where it is kept, for people to read."""

    @property
    def hub_repo(self) -> str | None:
        """Repository of the Hub that keeps it; None for files that are kept elsewhere."""
        return None

    def at_revision(self, revision: str) -> WeightSource | None:
        """The file of another revision, whose hash and size are unknown; None where there are no revisions."""
        return None


SOURCES: Family[WeightSource] = Family("weight source", WeightSource, "perceptmetrics.sources")


@dataclass(frozen=True, kw_only=True)
class HubFile(WeightSource):
    """A file in a repository of the Hugging Face Hub. The first download of one of unknown hash records it.

    Attributes:
        repo: Repository, `"organisation/name"`.
        revision: Commit hash (pinned) or branch.
    """

    kind: ClassVar[str] = "hub"
    repo: str
    revision: str

    def __post_init__(self) -> None:
        super().__post_init__()
        require_text("HubFile", repo=self.repo, revision=self.revision)
        require(self.repo.count("/") == 1, f"HubFile.repo must read 'organisation/name', got {self.repo!r}.")

    @property
    def location(self) -> str:
        """The repository."""
        return f"the Hub repository {self.repo!r}"

    @property
    def hub_repo(self) -> str:
        """The repository."""
        return self.repo

    def at_revision(self, revision: str) -> HubFile:
        """The same file of another commit, tag or branch."""
        if revision == self.revision:
            return self
        return replace(self, revision=revision, sha256=None, size=None)


@dataclass(frozen=True, kw_only=True)
class PackageFile(WeightSource):
    """A file that an installed Python package carries.

    Attributes:
        package: Import name of the package.
        extra: Extra of this project that installs the package; None when it is always there.
    """

    kind: ClassVar[str] = "package"
    package: str
    extra: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_text("PackageFile", package=self.package)

    @property
    def location(self) -> str:
        """The package."""
        return f"the package {self.package!r}"


SOURCES.declare(HubFile, PackageFile)
