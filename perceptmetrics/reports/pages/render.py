"""Render the templates of this package to self-contained pages, without external scripts, fonts or images."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from perceptmetrics._util.text import printable
from perceptmetrics._util.version import __version__
from perceptmetrics.errors import MissingExtraError

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
except ImportError as error:
    raise MissingExtraError("Writing a page", "plots") from error

__all__ = ["render_page"]


def render_page(template: str, **context: Any) -> bytes:
    """Render a template; all values are escaped.

    Args:
        template: File name in `templates/`.
        **context: Values for the template; a missing value is an error.

    Returns:
        The page in UTF-8.
    """
    return _environment().get_template(template).render(context).encode("utf-8", "backslashreplace")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("perceptmetrics.reports.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["version"] = __version__
    environment.filters["printable"] = printable
    return environment
