"""A specification from a stranger reaches nothing, and is refused at once and with little memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import perceptmetrics
from perceptmetrics.errors import InvalidSpecError, MissingExtraError, WeightsError
from perceptmetrics.factory import build
from perceptmetrics.factory.encoder_pair import Material
from perceptmetrics.metrics import BUILTIN_SPECS
from perceptmetrics.metrics.clip_uiqa import CLIP_UIQA
from perceptmetrics.metrics.clipiqa import CLIPIQA
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.models.heads import mlp
from perceptmetrics.spec import (
    AffineMap,
    AntonymHeadSpec,
    CentreCropView,
    ContextSpec,
    CropsView,
    FragmentsView,
    HubFile,
    LogisticMap,
    LoraSpec,
    MlpHeadSpec,
    PackageFile,
    PoolSpec,
    PromptPair,
    RegressorSpec,
    SalientView,
    ScoreSpec,
    TimmEncoderSpec,
    WholeView,
)
from perceptmetrics.spec.json import LONGEST_SPEC, spec_from_json, spec_to_json
from perceptmetrics.weights.layouts import read_trained
from perceptmetrics.weights.resolve import ResolveOptions, find_cached, resolve
from tests.support.registered_metrics import temporary_metrics

MEGABYTE = 2**20
PAIR = {"positive": "a", "negative": "b"}


def exported_lite(folder):
    """A folder with what `create_metric` needs."""
    carried = Path(perceptmetrics.__file__).parent / "metrics" / "lite_iqa"
    folder.mkdir()
    for name in ("spec.json", "model.safetensors"):
        shutil.copy(carried / name, folder)
    return folder


def edited(spec, path, value):
    document = json.loads(spec_to_json(spec))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(document)


def refusal(text):
    """The message with which a text is refused, at most a few megabytes of memory later."""
    tracemalloc.start()
    try:
        with pytest.raises(InvalidSpecError) as caught:
            spec_from_json(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * MEGABYTE + 2 * len(text)
    message = str(caught.value)
    assert len(message) < 2_000
    return message


PACKAGE = ("head", "weights", "package")


@pytest.mark.parametrize(
    "package",
    [
        "model.x.y",
        "antigravity.x",
        ".os",
        "..",
        "os.path",
        "/etc",
        "a/b",
        "a\\b",
        "",
        " ",
        "1a",
        "a b",
        "x\n",
        "é",
        "-r",
    ],
)
def test_a_package_is_a_top_level_name(package):
    assert "PackageFile.package must be" in refusal(edited(LITE_IQA, PACKAGE, package))


@pytest.mark.parametrize("package", ["antigravity", "this", "__main__", "os", "torch", "tests", "idlelib"])
@pytest.mark.parametrize("path", [PACKAGE, ("encoder", "weights", "package")])
def test_a_package_is_known_to_carry_weights(package, path):
    message = refusal(edited(LITE_IQA, path, package))
    assert f"{package!r}" in message or "must be the name of a top-level" in message
    assert package not in sys.modules or package in ("__main__", "os", "torch", "tests")


def test_a_source_deep_inside_is_found():
    regressor = RegressorSpec(widths=(1, 1), weights=PackageFile(package="antigravity", filename="f"))
    assert "'antigravity'" in refusal(spec_to_json(replace(CLIPIQA, pool=PoolSpec(regressor=regressor))))
    context = ContextSpec(length=4, weights=PackageFile(package="antigravity", filename="f"))
    assert "'antigravity'" in refusal(spec_to_json(replace(CLIPIQA, head=replace(CLIPIQA.head, context=context))))


def test_code_says_which_packages_carry_weights():
    spec = replace(
        LITE_IQA,
        name="of_another_package",
        head=replace(LITE_IQA.head, weights=PackageFile(package="carrier_of_others", filename="f")),
    )
    text = spec_to_json(spec)
    assert "register a metric" in refusal(text)
    with temporary_metrics(spec):
        assert spec_from_json(text) == spec


def test_an_exported_folder_runs_no_module_that_it_brings(tmp_path):
    folder = exported_lite(tmp_path / "model")
    inside = folder / "x"
    inside.mkdir()
    (inside / "__init__.py").write_text("open('PWNED', 'w')")
    code = """
        import json, sys, perceptmetrics
        for package in ("model.x.y", "model.x", "model", "x"):
            document = json.load(open("model/spec.json"))
            document["head"]["weights"]["package"] = document["encoder"]["weights"]["package"] = package
            json.dump(document, open("model/spec.json", "w"))
            try:
                perceptmetrics.create_metric("model")
            except perceptmetrics.InvalidSpecError as error:
                print(error)
        assert not {"model", "model.x", "x"} & set(sys.modules)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.count("PackageFile.package must be") == run.stdout.count("the Python package") == 2
    assert not (tmp_path / "PWNED").exists()


def test_looking_a_package_up_imports_nothing(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "carrier_that_runs").mkdir()
    (tmp_path / "carrier_that_runs" / "__init__.py").write_text("raise SystemExit")
    (tmp_path / "carrier_that_runs" / "f").write_bytes(b"weights")
    source = PackageFile(package="carrier_that_runs", filename="f")
    assert resolve(source, ResolveOptions(metric="m")).read_bytes() == b"weights"
    for package in ("__main__", "carrier_that_is_missing"):
        with pytest.raises(InvalidSpecError if package == "__main__" else WeightsError):
            resolve(replace(source, package=package), ResolveOptions(metric="m"))
    with pytest.raises(MissingExtraError):
        resolve(replace(source, package="carrier_that_is_missing", extra="lite"), ResolveOptions(metric="m"))


@pytest.mark.parametrize(
    "filename",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "a/../../b",
        "a//b",
        "./a",
        "a/.",
        "a\\..\\b",
        "C:/a",
        "a/",
        "..",
        "a\0b",
        "a\nb",
        "x" * 1_001,
    ],
)
@pytest.mark.parametrize(
    "source", [PackageFile(package="perceptmetrics", filename="f"), HubFile(repo="a/b", filename="f", revision="main")]
)
def test_a_file_name_stays_in_its_folder(source, filename):
    with pytest.raises(InvalidSpecError, match="filename must be a relative path"):
        replace(source, filename=filename)


@pytest.mark.parametrize("repo", ["a", "a/b/c", "../b", "a/..", "/b", "a/", "a/b;rm", "a/b c", "a/$(x)", "~/b"])
def test_a_repository_is_an_organisation_and_a_name(repo):
    with pytest.raises(InvalidSpecError, match=r"HubFile\.repo must read"):
        HubFile(repo=repo, filename="f", revision="main")


@pytest.mark.parametrize(
    "revision",
    ["../../x", "/etc", "a/../b", "a..b", "a b", "a;b", "$(x)", "a\nb", "-rf", "a/", "a//b", "C:\\x", "`x`", "x" * 201],
)
def test_a_revision_is_a_commit_a_branch_or_a_tag(revision):
    with pytest.raises(InvalidSpecError, match=r"HubFile\.revision must be"):
        HubFile(repo="a/b", filename="f", revision=revision)


@pytest.mark.parametrize("revision", ["main", "refs/pr/1", "v1.0-rc.1", "feature/a_b", "0" * 40, "2024-01-01", "a@b+c"])
def test_usual_revisions_are_taken(revision):
    assert HubFile(repo="a/b", filename="sub/dir/f.safetensors", revision=revision).revision == revision


def test_an_extra_cannot_be_a_command():
    with pytest.raises(InvalidSpecError, match=r"PackageFile\.extra must be"):
        PackageFile(package="perceptmetrics", filename="f", extra="lite]; curl x | sh #")


@pytest.mark.parametrize(
    "architecture",
    ["hf-hub:a/b", "local-dir:/etc", "resnet50.hf-hub:x", "resnet50.no_such_tag", "timm/resnet50", "../resnet50"],
)
def test_an_architecture_of_timm_is_one_of_its_names(architecture):
    encoder = TimmEncoderSpec(
        architecture=architecture, quick_gelu=False, weights=LITE_IQA.encoder.weights, features="pooled"
    )
    with (
        temporary_metrics(replace(LITE_IQA, name="odd", encoder=encoder)),
        pytest.raises(InvalidSpecError, match="timm has no architecture"),
    ):
        perceptmetrics.create_metric("odd", weights=None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deep"),
        ('{"a":' * 100_000, "nested too deep"),
        (edited(CLIPIQA, ("name",), "NUMBER").replace('"NUMBER"', "1" * 5_000), "at most 18 digits"),
        (edited(CLIPIQA, ("score", "lower"), "N").replace('"N"', "-1" + "0" * 400), "at most 18 digits"),
        (edited(CLIPIQA, ("score", "lower"), "N").replace('"N"', "-1e400"), "must be finite, got '-1e400'"),
        (edited(CLIPIQA, ("score", "lower"), "N").replace('"N"', "-Infinity"), "must be finite"),
        (edited(CLIPIQA, ("score", "lower"), float("nan")), "must be finite"),
        (edited(CLIPIQA, ("task",), "x" * 5_000_000), f"at most {LONGEST_SPEC:,} characters"),
        (edited(CLIPIQA, ("task",), "x" * 900_000), "MetricSpec.task must be one of"),
        (edited(CLIPIQA, ("x" * 900_000,), 1), "unknown field"),
        (edited(CLIPIQA, ("head", "kind"), "x" * 900_000), "spec.head.kind must be one of"),
        (edited(CLIPIQA, ("format_version",), "x" * 900_000), "format_version 1, got 'xxx"),
        (edited(CLIPIQA, ("format_version",), [[[[[[]]]]]] * 9_000), "format_version 1"),
        (edited(CLIPIQA, ("card", "limits"), "x" * 200_000), "at most 100,000 characters"),
        (edited(CLIPIQA, ("card", "limits"), "\ud800"), "no text that UTF-8 can encode"),
        (edited(CLIPIQA, ("name",), "x" * 201), "at most 200, got"),
        (edited(CLIPIQA, ("encoder", "architecture"), "x" * 201), "must be the name of an architecture"),
        (edited(CLIPIQA, ("encoder", "architecture"), "RN50\x1b[2J"), "must be the name of an architecture"),
        (edited(CLIPIQA, ("encoder", "weights", "size"), -1), "size must be a number of bytes"),
        (edited(LITE_IQA, ("head", "widths"), [1024, 10**9, 1]), "67,108,864 weights, got 3 sizes: (1024, 1000000000"),
        (edited(LITE_IQA, ("head", "widths"), [1024] + [1024] * 3_000 + [1]), "at most 64 sizes"),
        (edited(LITE_IQA, ("head", "widths"), [1024, 10**17, 1]), "67,108,864 weights"),
        (edited(LITE_IQA, ("head", "widths"), [1024, 10**30, 1]), "at most 18 digits"),
        (edited(LITE_IQA, ("head", "widths"), [1] * 50_000), "at most 64 sizes"),
        (edited(LITE_IQA, ("views", "views"), [{"kind": "whole"}] * 10_000), "at most 100 kinds of views"),
        (
            edited(CLIPIQA, ("head", "pairs"), [{"name": str(n), **PAIR} for n in range(9_000)]),
            "at most 1,000 pairs",
        ),
        (edited(CLIPIQA, ("score", "labels"), [str(n) for n in range(101_000)]), "at most 100,000 labels"),
    ],
    ids=lambda value: value[:60] if value[:1] not in "{[" else "",
)
def test_what_is_too_large_or_too_deep_is_refused_at_once(text, message):
    assert message in refusal(text)


HUGE = 10**30


@pytest.mark.parametrize(
    "build",
    [
        lambda: CropsView(height=512, width=512, size=224, count=1_000_000),
        lambda: CropsView(height=512, width=512, size=1, count=1_000_000),
        lambda: CropsView(height=HUGE, width=HUGE, size=224, count=1),
        lambda: CropsView(height=512, width=512, size=224, count=HUGE),
        lambda: CentreCropView(size=100_000),
        lambda: SalientView(size=HUGE),
        lambda: FragmentsView(grid=100_000, cell=1),
        lambda: FragmentsView(grid=7, cell=HUGE),
        lambda: WholeView(max_long_side=10**5000),
        lambda: LoraSpec(rank=10**9, alpha=1.0),
        lambda: LoraSpec(rank=4, alpha=float("inf")),
        lambda: ContextSpec(length=10**9, weights=None),
        lambda: MlpHeadSpec(widths=(1024, HUGE, 1), weights=None),
        lambda: MlpHeadSpec(widths=(10**5000, 1), weights=None),
        lambda: RegressorSpec(widths=(7, 10**9, 1), weights=None),
        lambda: RegressorSpec(widths=(7, 1), weights=None, negative_slope=float("nan")),
        lambda: AffineMap(scale=float("inf"), shift=0.0),
        lambda: LogisticMap(shift=float("nan")),
        lambda: ScoreSpec(lower=float("-inf"), upper=1.0, higher_is_better=True),
        lambda: replace(LITE_IQA.views, mean=(float("nan"), 0.0, 0.0)),
        lambda: replace(LITE_IQA.views, std=(float("inf"), 1.0, 1.0)),
        lambda: AntonymHeadSpec(pairs=tuple(PromptPair(name=str(n), positive="a", negative="b") for n in range(1_001))),
    ],
)
def test_a_part_beyond_a_limit_is_refused(build):
    with pytest.raises(InvalidSpecError) as caught:
        build()
    assert len(str(caught.value)) < 1_000


def test_built_in_metrics_are_far_below_the_limits():
    for spec in BUILTIN_SPECS:
        assert len(spec_to_json(spec)) < LONGEST_SPEC / 100


def test_the_shapes_of_a_head_are_compared_before_it_takes_memory(tmp_path):
    folder = exported_lite(tmp_path / "lite")
    head = replace(LITE_IQA.head, widths=(1024, 65_000, 1), weights=None)
    (folder / "spec.json").write_text(spec_to_json(replace(LITE_IQA, head=head)))
    with pytest.raises(WeightsError, match="do not fit"):
        perceptmetrics.create_metric(folder)


def test_heads_and_regressors_of_a_file_are_built_without_memory(monkeypatch):
    seen = []

    def look(module, *_):
        seen.extend(weight.device.type for weight in module.parameters())

    pool = PoolSpec(regressor=RegressorSpec(widths=(1, 60_000, 1_000, 1), weights=None))
    monkeypatch.setattr(build, "load_strictly", look)
    build._pool_of(replace(CLIP_UIQA, pool=pool, score=replace(CLIP_UIQA.score, labels=())), {}, "file")
    monkeypatch.setattr(mlp, "load_strictly", look)
    mlp.MlpHead.build(replace(LITE_IQA.head, widths=(1024, 60_000, 1)), Material(None, {}, origin="file"))
    assert seen == ["meta"] * 10


@pytest.mark.parametrize("base", ["../../../tmp/x", "/etc/passwd", "x" * 64, "A" * 64, "0" * 63, ""])
def test_the_fingerprint_in_a_header_cannot_be_a_path(tmp_path, base):
    path = tmp_path / "model.safetensors"
    save_file({"head.layers.0.weight": torch.zeros(1, 2)}, path, {"base_fingerprint": base})
    with pytest.raises(WeightsError, match="64 hexadecimal digits"):
        read_trained(path)


def test_a_cached_file_is_not_looked_for_outside_the_cache(tmp_path):
    (tmp_path / "secret").write_text("x")
    with pytest.raises(InvalidSpecError):
        find_cached(HubFile(repo="a/b", filename=f"../../../../{tmp_path.name}/secret", revision="main"), tmp_path)


def test_a_specification_that_is_no_regular_file_is_refused(tmp_path):
    folder = exported_lite(tmp_path / "lite")
    (folder / "spec.json").unlink()
    (folder / "spec.json").symlink_to("/dev/zero")
    with pytest.raises(WeightsError, match=r"is no exported metric: .* device"):
        perceptmetrics.create_metric(folder)
    (folder / "spec.json").unlink()
    (folder / "spec.json").write_text(" " * (LONGEST_SPEC * 4))
    with pytest.raises(InvalidSpecError, match="has more"):
        perceptmetrics.create_metric(folder)
    assert Path(folder).is_dir()
