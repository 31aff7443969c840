"""Two exports of one metric are the same files, with the mode of any new file."""

from __future__ import annotations

import os
import stat

import pytest

from perceptmetrics import create_metric
from perceptmetrics.export.card import model_card
from perceptmetrics.export.collect import trained_weights_of
from perceptmetrics.export.write import export_metric


def exported(folder, **options):
    metric = create_metric("lite_iqa")
    weights = trained_weights_of(metric)
    card = model_card(metric.spec, source="here")
    export_metric(metric, folder, spec=metric.spec, weights=weights, card=card, **options)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_exports_are_equal_byte_for_byte(tmp_path):
    first = exported(tmp_path / "one")
    assert set(first) == {"README.md", "config.json", "golden.safetensors", "model.safetensors", "spec.json"}
    for number in range(3):
        assert exported(tmp_path / str(number)) == first


@pytest.mark.parametrize("umask", [0o022, 0o027])
@pytest.mark.parametrize("keep_others", [False, True])
def test_exported_files_have_the_usual_mode(tmp_path, umask, keep_others):
    before = os.umask(umask)
    try:
        exported(tmp_path / "one", keep_others=keep_others)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "one").iterdir()}
    assert modes == {0o666 & ~umask}
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o777 & ~umask


def test_an_export_that_was_killed_is_found_again(tmp_path):
    """As a system leaves it that cannot exchange two folders."""
    exported(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / ".one.former")
    assert create_metric(tmp_path / "one").spec.name == "lite_iqa"
