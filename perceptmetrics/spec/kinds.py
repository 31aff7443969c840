"""Families of specifications and their kinds.

A view, an encoder, a head, a score map and a source of weights each come in several *kinds*: a frozen dataclass that is
told apart in JSON by its `kind`, and what is built from it. The kinds of a *family* answer the same questions, so the
rest of the library never asks which kind it holds. Kinds of other packages are registered like the built-in ones, by
the running program or by an entry point. This module knows classes and nothing of what they compute.
"""

from __future__ import annotations

import logging
from abc import ABC
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, TypeVar

from perceptmetrics.errors import InvalidSpecError

__all__ = ["Family", "Kind", "family_of"]

_log = logging.getLogger(__name__)

K = TypeVar("K", bound="Kind")


class Kind(ABC):
    """A part of a specification of which there are several kinds: a frozen dataclass.

    Attributes:
        kind: Name of the kind in JSON, unique within its family.
    """

    kind: ClassVar[str]


class Family(Generic[K]):
    """The kinds of one part of a metric.

    Args:
        name: What messages call a member, such as `"head"`.
        base: The abstract class that the specifications of all its kinds derive from.
        group: Entry-point group of other packages; each entry is what `register` takes, or a list of it.
    """

    def __init__(self, name: str, base: Any, group: str) -> None:
        self.name, self.group = name, group
        self.base: type[K] = base
        self._specs: dict[str, type[K]] = {}
        self._builders: dict[type[K], Any] = {}
        self._entry_points_read = False
        _FAMILIES[base] = self

    def declare(self, *specs: type[K]) -> None:
        """Make the specifications of built-in kinds known, before what is built from them is imported."""
        self._specs |= {spec.kind: spec for spec in specs}

    def register(self, builder: Any, *, replace: bool = False) -> None:
        """Make a kind known.

        Args:
            builder: What builds the part; its attribute `spec_class` is the class of its specifications.
            replace: Whether a kind of the same name may be replaced.

        Raises:
            InvalidSpecError: It is no such builder, or the name of its kind is taken; nothing is changed then.
        """
        spec = getattr(builder, "spec_class", None)
        if not (isinstance(spec, type) and issubclass(spec, self.base)):
            raise InvalidSpecError(
                f"A {self.name} to register needs an attribute spec_class, a subclass of {self.base.__name__}; "
                f"{builder!r} has {spec!r}."
            )
        kind = getattr(spec, "kind", None)
        if not isinstance(kind, str) or not kind:
            raise InvalidSpecError(f"{spec.__name__}.kind must be the name of the {self.name} in JSON, got {kind!r}.")
        known = self._specs.get(kind)
        if known is not None and (known is not spec or spec in self._builders) and not replace:
            raise InvalidSpecError(
                f"A {self.name} of kind {kind!r} is registered already ({known.__module__}.{known.__name__}). "
                "Choose another kind, or pass replace=True."
            )
        self._specs[kind] = spec
        self._builders[spec] = builder

    def unregister(self, kind: str) -> None:
        """Forget a kind; what was built from it stays as it is."""
        spec = self._specs.pop(kind, None)
        if spec is not None:
            self._builders.pop(spec, None)

    def kinds(self) -> list[str]:
        """Names of all kinds, those of installed packages included."""
        self._read_entry_points()
        return sorted(self._specs)

    def spec_class(self, kind: object) -> type[K] | None:
        """Class of the specifications of a kind; None for a name that nobody registered."""
        if not isinstance(kind, str):
            return None
        if kind not in self._specs:
            self._read_entry_points()
        return self._specs.get(kind)

    def builder_of(self, spec: K) -> Any:
        """What was registered for a specification.

        Raises:
            InvalidSpecError: Nothing was.
        """
        if type(spec) not in self._builders:
            self._read_entry_points()
        builder = self._builders.get(type(spec))
        if builder is None:
            raise InvalidSpecError(
                f"Nothing builds the {self.name} {type(spec).__name__}. Register what does with "
                f"perceptmetrics.register_{self.name.replace(' ', '_')}, or install the package that brings it."
            )
        return builder

    def _read_entry_points(self) -> None:
        if self._entry_points_read:
            return
        self._entry_points_read = True
        for entry_point in entry_points(group=self.group):
            try:
                loaded = entry_point.load()
                for builder in loaded if isinstance(loaded, (list, tuple)) else [loaded]:
                    self.register(builder)
            except Exception:  # noqa: BLE001 - another package's fault must not hide the kinds that work
                _log.warning("The %ss of the entry point %r could not be read.", self.name, entry_point, exc_info=True)


_FAMILIES: dict[type[Kind], Family[Any]] = {}


def family_of(base: object) -> Family[Any] | None:
    """The family whose specifications derive from a class; None for any other class."""
    return _FAMILIES.get(base)  # type: ignore[call-overload,no-any-return]
