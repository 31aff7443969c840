"""What a weight file looks like from outside: names and shapes, by which it is recognised before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from perceptmetrics.weights.layouts.strict import some

__all__ = ["FileSignature", "Shapes"]

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class FileSignature:
    """The tensors by which a layout is known.

    Attributes:
        what: What such a file holds, for people to read.
        shapes: Names and shapes that every such file has.
        others: What the names of all its other tensors begin with.
    """

    what: str
    shapes: Shapes
    others: tuple[str, ...] = ()

    def differences(self, given: Shapes) -> list[str]:
        """The names in which a file differs, sorted; none for a file of this layout."""
        wrong = {name for name, shape in self.shapes.items() if _plain(given.get(name)) != _plain(shape)}
        return sorted(wrong | self._unexpected(given))

    def describe(self, given: Shapes) -> str:
        """How a file differs, for people to read."""
        missing, unexpected = self.shapes.keys() - given.keys(), self._unexpected(given)
        told = [f"missing {some(missing)}"] if missing else []
        told += [f"unexpected {some(unexpected)}"] if unexpected else []
        told += [
            f"{name} has shape {given[name]}, expected {shape}"
            for name, shape in self.shapes.items()
            if name in given and _plain(given[name]) != _plain(shape)
        ][:3]
        return "; ".join(told)

    def _unexpected(self, given: Shapes) -> set[str]:
        return {name for name in given if name not in self.shapes and not name.startswith(self.others or ("\0",))}


def _plain(shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """A number alone is a vector of one."""
    return (1,) if shape == () else shape
