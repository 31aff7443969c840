"""From a `WeightSource` to a verified local file.

Nothing is downloaded if a path is given, with `local_files_only=True`, or if `HF_HUB_OFFLINE` is set. A file whose hash
is known is verified. Of any other file the hash of the first download is recorded, and later downloads must match it.
Hashes are remembered as long as a file does not change, so a large file is hashed once.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from perceptmetrics.errors import MissingExtraError, WeightsError, first_line
from perceptmetrics.spec import HubFile, PackageFile, WeightSource
from perceptmetrics.spec.sources import SOURCES
from perceptmetrics.weights.cache import remember_of_file
from perceptmetrics.weights.trust import hold_to_first_seen

__all__ = [
    "ResolveOptions",
    "Store",
    "file_sha256",
    "find_cached",
    "find_optional",
    "how_to_get",
    "resolve",
    "source_url",
]

S = TypeVar("S", bound=WeightSource)

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class ResolveOptions:
    """How the files of a metric are looked up.

    Attributes:
        metric: Name of the metric, for advice in error messages.
        fetch_options: Options that make `perceptmetrics fetch` get the same files, for that advice.
        cache_dir: Folder of the Hub's cache; None for its default.
        local_files_only: Never download.
        token: Token of the Hub; None for that of the environment (`HF_TOKEN`, `hf auth login`).
    """

    metric: str
    fetch_options: str = ""
    cache_dir: str | os.PathLike[str] | None = None
    local_files_only: bool = False
    token: str | None = field(default=None, repr=False)


class Store(ABC, Generic[S]):
    """Where the files of one kind of source are kept.

    Attributes:
        spec_class: The kind of source.
    """

    spec_class: type[S]

    @abstractmethod
    def path(self, source: S, options: ResolveOptions) -> Path:
        """Find a file, downloading it when that is allowed; see `resolve`."""

    @abstractmethod
    def cached(self, source: S, cache_dir: str | os.PathLike[str] | None) -> Path | None:
        """Find a file without any download; see `find_cached`."""

    @abstractmethod
    def url(self, source: S) -> str:
        """Where a file can be downloaded from, for people to read."""

    @abstractmethod
    def how_to_get(self, source: S, metric: str, cache_dir: str | os.PathLike[str] | None) -> str:
        """The command that brings a file to this machine."""

    def check_unpinned(self, path: Path, source: S) -> None:
        """Check a file whose hash no specification states."""


class _Packages(Store[PackageFile]):
    spec_class = PackageFile

    def path(self, source: PackageFile, options: ResolveOptions) -> Path:
        return _package_path(source, f"The metric {options.metric!r}")

    def cached(self, source: PackageFile, cache_dir: str | os.PathLike[str] | None) -> Path | None:
        try:
            path = _package_path(source, "It")
        except (MissingExtraError, WeightsError):
            return None
        return path if path.is_file() else None

    def url(self, source: PackageFile) -> str:
        return f"package {source.package}: {source.filename}"

    def how_to_get(self, source: PackageFile, metric: str, cache_dir: str | os.PathLike[str] | None) -> str:
        return f'pip install "perceptmetrics[{source.extra}]"' if source.extra else f"pip install {source.package}"


class _Hub(Store[HubFile]):
    spec_class = HubFile

    def path(self, source: HubFile, options: ResolveOptions) -> Path:
        return _hub_path(source, options)

    def cached(self, source: HubFile, cache_dir: str | os.PathLike[str] | None) -> Path | None:
        found = try_to_load_from_cache(
            source.repo, source.filename, cache_dir=_as_str(cache_dir), revision=source.revision
        )
        return Path(found) if isinstance(found, str) else None

    def url(self, source: HubFile) -> str:
        return hf_hub_url(source.repo, source.filename, revision=source.revision)

    def how_to_get(self, source: HubFile, metric: str, cache_dir: str | os.PathLike[str] | None) -> str:
        return f"perceptmetrics fetch {metric}" + (f" --cache-dir {cache_dir}" if cache_dir else "")

    def check_unpinned(self, path: Path, source: HubFile) -> None:
        identity = f"{source.repo}@{source.revision}/{source.filename}"
        hold_to_first_seen(identity, file_sha256(path), path, source_url(source))


SOURCES.register(_Packages())
SOURCES.register(_Hub())


def resolve(source: WeightSource, options: ResolveOptions) -> Path:
    """Find the local file of a source, downloading it if allowed.

    Args:
        source: Where the weights come from.
        options: How to look them up.

    Returns:
        Path of the verified file.

    Raises:
        WeightsError: The file is missing and cannot be downloaded, or is not the expected file.
        MissingExtraError: The package that carries the file is not installed.
    """
    store = SOURCES.builder_of(source)
    path: Path = store.path(source, options)
    _verify(path, source)
    if source.sha256 is None:
        store.check_unpinned(path, source)
    return path


def find_optional(source: HubFile, options: ResolveOptions) -> Path | None:
    """Find a file of the Hub on which no score depends, such as a card; its hash is not recorded.

    Args:
        source: The file.
        options: How to look it up.

    Returns:
        Its path; None where it is missing or cannot be fetched.
    """
    with contextlib.suppress(WeightsError):
        return _hub_path(source, options)
    return None


def find_cached(source: WeightSource, cache_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """Find the local file of a source without a download and without reading it.

    Args:
        source: Where the weights come from.
        cache_dir: Folder of the Hub's cache; None for its default.

    Returns:
        Its path, or None if it is not on this machine.
    """
    found: Path | None = SOURCES.builder_of(source).cached(source, cache_dir)
    return found


def source_url(source: WeightSource) -> str:
    """Human-readable origin of a source."""
    url: str = SOURCES.builder_of(source).url(source)
    return url


def how_to_get(source: WeightSource, metric: str, cache_dir: str | os.PathLike[str] | None = None) -> str:
    """The command that brings the file of a source to this machine."""
    command: str = SOURCES.builder_of(source).how_to_get(source, metric, cache_dir)
    return command


def file_sha256(path: Path) -> str:
    """Hash a file, or recall its hash if the file has not changed.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.
    """
    return remember_of_file("sha256", path, lambda: _sha256_of(path), _is_sha256)


def _sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 22), b""):
            digest.update(block)
    return digest.hexdigest()


def _package_path(source: PackageFile, who: str) -> Path:
    try:
        found = importlib.util.find_spec(source.package)  # a top-level name, so nothing is imported
    except ValueError:  # a module without a specification, such as __main__
        found = None
    if found is None or not found.submodule_search_locations:
        if source.extra is None:
            raise WeightsError(
                f"{who} has weights in the package {source.package!r}, which is not installed. Install it."
            )
        raise MissingExtraError(f"{who} with weights from the package {source.package!r}", source.extra)
    return Path(found.submodule_search_locations[0], *source.filename.split("/"))


def _hub_path(source: HubFile, options: ResolveOptions) -> Path:
    offline = options.local_files_only or constants.HF_HUB_OFFLINE
    try:
        return Path(
            hf_hub_download(
                source.repo,
                source.filename,
                revision=source.revision,
                cache_dir=_as_str(options.cache_dir),
                local_files_only=offline,
                token=options.token,
            )
        )
    except Exception as error:  # huggingface_hub also lets the errors of its HTTP library through
        reason = "downloads are disabled" if offline else _why(error)
        raise WeightsError(_missing_file(source, options, reason)) from error


def _why(error: Exception) -> str:
    """Why the Hub did not deliver a file. These classes of errors derive from one another, so the order matters."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, (LocalEntryNotFoundError, OfflineModeIsEnabled)):
        return f"the Hub cannot be reached ({first_line(error.__cause__ or error)})"
    if isinstance(error, GatedRepoError):
        return "access to it must be granted by its owner: request access on the Hub, then set HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return "the Hub has no such revision of the repository"
    if isinstance(error, EntryNotFoundError):
        return "the Hub has no such file at that revision"
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        return "the Hub has no such repository, or it is private: then set HF_TOKEN to a token with access"
    return f"the download failed ({first_line(error)})"


def _missing_file(source: HubFile, options: ResolveOptions, reason: str) -> str:
    size = f"{source.size / 1e6:.1f} MB" if source.size else "size not recorded"
    cache = f" --cache-dir {options.cache_dir}" if options.cache_dir else ""
    command = f"perceptmetrics fetch {options.metric}{options.fetch_options}{cache}"
    if options.metric.startswith("hub:"):
        command = f"hf download {source.repo} --revision {source.revision}{cache}"
    return (
        f"The metric {options.metric!r} needs the file {source.filename!r} ({size}) of the Hub repository "
        f"{source.repo!r} at revision {source.revision!r}; it is not in the cache and {reason}.\n"
        f"On a machine with internet access run: {command}\n"
        "Then copy the cache, or pass the file itself as backbone_checkpoint=PATH (CLIP weights) or "
        "checkpoint=PATH (the metric's own weights)."
    )


def _verify(path: Path, source: WeightSource) -> None:
    if not path.is_file():
        raise WeightsError(f"{path} is missing. Reinstall the package that should carry it.")
    if source.sha256 is not None and (actual := file_sha256(path)) != source.sha256:
        raise WeightsError(
            f"{path} is not the expected file: its sha256 is {actual}, but this release expects {source.sha256}. "
            f"It is corrupt or was changed at the source. Delete {path.resolve()} and fetch it again; if "
            f"{source_url(source)} was replaced on purpose, pass the file as a path to accept it."
        )


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _as_str(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)
