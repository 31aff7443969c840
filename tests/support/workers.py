"""How pytest-xdist spreads the tests over workers: a file stays on one worker, and long files come first.

Fixtures of a module are then made once. Files whose fixtures are expensive and shared stay together as well.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    import pytest

MOST = 4  # workers; each needs up to 4 GB of memory

TOGETHER = ("tests/parity/test_perceptclip", "tests/parity/test_clipiqa")
LONG = (
    *TOGETHER,
    "tests/integrations/test_ray.py",
    "tests/portable/test_programs.py",
    "tests/finetune/test_training.py",
    "tests/finetune/test_resume.py",
    "tests/examples/test_examples.py",  # from here on: few tests, which would otherwise come last
    "tests/soak/test_soak.py",
    "tests/examples/test_tour.py",
)


def worker_count(config: pytest.Config) -> int | None:
    """How many workers `-n auto` starts: none for a few tests by name, otherwise one for each usable processor."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    if all("::" in argument for argument in config.args):
        return 0
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST)


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Gives a worker one file after the other, those of `LONG` first, so that no worker is alone at the end."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return next((files for files in TOGETHER if file.startswith(files)), file)

    def _assign_work_unit(self, node: object) -> None:
        for unit in reversed(LONG):
            if unit in self.workqueue:
                self.workqueue.move_to_end(unit, last=False)
        super()._assign_work_unit(node)
