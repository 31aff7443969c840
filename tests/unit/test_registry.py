"""Looking metrics up, listing them, and adding them, from a program or from another package."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from perceptmetrics.errors import InvalidOptionError, InvalidSpecError, UnknownMetricError
from perceptmetrics.metrics import BUILTIN_SPECS, registry
from perceptmetrics.metrics.clipiqa import CLIPIQA
from perceptmetrics.metrics.registry import list_metrics, list_models, metric_info, register_metric
from tests.support.registered_metrics import temporary_metrics

BUILTIN = sorted(spec.name for spec in BUILTIN_SPECS)


@pytest.fixture(autouse=True)
def _restored_registry():
    with temporary_metrics():
        yield


def test_every_built_in_metric_is_found_by_its_name():
    assert set(BUILTIN) <= set(list_metrics())
    for spec in BUILTIN_SPECS:
        assert metric_info(spec.name) is spec


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("clipiqua", "Did you mean 'clipiqa'"),
        ("clip-iqa", "Did you mean 'clipiqa'"),
        ("liteiqa", "Did you mean 'lite_iqa'"),
        ("CLIPIQA", "Did you mean 'clipiqa'"),
        ("", f"Known: {', '.join(BUILTIN)}."),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, answer):
    with pytest.raises(UnknownMetricError) as caught:
        metric_info(name)
    assert str(caught.value).startswith(f"No metric is named {name!r}. {answer}")
    assert isinstance(caught.value, LookupError)


@pytest.fixture
def _more_metrics():
    for name, task in (("zoo_a", "memorability"), ("zoo_b", "emotion"), ("Zoo_c", "quality")):
        register_metric(replace(CLIPIQA, name=name, task=task))


@pytest.mark.usefixtures("_more_metrics")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, sorted([*BUILTIN, "zoo_a", "zoo_b", "Zoo_c"])),
        ({"filter": "zoo*"}, ["zoo_a", "zoo_b"]),
        ({"filter": "*_?"}, ["Zoo_c", "zoo_a", "zoo_b"]),
        ({"filter": "zoo"}, []),
        ({"task": "emotion"}, ["perceptclip_emo", "zoo_b"]),
        ({"filter": "zoo*", "task": "emotion"}, ["zoo_b"]),
        ({"filter": "zoo*", "task": "memorability"}, ["zoo_a"]),
        ({"filter": "zoo*", "task": "quality"}, []),
    ],
)
def test_lists_are_filtered_and_sorted(arguments, expected):
    assert list_metrics(**arguments) == expected


@pytest.mark.usefixtures("_more_metrics")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"filter": "zoo*"}, ["zoo_a", "zoo_b"]),
        ({"metric_mode": "NR", "filter": "zoo*"}, ["zoo_a", "zoo_b"]),
        ({"metric_mode": "FR"}, []),
        ({"filter": "zoo*", "exclude_filters": "*_a"}, ["zoo_b"]),
        ({"filter": "zoo*", "exclude_filters": ["*_a", "*_b"]}, []),
        ({"exclude_filters": ["[zZ]oo*"]}, BUILTIN),
        ({"exclude_filters": ""}, sorted([*BUILTIN, "zoo_a", "zoo_b", "Zoo_c"])),
    ],
)
def test_list_models_takes_the_arguments_of_pyiqa(arguments, expected):
    assert list_models(**arguments) == expected


def test_a_registered_metric_is_found():
    spec = replace(CLIPIQA, name="mine")
    register_metric(spec)
    assert metric_info("mine") is spec
    assert "mine" in list_metrics()


def test_a_name_is_replaced_only_on_request():
    other = replace(CLIPIQA, task="emotion")
    with pytest.raises(InvalidSpecError, match=r"'clipiqa' is registered already.*replace=True"):
        register_metric(other)
    assert metric_info("clipiqa") is CLIPIQA
    register_metric(other, replace=True)
    assert metric_info("clipiqa") is other


@pytest.mark.parametrize("value", [None, "clipiqa", {"name": "mine"}, [CLIPIQA]])
def test_only_specifications_are_registered(value):
    with pytest.raises(InvalidSpecError, match=f"expects a MetricSpec, got {type(value).__name__}"):
        register_metric(value)


PLUGIN = """
from dataclasses import replace
from perceptmetrics.metrics.clipiqa import CLIPIQA

ONE = replace(CLIPIQA, name="plugin_one")
SEVERAL = [replace(CLIPIQA, name=name) for name in ("plugin_two", "plugin_three")]
TAKEN = [replace(CLIPIQA, task="emotion")]
NONSENSE = "clipiqa"
"""
PROGRAM = """
import logging
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
from perceptmetrics.metrics.registry import list_metrics, metric_info
print(*list_metrics(), metric_info("clipiqa").task)
"""


@pytest.mark.parametrize(
    ("entries", "added", "broken"),
    [
        ("one = plugin:ONE", ["plugin_one"], None),
        ("several = plugin:SEVERAL", ["plugin_three", "plugin_two"], None),
        ("one = plugin:ONE\nseveral = plugin:SEVERAL", ["plugin_one", "plugin_three", "plugin_two"], None),
        ("gone = plugin:GONE\none = plugin:ONE", ["plugin_one"], "gone"),
        ("missing = no_such_module:SPEC\none = plugin:ONE", ["plugin_one"], "missing"),
        ("bad = plugin:NONSENSE\none = plugin:ONE", ["plugin_one"], "bad"),
        ("thief = plugin:TAKEN\none = plugin:ONE", ["plugin_one"], "thief"),
    ],
)
def test_metrics_of_installed_packages_are_known_and_broken_ones_only_warn(tmp_path, entries, added, broken):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    information = tmp_path / "plugin-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{registry.ENTRY_POINT_GROUP}]\n{entries}\n")
    paths = [str(tmp_path), str(registry.__file__).removesuffix("perceptmetrics/metrics/registry.py")]
    program = f"import sys; sys.path[:0] = {paths!r}\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [*sorted([*BUILTIN, *added]), "quality"]
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING perceptmetrics.metrics.registry")]
    assert len(warnings) == (broken is not None)
    if broken:
        assert f"name='{broken}'" in warnings[0]
        assert "could not be read" in warnings[0]
    else:
        assert done.stderr == ""


def test_an_unknown_task_is_refused():
    with pytest.raises(InvalidOptionError, match="Did you mean 'memorability'"):
        list_metrics(task="memorabilty")
