"""Licences of weights: each is stated with its evidence, unknown ones are never counted, and limits are said once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from perceptmetrics import MetricSpec, create_metric, list_metrics, metric_info
from perceptmetrics.errors import InvalidOptionError, InvalidSpecError
from perceptmetrics.factory import licence_notice
from perceptmetrics.metrics import BUILTIN_SPECS
from perceptmetrics.metrics.clip_encoders import OPENAI_CLIP_WEIGHTS
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.scoring.origin import origin_of
from perceptmetrics.spec import NONE_STATED, HubFile, LicenceSpec
from perceptmetrics.spec.json import spec_from_json, spec_to_json
from tests.support.registered_metrics import temporary_metrics

LOGGER = "perceptmetrics.factory.licence_notice"


def licence(spdx: str) -> LicenceSpec:
    return LicenceSpec(spdx=spdx, evidence="https://example.org/LICENSE", checked="2026-11-28")


def licensed(spdx: str | None, name: str = "licensed") -> MetricSpec:
    """`lite_iqa`, whose weights are here, with a head under another licence; None for one that is not recorded."""
    file = LITE_IQA.trained_file
    assert file is not None
    own = replace(file, licence=None if spdx is None else licence(spdx))
    return replace(LITE_IQA, name=name, head=replace(LITE_IQA.head, weights=own))


@pytest.fixture(autouse=True)
def _new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(licence_notice, "_said", set())
    monkeypatch.delenv(licence_notice.NOTICE_VARIABLE, raising=False)
    with temporary_metrics():
        yield


def notices(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOGGER]


@pytest.mark.parametrize("spec", BUILTIN_SPECS, ids=lambda spec: spec.name)
def test_every_weight_states_its_licence_which_the_card_names(spec: MetricSpec) -> None:
    for file in spec.weight_sources:
        assert file.licence is not None
        assert file.licence.spdx.lower() in spec.card.licence.lower()


def test_every_clip_that_backbone_takes_by_name_states_its_licence() -> None:
    assert all(file.licence is not None for file in OPENAI_CLIP_WEIGHTS.values())


@pytest.mark.parametrize(
    ("spdx", "counts"),
    [
        ("MIT", True),
        ("apache-2.0", True),
        ("CC-BY-4.0", True),
        ("CC-BY-NC-4.0", False),
        ("CC-BY-ND-4.0", False),
        ("AGPL-3.0-only", False),
        ("PolyForm-Noncommercial-1.0.0", False),
        ("LicenseRef-mine", False),
        (NONE_STATED, False),
        (None, False),
    ],
)
def test_only_licences_that_are_known_to_allow_it_count_as_commercial(spdx: str | None, counts: bool) -> None:
    with temporary_metrics(licensed(spdx)):
        assert ("licensed" in list_metrics(commercial=True)) is counts
        assert "licensed" in list_metrics()


def test_one_file_that_forbids_it_is_enough() -> None:
    assert metric_info("clipiqa").allows_commercial_use
    assert not metric_info("clipiqa+").allows_commercial_use


def test_a_trained_part_in_no_published_file_is_not_counted() -> None:
    assert not replace(LITE_IQA, head=replace(LITE_IQA.head, weights=None)).allows_commercial_use


def test_commercial_is_true_or_false() -> None:
    with pytest.raises(InvalidOptionError, match="commercial must be True or False, got 'mit'"):
        list_metrics(commercial="mit")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"spdx": "MIT or so"}, "one SPDX identifier, such as 'Apache-2.0', or 'none stated'"),
        ({"spdx": ""}, "one SPDX identifier"),
        ({"spdx": "M" * 101}, "one SPDX identifier"),
        ({"evidence": " "}, "LicenceSpec.evidence must be stated"),
        ({"checked": "28.11.2026"}, "LicenceSpec.checked must be a day"),
        ({"checked": "2026-02-30"}, "LicenceSpec.checked must be a day"),
        ({"checked": "20261128"}, "LicenceSpec.checked must be a day"),
    ],
)
def test_what_is_no_licence_is_refused(fields: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSpecError, match=message):
        LicenceSpec(**{"spdx": "MIT", "evidence": "LICENSE", "checked": "2026-11-28", **fields})


def test_licences_survive_json_and_are_not_asked_of_older_files() -> None:
    spec = licensed("CC-BY-NC-4.0")
    assert spec_from_json(spec_to_json(spec)) == spec
    assert HubFile(repo="a/b", filename="c", revision="main").licence is None


def test_licences_change_no_score() -> None:
    metric = create_metric("lite_iqa")
    same = origin_of([metric], {})
    metric.spec = replace(licensed("CC-BY-NC-4.0"), name="lite_iqa")
    assert origin_of([metric], {}) == same


@pytest.mark.parametrize("spdx", ["CC-BY-NC-4.0", NONE_STATED, None])
def test_a_metric_that_may_not_be_used_commercially_says_so_once(
    spdx: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with temporary_metrics(licensed(spdx), licensed("CC-BY-NC-SA-4.0", name="other")):
        create_metric("licensed")
        create_metric("licensed")
        (notice,) = notices(caplog)
        create_metric("other", as_loss=True)
    for expected in ("licensed", "metrics/lite_iqa/model.safetensors", spdx if spdx == "CC-BY-NC-4.0" else "licence"):
        assert str(expected) in notice
    assert len(notices(caplog)) == 2


def test_a_metric_that_may_be_used_says_nothing_nor_do_random_weights(caplog: pytest.LogCaptureFixture) -> None:
    with temporary_metrics(licensed("CC-BY-NC-4.0")):
        create_metric("licensed", weights=None)
    create_metric("lite_iqa")
    assert notices(caplog) == []


def test_a_variable_silences_it(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEPTMETRICS_LICENCE_NOTICE", "0")
    with temporary_metrics(licensed(None)):
        create_metric("licensed")
    assert notices(caplog) == []


def test_the_level_of_its_logger_silences_it(caplog: pytest.LogCaptureFixture) -> None:
    with temporary_metrics(licensed(None)), caplog.at_level(logging.ERROR, logger=LOGGER):
        create_metric("licensed")
    assert notices(caplog) == []


def test_what_others_trained_has_the_terms_of_its_card(caplog: pytest.LogCaptureFixture) -> None:
    trained = replace(LITE_IQA, head=replace(LITE_IQA.head, weights=None))
    licence_notice.notice_licence(trained)
    assert notices(caplog) == []
    licence_notice.notice_licence(trained, published=True)
    (notice,) = notices(caplog)
    assert trained.card.licence in notice
