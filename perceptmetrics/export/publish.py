"""Publish an exported metric on the Hugging Face Hub, where `create_metric("hub:organisation/name")` finds it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError

from perceptmetrics.errors import InvalidOptionError, PublishingError, WeightsError, first_line
from perceptmetrics.export.card import loading_line, model_card, with_plots, with_source
from perceptmetrics.export.write import tolerance_of
from perceptmetrics.factory.create import create_metric
from perceptmetrics.factory.folder import (
    CARD_FILE,
    CONFIG_FILE,
    EXPORTED_FILES,
    GOLDEN_FILE,
    PLOTS,
    SPEC_FILE,
    WEIGHTS_FILE,
    config_of,
    largest_deviation,
    read_folder,
)

if TYPE_CHECKING:
    from pathlib import Path

    from perceptmetrics.spec import MetricSpec

__all__ = ["REPOSITORY", "Published", "publish"]

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REASONS = {
    401: "the Hub rejected the token: check HF_TOKEN, or log in with `hf auth login`",
    403: "the token has no write access to that account or organisation",
    413: "a file is too large for the account",
}


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published metric, or the result of a dry run.

    Attributes:
        url: Page of the repository.
        files: Size in bytes of each file.
        loading_line: Python line that loads the metric, pinned to the commit if there is one.
        deviation: Largest difference from a golden score in the check of the folder.
    """

    url: str
    files: dict[str, int]
    loading_line: str
    deviation: float


def publish(
    folder: Path,
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    dry_run: bool = False,
    encoder: Path | None = None,
    token: str | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
) -> Published:
    """Check an exported metric and upload it in one commit; the repository is created if it does not exist.

    Args:
        folder: The exported metric: specification, weights, golden scores, and optionally model card, recipe, report
            and its plots (`plots/*.png`), which the card then shows. A missing card is written. Other files are not
            uploaded.
        repository: `"organisation/name"`.
        private: Whether a new repository is private.
        revision: Branch to write to, created if it does not exist; None for the main branch.
        dry_run: Only check the folder, without contacting the Hub.
        encoder: File of the encoder for the check, instead of the one that would be looked up.
        token: Token of the Hub; None for `HF_TOKEN`, or that of `hf auth login`.
        commit_message: Summary of the commit; None for "Publish NAME".
        create_pr: Whether to open a pull request in place of a commit on the branch.

    Returns:
        The published metric.

    Raises:
        InvalidOptionError: The name of the repository is invalid.
        WeightsError: The folder is not an exported metric, or does not reproduce its golden scores.
        InvalidSpecError: Its specification cannot be read.
        PublishingError: The Hub cannot be reached, or refuses.
    """
    if REPOSITORY.fullmatch(repository) is None:
        raise InvalidOptionError(f"Expected a repository 'organisation/name', got {repository!r}.")
    token = None if dry_run else _token(token)
    spec, deviation = _checked(folder, encoder)
    branch = f"@{revision}" if revision else ""
    contents = _contents(folder, spec, f"hub:{repository}{branch}")
    url = f"{constants.ENDPOINT}/{repository}"
    message = commit_message or f"Publish {spec.name}"
    upload = partial(_upload, contents, repository, message, private=private, revision=revision, create_pr=create_pr)
    commit = None if token is None else upload(token)
    return Published(
        url=url,
        files={
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in contents.items()
        },
        loading_line=loading_line(f"hub:{repository}@{commit}" if commit else f"hub:{repository}{branch}"),
        deviation=deviation,
    )


def _token(given: str | None) -> str:
    if constants.HF_HUB_OFFLINE:
        raise PublishingError(
            "A metric cannot be published offline, and HF_HUB_OFFLINE is set. Unset it, or only check the folder with "
            "--dry-run (dry_run=True)."
        )
    token = given or get_token()
    if token is None:
        raise PublishingError(
            "Publishing needs a token of the Hub: set HF_TOKEN to a token with write access (the Hub's settings, "
            "'Access Tokens'), or log in with `hf auth login`. --dry-run (dry_run=True) needs no token."
        )
    return token


def _checked(folder: Path, encoder: Path | None) -> tuple[MetricSpec, float]:
    """Check an exported metric; return its specification and the largest difference from its golden scores."""
    if not folder.is_dir():
        raise WeightsError(f"{folder} is not a folder; expected an exported metric ({SPEC_FILE}, {WEIGHTS_FILE}).")
    spec, trained = read_folder(folder)
    if trained is None:
        raise WeightsError(f"The metric in {folder} has no trained part, so there is nothing to publish.")
    deviation = largest_deviation(folder, create_metric(folder, backbone_checkpoint=encoder))
    if not deviation <= tolerance_of(trained) * spec.score.span:
        raise WeightsError(
            f"The metric in {folder} does not reproduce its golden scores ({GOLDEN_FILE}; largest difference "
            f"{deviation:.2g}). Its files do not belong together; export it again."
        )
    return spec, deviation


def _contents(folder: Path, spec: MetricSpec, source: str) -> dict[str, Path | bytes]:
    """Files to upload, by name; the card loads the metric from the Hub."""
    contents: dict[str, Path | bytes] = {
        name: folder / name for name in sorted(EXPORTED_FILES) if (folder / name).is_file()
    }
    contents.setdefault(CONFIG_FILE, config_of(spec).encode())
    plots = {f"{PLOTS}/{file.name}": file for file in sorted((folder / PLOTS).glob("*.png")) if file.is_file()}
    contents |= plots
    written = folder / CARD_FILE
    card = written.read_text(encoding="utf-8") if written.is_file() else model_card(spec, source=source)
    contents[CARD_FILE] = with_plots(with_source(card, source), list(plots)).encode()
    return contents


def _upload(
    contents: dict[str, Path | bytes],
    repository: str,
    message: str,
    token: str,
    *,
    private: bool,
    revision: str | None,
    create_pr: bool,
) -> str:
    """Upload in one commit; return its hash."""
    hub = HfApi(endpoint=constants.ENDPOINT, token=token)
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in contents.items()]
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        if revision is not None:
            hub.create_branch(repository, branch=revision, exist_ok=True)
        commit = hub.create_commit(
            repository, operations, commit_message=message, revision=revision, create_pr=create_pr
        )
    except Exception as error:  # huggingface_hub also raises errors of its HTTP library
        raise PublishingError(f"{repository!r} was not published at {constants.ENDPOINT}: {_why(error)}.") from error
    return str(commit.oid)


def _why(error: Exception) -> str:
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    return _REASONS.get(status or 0, f"the Hub refused or cannot be reached ({first_line(error.__cause__ or error)})")
