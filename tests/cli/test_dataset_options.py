"""Options of data sets on the command line."""

from __future__ import annotations

import pytest

from perceptmetrics.apps.cli.values import parse_dataset_options, parse_options_of_several
from perceptmetrics.errors import InvalidOptionError


def test_values_are_read_as_what_they_are() -> None:
    options = ["columns=a", "columns=b", "lower=1", "upper=5.5", "official_split=true", "image_size=512x384", "sep=a=b"]
    assert parse_dataset_options(options) == {
        "columns": ["a", "b"],
        "lower": 1,
        "upper": 5.5,
        "official_split": True,
        "image_size": "512x384",
        "sep": "a=b",
    }


def test_an_option_is_for_all_data_sets_or_for_the_one_it_names() -> None:
    options = ["lower=1", "csv.columns=a", "csv.columns=my.mos", "koniq10k.official_split=true"]
    assert parse_options_of_several(options, ["csv", "koniq10k"]) == {
        "csv": {"lower": 1, "columns": ["a", "my.mos"]},
        "koniq10k": {"lower": 1, "official_split": True},
    }


def test_a_dot_in_a_value_names_no_data_set() -> None:
    assert parse_options_of_several(["table=labels.csv", "upper=1.5"], ["csv"]) == {
        "csv": {"table": "labels.csv", "upper": 1.5}
    }


@pytest.mark.parametrize(
    ("option", "message"), [("columns", "Expected NAME=VALUE"), ("koniq.x=1", "Did you mean 'koniq10k'")]
)
def test_what_has_another_form_is_refused(option: str, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        parse_options_of_several([option], ["csv", "koniq10k"])
