"""The command, and a folder of images of mixed sizes with broken files among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptmetrics.images.examples import blurred, sample_photographs
from tests.cli.in_process import Command


@pytest.fixture
def perceptmetrics(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`perceptmetrics ARGUMENTS` in this process; `run.real_process` is for what only a process of its own shows."""
    return Command(monkeypatch, capsys)


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six good images in two folders, a truncated one, a text file with an image's suffix, and no image."""
    folder = tmp_path_factory.mktemp("gallery")
    (folder / "inner").mkdir()
    for name, photograph in list(sample_photographs().items())[:3]:
        small = photograph.resize((160, 120))
        small.save(folder / f"{name}.png")
        blurred(small.crop((0, 0, 96, 96))).save(folder / "inner" / f"{name} [blurred].JPG")
    encoded = (folder / "astronaut.png").read_bytes()
    (folder / "broken.png").write_bytes(encoded[: len(encoded) // 2])
    (folder / "text.jpg").write_text("no image")
    (folder / "notes.txt").write_text("not asked for")
    return folder
