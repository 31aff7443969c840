"""Trust on first use: a file whose hash no specification states is held to the hash of its first download.

The hashes are state, not cache: deleting the cache forgets none of them, and where they cannot be kept, that is said.
"""

from __future__ import annotations

import hashlib
import logging
import re
from typing import TYPE_CHECKING

from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.cache import parse_record, user_folder, write_record

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["STATE_VARIABLE", "first_seen_folder", "hold_to_first_seen", "state_home"]

STATE_VARIABLE = "PERCEPTMETRICS_STATE"

_SHA256 = re.compile(r"[0-9a-f]{64}")

_log = logging.getLogger(__name__)


def state_home() -> Path:
    """The folder of what is not forgotten: `PERCEPTMETRICS_STATE`, or `perceptmetrics` in the user's state folder."""
    return user_folder(STATE_VARIABLE, "XDG_STATE_HOME", ".local/state")


def first_seen_folder() -> Path:
    """Where the hashes of first downloads are kept, a file for each."""
    return state_home() / "first-seen"


def hold_to_first_seen(identity: str, sha256: str, path: Path, url: str) -> None:
    """Record the hash of a file when it is first seen, and later refuse any other content.

    Args:
        identity: What the file is: repository, revision and name.
        sha256: Its hash.
        path: Where it lies, for the error message.
        url: Where it comes from, for the error message.

    Raises:
        WeightsError: The file is not the one that was first seen, or the record of that is corrupt.
    """
    record = first_seen_folder() / f"{hashlib.sha256(identity.encode()).hexdigest()}.json"
    try:
        recorded = _recorded_sha256(record)
        if recorded is None:
            write_record(record, {"file": identity, "sha256": sha256})
            return
    except OSError as error:
        _log.warning(
            "The hash of %s cannot be kept, so that a change of it at %s would not be noticed: %s. Set %s to a folder "
            "that can be written.",
            path,
            url,
            error,
            STATE_VARIABLE,
        )
        return
    if sha256 != recorded:
        raise WeightsError(
            f"{path} is not the file that was first downloaded: its sha256 is {sha256}, but {recorded} was recorded. "
            f"It is corrupt or was changed at the source. Delete {path.resolve()} and fetch it again; if "
            f"{url} was replaced on purpose, delete {record} to accept it."
        )


def _recorded_sha256(record: Path) -> str | None:
    """The hash in a record; None if there is no record."""
    try:
        content = record.read_bytes()
    except FileNotFoundError:
        return None
    recorded = (parse_record(content) or {}).get("sha256")
    if not isinstance(recorded, str) or _SHA256.fullmatch(recorded) is None:
        raise WeightsError(
            f"{record} should hold the hash of a first download, and is corrupt. Restore it, or delete it to accept "
            "the file that is there now."
        )
    return recorded
