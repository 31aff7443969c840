"""Fingerprints tell weights by their content alone."""

from __future__ import annotations

import json

import pytest
import torch

from perceptmetrics.weights import fingerprints
from perceptmetrics.weights.cache import CACHE_VARIABLE
from perceptmetrics.weights.fingerprints import digests_of, fingerprint


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"weights")
    return path


def tensors():
    return {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3), "empty": torch.zeros(0, 4)}


def of(tensor):
    return fingerprints._digests({"x": tensor})["x"]


def test_equal_content_has_equal_digests_however_it_lies_in_memory():
    a = tensors()["a"]
    assert of(a) == of(a.clone()) == of(a.T.contiguous().T) == of(torch.cat([a, a])[:2]) == of(a.requires_grad_())
    assert of(torch.zeros(2).expand(3, 2)) == of(torch.zeros(3, 2))


@pytest.mark.parametrize(
    "other",
    [
        torch.arange(6.0).reshape(3, 2),
        torch.arange(6.0),
        torch.arange(6.0).reshape(2, 3).double(),
        torch.arange(6.0).reshape(2, 3).bfloat16(),
        torch.arange(6.0).reshape(2, 3).nextafter(torch.tensor(9.0)),
        torch.arange(6.0).reshape(2, 3).view(torch.int32),
    ],
)
def test_other_shape_type_or_content_has_another_digest(other):
    assert of(other) != of(tensors()["a"])


def test_types_that_numpy_does_not_know():
    assert of(torch.ones(3).bfloat16()) != of(torch.zeros(3).bfloat16())
    assert of(torch.tensor(True)) != of(torch.tensor(False))


def test_a_fingerprint_is_over_names_and_content_in_any_order(file):
    digests = digests_of(tensors(), file)
    expected = fingerprint(digests)
    assert len(expected) == 64
    assert fingerprint(dict(reversed(digests.items()))) == expected
    assert fingerprint(digests | {"a": digests["b"]}) != expected
    assert fingerprint({f"{name}_": digest for name, digest in digests.items()}) != expected
    assert fingerprint({"a": digests["a"]}) != expected
    swapped = digests | {"a": digests["b"], "b": digests["a"]}
    assert fingerprint(swapped) != expected


def test_digests_are_recalled_while_the_file_is_the_same(file, monkeypatch):
    first = digests_of(tensors(), file)
    monkeypatch.setattr(fingerprints, "_digest", lambda _: pytest.fail("hashed again"))
    assert digests_of(tensors(), file) == first


def test_a_record_of_other_names_is_not_used(file):
    """As an older version may have left it, which read the file otherwise."""
    digests_of({"old": torch.zeros(1)}, file)
    assert digests_of(tensors(), file) == fingerprints._digests(tensors())


@pytest.mark.parametrize("value", [None, 3, ["a", "b"], {"a": "x", "b": "y", "empty": "z"}])
def test_a_damaged_record_is_not_used(file, cache, value):
    expected = digests_of(tensors(), file)
    [record] = cache.rglob("*.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"value": value}))
    assert digests_of(tensors(), file) == expected


@pytest.mark.parametrize("threads", [1, 4])
def test_the_number_of_threads_does_not_matter(file, monkeypatch, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert list(digests_of(tensors(), file)) == ["a", "b", "empty"]
    assert digests_of(tensors(), file) == {name: of(tensor) for name, tensor in tensors().items()}
