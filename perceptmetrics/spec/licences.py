"""The licence of a file of weights: which one, where that is stated, and when it was looked up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_text

__all__ = ["NONE_STATED", "LicenceSpec"]

NONE_STATED = "none stated"

_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_LONGEST_SPDX = 100
# Licences whose terms let anyone use the weights in a product, with no more than a notice.
_COMMERCIAL = frozenset(
    identifier.lower()
    for identifier in (
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC0-1.0",
        "CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "Unlicense", "UPL-1.0", "Zlib",
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LicenceSpec:
    """The licence of a file of weights.

    Attributes:
        spdx: One identifier of the SPDX list, such as `"Apache-2.0"`, or `"none stated"`.
        evidence: Where it is stated: an address, or a file. Of one that is not stated: where that was looked for.
        checked: The day on which the evidence was looked at, as `"2026-11-28"`.
    """

    spdx: str
    evidence: str
    checked: str

    def __post_init__(self) -> None:
        require_text("LicenceSpec", evidence=self.evidence)
        require(
            self.spdx == NONE_STATED or (len(self.spdx) <= _LONGEST_SPDX and _SPDX.fullmatch(self.spdx) is not None),
            f"LicenceSpec.spdx must be one SPDX identifier, such as 'Apache-2.0', or {NONE_STATED!r}, got "
            f"{shown(self.spdx)}.",
        )
        require(
            _is_day(self.checked),
            f"LicenceSpec.checked must be a day, such as '2026-11-28', got {shown(self.checked)}.",
        )

    @property
    def is_stated(self) -> bool:
        """Whether the licence is stated anywhere."""
        return self.spdx != NONE_STATED

    @property
    def allows_commercial_use(self) -> bool:
        """Whether the licence is one of those that are known to let anyone use the weights in a product.

        False for all others: those that forbid it, those that bind what is made from the weights (copyleft, rules of
        use), which their reader has to judge, and weights whose licence is not stated.
        """
        return self.spdx.lower() in _COMMERCIAL


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except (TypeError, ValueError):
        return False
