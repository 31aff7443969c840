"""The scripts of the gallery run as they stand on the page, and print what the page says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"-?\d+\.?\d*")
GALLERY = runpy.run_path(str(ROOT / "docs" / "example_gallery.py"))
SECTIONS = re.split(r"^## ", (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
OUTPUTS = {  # a section is a text, a script, nothing, an output and a picture, divided by fences
    stem: section.split("```")[3].removeprefix("\n") for stem, section in zip(GALLERY["ORDER"], SECTIONS, strict=True)
}


def test_the_page_shows_every_script_as_it_is() -> None:
    assert {path.stem for path in (ROOT / "examples" / "gallery").glob("*.py")} == set(GALLERY["ORDER"])
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    assert GALLERY["page"](OUTPUTS) == page, "run: python docs/example_gallery.py"


@pytest.mark.slow
@pytest.mark.parametrize("stem", GALLERY["ORDER"])
def test_a_script_runs_and_prints_what_the_page_says(
    stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    GALLERY["make_photographs"](tmp_path)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / "gallery" / f"{stem}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    shown = OUTPUTS[stem]
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", shown)
    assert [*map(float, NUMBER.findall(printed))] == pytest.approx([*map(float, NUMBER.findall(shown))], abs=0.03)
    picture = GALLERY["ORDER"][stem]
    assert not picture or (tmp_path / picture).stat().st_size > 1000
