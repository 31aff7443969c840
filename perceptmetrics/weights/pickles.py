"""Look through the instructions of a pickle before anything follows them."""

from __future__ import annotations

import pickle
import pickletools
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_pickles"]

_MOST_VALUES = 10**7  # in one value when its shared parts are written out; a large model has 100,000
_MARK = "mark"
_HASHED_BY_PARTS = ("TUPLE", "REDUCE", "NEWOBJ")  # what functions and classes return may be a tuple, such as torch.Size


def check_pickles(stream: IO[bytes], count: int = 1, *, most_instructions: int | None = None) -> None:
    """Refuse pickles that take forever, or memory without limit.

    Tuples may share their parts so often that hashing one never ends; a forged index into the memo makes the memo as
    large as the index.

    Args:
        stream: Pickles one after the other; what is no pickle is left to the unpickler, which reports it.
        count: How many.
        most_instructions: Largest allowed number of instructions of each; None for any.

    Raises:
        UnpicklingError: A value would have more than ten million parts, an index lies beyond what can have been stored,
            or there are too many instructions.
    """
    try:
        for _ in range(count):
            if any(size > _MOST_VALUES for size in _sizes(stream, most_instructions)):
                raise pickle.UnpicklingError(f"a value in it has more than {_MOST_VALUES:,} parts")
    except (ValueError, IndexError, KeyError):
        return


def _sizes(stream: IO[bytes], most_instructions: int | None) -> Iterator[int]:
    """The size of each value that a pickle puts on its stack: one, and for tuples the sizes of their parts."""
    stack: list[int | None] = []  # None is a mark
    memo: dict[int, int | None] = {}
    for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if most_instructions is not None and number >= most_instructions:
            raise pickle.UnpicklingError(f"it has more than {most_instructions:,} instructions")
        if opcode.name.endswith("PUT") or opcode.name == "MEMOIZE":
            index = len(memo) if argument is None else int(argument)
            if index > number:
                raise pickle.UnpicklingError(f"it stores value {index:,} before it has as many")
            memo[index] = stack[-1]
        elif opcode.name.endswith("GET"):
            stack.append(memo[int(argument or 0)])
        elif opcode.name == "MARK":
            stack.append(None)
        else:
            parts = _popped(stack, [part.name for part in opcode.stack_before])
            size = 1 + parts if opcode.name.startswith(_HASHED_BY_PARTS) else 1
            yield size
            stack.extend([size] * len(opcode.stack_after))


def _popped(stack: list[int | None], before: list[str]) -> int:
    """Take from the stack what an instruction takes; returns its size."""
    parts = 0
    if _MARK in before:
        while (size := stack.pop()) is not None:
            parts += size
        before = before[: before.index(_MARK)]
    return parts + sum(stack.pop() or 0 for _ in before)
