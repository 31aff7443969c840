"""The plug-in of pytest: tests of image generators pass, fail, and say which images are at fault."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import perceptmetrics.factory.create
import perceptmetrics.tripwire  # noqa: F401 - pytester forgets what is first imported within it, kinds are registered once
from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.images.examples import blurred, noisy, sample_photographs
from perceptmetrics.integrations.pytest import ImageQuality

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def quality() -> ImageQuality:
    return ImageQuality()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name in ("good", "same", "worse", "fewer"):
        (folder / name / "inner").mkdir(parents=True)
        for title, photograph in list(sample_photographs().items())[: 2 if name == "fewer" else 4]:
            small = photograph.resize((192, 144))
            changed = noisy(blurred(small, 4), 40) if name == "worse" else small
            changed.save(folder / name / "inner" / f"{title}.{'png' if name == 'good' else 'bmp'}")
    return folder


def test_the_example_of_the_documentation_runs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def test_" in block)
    assert len(example.splitlines()) <= 12
    pytester.makepyfile(example)
    photograph = sample_photographs()["chelsea"].resize((300, 200))
    for folder, suffix in (("outputs", "jpg"), ("golden", "png")):
        pytester.mkdir(folder)
        photograph.save(pytester.path / folder / f"cat.{suffix}", **({"quality": 97} if suffix == "jpg" else {}))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    arguments = ("-p", "perceptmetrics.integrations.pytest", "-p", "no:cacheprovider")
    pytester.runpytest_inprocess(*arguments).assert_outcomes(passed=2)
    (pytester.path / "outputs" / "black.png").write_bytes(_black())
    (pytester.path / "golden" / "black.png").write_bytes(_black())
    result = pytester.runpytest_inprocess(*arguments)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*1 of 2 images are broken:*", "*black.png: constant (*RGB (0, 0, 0))*"])


def _black() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, format="PNG")
    return buffer.getvalue()


def test_equal_images_are_no_worse_and_blurred_ones_are(quality: ImageQuality, images: Path) -> None:
    quality.assert_no_worse(images / "same", images / "good", 0.0)
    with pytest.raises(AssertionError, match=r"worse than the baseline by more than 0.02.*4 pairs") as raised:
        quality.assert_no_worse(images / "worse", images / "good", 0.02)
    assert "astronaut.bmp: 0." in str(raised.value)
    quality.assert_no_worse(images / "good", images / "worse", 0.0)


def test_images_that_do_not_pair_are_named(quality: ImageQuality, images: Path) -> None:
    with pytest.raises(AssertionError, match=r"no counterpart.*\n.*coffee: only in the baseline"):
        quality.assert_no_worse(images / "fewer", images / "good", 0.1)
    with pytest.raises(AssertionError, match="1 images cannot be compared in pairs with 2"):
        quality.assert_no_worse([np.zeros((40, 40, 3))], [np.zeros((40, 40, 3))] * 2, 0.1)
    with pytest.raises(AssertionError, match=r"1 of 1 images of the images failed:\n.*none.png"):
        quality.assert_no_worse("none.png", "none.png", 0.1)


def test_no_images_at_all_do_not_pass(quality: ImageQuality) -> None:
    with pytest.raises(InvalidImageError, match="nothing to check"):
        quality.assert_not_broken([])


def test_kinds_that_are_allowed_are_no_fault(quality: ImageQuality) -> None:
    black = np.zeros((40, 40, 3), dtype=np.uint8)
    quality.assert_not_broken(black, allow=["constant"])
    with pytest.raises(AssertionError, match="12 of 12 images are broken") as raised:
        quality.assert_not_broken([black] * 12)
    assert "and 2 more" in str(raised.value)
    with pytest.raises(InvalidOptionError, match="Did you mean 'constant'"):
        quality.assert_not_broken(black, allow=["constants"])
    with pytest.raises(InvalidOptionError, match="margin must be 0 or more"):
        quality.assert_no_worse(black, black, -1)


def test_the_plug_in_is_declared_and_imports_nothing_heavy() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\nperceptmetrics = "perceptmetrics.integrations.pytest"' in declared
    heavy = "any(name in sys.modules for name in ('torch', 'PIL', 'numpy'))"
    code = f"import sys, perceptmetrics.integrations.pytest; sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
