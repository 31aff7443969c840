"""README and documentation: the table follows the registry, and the Python blocks run."""

from __future__ import annotations

import pkgutil
import re
import runpy
from functools import partial
from pathlib import Path

import pytest

import perceptmetrics
from perceptmetrics.images.examples import sample_photographs
from tests.support.registered_metrics import build, temporary_metrics

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}-{number}")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for number, block in enumerate(BLOCK.findall(path.read_text(encoding="utf-8")))
]


def test_the_tables_of_metrics_follow_the_registry() -> None:
    tables = runpy.run_path(str(ROOT / "docs" / "metric_table.py"))
    for page, table in (("README.md", tables["short_table"]()), ("docs/choose.md", tables["long_table"]())):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert tables["with_table"](text, table) == text, "run: python docs/metric_table.py"


def test_every_metric_is_in_the_table_by_purpose_whose_figures_have_a_source() -> None:
    tables = runpy.run_path(str(ROOT / "docs" / "metric_table.py"))
    metrics = set(perceptmetrics.list_metrics())
    assert {tables["metric_of"](name) for _, names in tables["PURPOSES"].values() for name in names} == metrics
    assert tables["FIGURES"].keys() <= metrics
    assert all("](" in figure for figure in tables["FIGURES"].values())
    assert tables["short_table"]().count("\n") <= 12


def test_the_table_of_parity_has_every_metric_that_others_have_and_small_deviations() -> None:
    page = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) >= 40
    assert all(float(row[4]) <= 1e-4 for row in rows)
    assert all(float(row[5]) > 10 * float(row[4]) for row in rows)
    shown = {row[0].strip("| `").split(",")[0] for row in rows}
    assert set(perceptmetrics.list_metrics()) - shown == {"clip_uiqa", "lite_attributes", "lite_iqa"}


def test_the_tables_of_finetuning_follow_the_recipes_and_their_settings() -> None:
    with_tables = runpy.run_path(str(ROOT / "docs" / "finetune_tables.py"))["with_tables"]
    page = (ROOT / "docs" / "finetune.md").read_text(encoding="utf-8")
    assert with_tables(page) == page, "run: python docs/finetune_tables.py"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: str(page.relative_to(ROOT)))
def test_cards_and_licences_follow_the_registry(page: Path) -> None:
    with_generated = runpy.run_path(str(ROOT / "docs" / "cards.py"))["with_generated"]
    text = page.read_text(encoding="utf-8")
    assert with_generated(text) == text, "run: python docs/cards.py"


def test_every_metric_has_its_card_on_a_page() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    assert all(f"**`{name}`**" in pages for name in perceptmetrics.list_metrics())


def test_every_module_is_in_the_reference_or_on_the_map_of_the_inside() -> None:
    reference = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))
    inside = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8").split("## The inside")[1]
    named = {*re.findall(r"^::: perceptmetrics\.(\w+)", reference, re.MULTILINE)}
    named |= {*re.findall(r"`(\w+)`", inside)}
    modules = {module.name for module in pkgutil.iter_modules(perceptmetrics.__path__)} - {"_version"}
    assert modules - named == set()


def test_the_reference_of_the_command_line_follows_the_commands() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "command_reference.py"))["page"]
    assert page() == (ROOT / "docs" / "commands.md").read_text(encoding="utf-8"), "run: docs/command_reference.py"


def test_the_figure_of_the_forward_pass_is_what_its_script_draws() -> None:
    figure = runpy.run_path(str(ROOT / "docs" / "forward_pass.py"))["figure"]
    drawn = (ROOT / "docs" / "images" / "forward_pass.svg").read_text(encoding="utf-8")
    assert figure() == drawn, "run: python docs/forward_pass.py"


@pytest.mark.parametrize("block", BLOCKS)
def test_python_block_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CLIP is replaced by a tiny random one, since its weights cannot be downloaded here."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name, photograph in list(sample_photographs().items())[:2]:
        photograph.resize((120, 90)).save(Path("photos", f"{name}.jpg"))
    Path("photos", "chelsea.jpg").rename("photo.jpg")
    monkeypatch.setattr(perceptmetrics, "create_metric", partial(create_tiny, perceptmetrics.create_metric))
    with temporary_metrics():
        exec(compile(block, "documentation", "exec", dont_inherit=True), {"__name__": "documentation"})


def create_tiny(create: object, name: str, **options: object) -> object:
    assert callable(create)
    return create(name, **options) if name == "lite_iqa" or Path(name).is_dir() else build(name, **options)


def test_there_are_blocks() -> None:
    assert len(BLOCKS) > 5


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_waits_for_a_number(page: Path) -> None:
    assert not re.search(r"<!-- measured|@[A-Z0-9]+@|\bTODO\b", page.read_text(encoding="utf-8"))
