"""What pyproject.toml declares, as `.ci/minimum.txt` pins it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it where Python has none

ROOT = Path(__file__).parents[2]
TOOLS = {"test", "mutation", "docs", "dev"}  # extras of developers, who take the newest


def project() -> dict[str, Any]:
    """The section `project` of pyproject.toml."""
    document: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return document


def canonical(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def floors(requirements: list[str]) -> dict[str, Version]:
    """The lowest version that each requirement admits, by name; the project itself is left out.

    Raises:
        ValueError: A requirement names no lowest version.
    """
    found: dict[str, Version] = {}
    for line in requirements:
        requirement = Requirement(line)
        name = canonical(requirement.name)
        if name == "perceptmetrics":
            continue
        lowest = [part.version for part in requirement.specifier if part.operator in (">=", "==")]
        if len(lowest) != 1:
            raise ValueError(f"{line!r} in pyproject.toml names no lowest version. Write it as 'name>=version'.")
        found[name] = min(found.get(name, Version(lowest[0])), Version(lowest[0]))
    return found


def declared() -> dict[str, Version]:
    """The floors of everything that users can install: the core and all extras but those of developers."""
    section = project()
    extras = [line for name, lines in section["optional-dependencies"].items() if name not in TOOLS for line in lines]
    return floors(section["dependencies"] + extras)


def pinned() -> dict[str, Version]:
    """The versions in `.ci/minimum.txt`."""
    lines = (ROOT / ".ci" / "minimum.txt").read_text(encoding="utf-8").splitlines()
    return floors([line for line in lines if line.strip() and not line.startswith("#")])
