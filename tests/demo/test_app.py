"""The application as a whole, without a browser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from perceptmetrics.apps.demo import Studio
from perceptmetrics.apps.demo.app import create_demo


def test_no_event_loop_is_left_open(tried: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[asyncio.AbstractEventLoop] = []
    new_event_loop = asyncio.new_event_loop

    def recorded() -> asyncio.AbstractEventLoop:
        opened.append(new_event_loop())
        return opened[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", recorded)
    (tmp_path / "outside").mkdir()
    (tmp_path / "inside").mkdir()
    create_demo(tried, tmp_path / "outside")

    async def inside_a_loop() -> None:
        create_demo(tried, tmp_path / "inside")

    asyncio.run(inside_a_loop())
    assert [loop for loop in opened if not loop.is_closed()] == []
