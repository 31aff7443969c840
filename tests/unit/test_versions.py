"""`.ci/minimum.txt` pins the lowest versions that pyproject.toml declares, and what is declared is tested."""

from __future__ import annotations

import pytest
from packaging.version import Version

from tests.support.requirements import declared, floors, pinned, project


def differences(declared, pinned):
    """A sentence for each dependency whose floor is not the version that is tested."""
    for name in sorted(declared.keys() | pinned.keys()):
        wanted, tested = declared.get(name), pinned.get(name)
        if wanted is None:
            yield f".ci/minimum.txt pins {name}, which pyproject.toml does not declare. Delete the line."
        elif wanted != tested:
            found = "does not pin it" if tested is None else f"pins {tested}"
            yield (
                f"pyproject.toml declares {name}>={wanted}, but .ci/minimum.txt {found}. Write {name}=={wanted} there."
            )


def test_the_minimum_lane_installs_what_is_declared():
    assert not list(differences(declared(), pinned()))


@pytest.mark.parametrize(
    ("tested", "sentence"),
    [
        ({}, "declares a>=1.2, but .ci/minimum.txt does not pin it. Write a==1.2 there."),
        ({"a": Version("1.3")}, "declares a>=1.2, but .ci/minimum.txt pins 1.3. Write a==1.2 there."),
        ({"a": Version("1.2"), "b": Version("1")}, "pins b, which pyproject.toml does not declare"),
    ],
)
def test_a_difference_is_named(tested, sentence):
    (found,) = differences({"a": Version("1.2")}, tested)
    assert sentence in found


def test_the_lowest_of_several_floors_counts_and_a_missing_one_is_refused():
    assert floors(["Torch_Vision[x]>=0.21,<1", "torch-vision>=0.22"]) == {"torch-vision": Version("0.21")}
    with pytest.raises(ValueError, match=r"'torch<3' in pyproject.toml names no lowest version"):
        floors(["torch<3"])


def test_every_declared_python_is_a_classifier():
    section = project()
    assert section["requires-python"] == ">=3.10"
    prefix = "Programming Language :: Python :: 3."
    assert [line for line in section["classifiers"] if line.startswith(prefix)] == [
        f"{prefix}{minor}" for minor in (10, 11, 12, 13)
    ]
