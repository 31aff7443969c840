"""The report of a run: what it says, what its plots show, and that foreign text stays text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import zscore

from perceptmetrics.datasets import Scale
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.finetune import recipe_to_yaml
from perceptmetrics.finetune.training.epochs import EpochRecord, kept_epoch
from perceptmetrics.functional.stats import bootstrap_interval
from perceptmetrics.reports.finetune import (
    ErrorChoice,
    confusion_panel,
    curve_panels,
    finetune_report,
    histogram_panel,
    run_plots,
    scatter_panel,
    worst_errors,
    write_finetune_report,
)
from perceptmetrics.reports.finetune.tables import statistics_tables
from perceptmetrics.reports.mistakes import check_confusion
from tests.finetune.runs import RATES, classed, rated, run_result
from tests.finetune.tiny import pooled
from tests.support.html_pages import HOSTILE, Tags, image_of

LABELS = ("valence", "arousal", "beauty")


def one_rating(tmp_path):
    return run_result(tmp_path / "run", [rated(tmp_path)])


def several_ratings(tmp_path):
    return run_result(tmp_path / "run", [rated(tmp_path, labels=LABELS, scale=Scale(lower=1, upper=7))])


def of_classes(tmp_path):
    return run_result(tmp_path / "run", [classed(tmp_path)])


def several_sets(tmp_path):
    datasets = [rated(tmp_path / "a", name="first"), rated(tmp_path / "b", name="second")]
    stages = ("head_first", "main", "head_first", "head_second")
    return run_result(tmp_path / "run", datasets, splits=1, stages=stages)


def within_groups(tmp_path):
    groups = tuple(str(number // 4) for number in range(40))
    return run_result(tmp_path / "run", [rated(tmp_path, groups=groups, ranks_within_groups=True)])


def that_diverged(tmp_path):
    def nothing(dataset, split, number):
        return np.full((len(split.test), len(dataset.labels)), np.nan)

    result = run_result(tmp_path / "run", [rated(tmp_path)], scores=nothing)
    broken = [
        replace(record, loss=float("nan"), validation={"photos": float("nan")}, selection=float("nan"))
        for record in result.stages[0].records
    ]
    tried = [replace(split, tried=dict.fromkeys(RATES, float("nan"))) for split in result.splits]
    stages = [replace(stage, records=tuple(broken)) for stage in result.stages]
    return replace(result, stages=tuple(stages), splits=tuple(tried))


RUNS = {
    run.__name__: run for run in (one_rating, several_ratings, of_classes, several_sets, within_groups, that_diverged)
}


@pytest.fixture(autouse=True)
def hurried():
    """In place of the fixture of that name, for here intervals are shown."""


@pytest.fixture(autouse=True, scope="module")
def _quick():
    """Plots are drawn but not turned into pixels (tests/experiments/test_plots.py does so); few bootstrap draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("perceptmetrics.evaluation.ratings.bootstrap_interval", partial(bootstrap_interval, repeats=20))
        for module in ("page", "files"):
            patch.setattr(f"perceptmetrics.reports.finetune.{module}.figure_bytes", lambda figure, form: form.encode())
        yield


@pytest.fixture(scope="module", params=RUNS)
def page(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    content = finetune_report(RUNS[request.param](folder)).decode()
    return content, Tags(content.encode())


def test_a_page_needs_nothing_from_elsewhere(page):
    _, tags = page
    links = [attributes[key] for _, attributes in tags.tags for key in ("src", "href", "srcset") if key in attributes]
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in tags.tags}
    assert any("default-src 'none'" in str(attributes.get("content")) for _, attributes in tags.tags)


def test_what_is_not_defined_is_a_dash(page):
    content, tags = page
    described = [attributes.get("alt", "") for _, attributes in tags.tags]
    shown = " ".join([re.sub(r"<[^>]*>", " ", content), *described])
    assert not re.search(r"\b(nan|NaN|inf|None)\b", shown)


def test_every_picture_is_described_and_every_link_leads_somewhere(page):
    _, tags = page
    assert all(attributes["alt"] for tag, attributes in tags.tags if tag == "img")
    places = {attributes["id"] for _, attributes in tags.tags if "id" in attributes}
    assert {attributes["href"][1:] for tag, attributes in tags.tags if tag == "a"} <= places


def test_what_scrolls_can_be_reached_by_the_keyboard(page):
    _, tags = page
    scrolling = [attributes for tag, attributes in tags.tags if tag == "pre" or "wide" in attributes.get("class", "")]
    assert len(scrolling) >= 4
    assert all(one["tabindex"] == "0" and one["role"] == "region" and one["aria-label"] for one in scrolling)


def test_the_page_says_what_came_of_the_run(tmp_path):
    result = one_rating(tmp_path)
    tags = Tags(finetune_report(result))
    values = [split.data_sets[0].statistics["quality"].srcc for split in result.splits]
    assert f"{np.median(values):.4f}" in tags.text
    assert f"{min(values):.3f} to {max(values):.3f}" in tags.text
    low, high = result.splits[0].data_sets[0].statistics["quality"].srcc_interval
    assert f"{low:.3f} to {high:.3f}" in tags.text
    assert recipe_to_yaml(result.recipe).strip() in tags.text
    assert f'create_metric("{tmp_path / "run"}")' in tags.text
    assert "1.2.3" in tags.text
    assert "in 8 min 0 s" in tags.text  # 2 splits, 2 learning rates, 3 epochs of 40 s


def test_the_page_counts_images_and_names_the_missing(tmp_path):
    groups = tuple(f"group {number % 8}" for number in range(40))
    dataset = rated(tmp_path, groups=groups, missing=("gone <1>.png", "gone2.png"))
    page = finetune_report(run_result(tmp_path / "run", [dataset])).decode()
    row = re.search(r"<tr><td>photos</td>(.*?)</tr>", page).group(1)
    assert re.findall(r">(\w+)</td>", row) == ["40", "2", "8", "16", "4", "20"]
    assert "2 labelled images have no file" in page
    assert "gone &lt;1&gt;.png, gone2.png" in page


def test_the_page_says_of_whose_answers_labels_are_made(tmp_path):
    dataset = rated(tmp_path)
    made = pooled(np.arange(1, len(dataset) + 1))
    result = run_result(tmp_path / "run", [replace(dataset, pooled=(made,))])
    assert f"{dataset.name} redness: {made.sentence}." in finetune_report(result).decode()


def test_the_page_shows_for_each_split_what_was_chosen(tmp_path):
    result = of_classes(tmp_path)
    tables = re.findall(r"<tbody>(.*?)</tbody>", finetune_report(result).decode(), re.DOTALL)
    (rows,) = [re.findall(r"<tr>(.*?)</tr>", table) for table in tables if ">0.01<" in table]
    for split, row in zip(result.splits, rows, strict=True):
        accuracy = split.data_sets[0].statistics["classes"].accuracy
        expected = [str(split.number + 1), "0.01", "2", "3", "0.8000", "0.8000", f"{accuracy:.4f}"]
        assert re.findall(r'<td class="number">(.*?)</td>', row) == expected


def test_several_data_sets_have_sections_stages_and_metrics_of_their_own(tmp_path):
    result = several_sets(tmp_path)
    tags = Tags(finetune_report(replace(result, metrics={"first": tmp_path / "x", "second": tmp_path / "y"})))
    for shown in ("first: quality", "second: quality", "Heads first, with the encoder frozen", "Head of second alone"):
        assert shown in tags.text
    assert "Trained metric of second" in tags.text
    described = [attributes["alt"] for tag, attributes in tags.tags if tag == "img"]
    assert any(text.startswith("Scatter of predictions against quality of second") for text in described)
    assert any("validation SRCC: first" in text for text in described)


def test_a_control_is_called_one(tmp_path):
    result = one_rating(tmp_path)
    control = replace(result, recipe=replace(result.recipe, shuffle_labels=True))
    assert "A control" in Tags(finetune_report(control)).text
    assert "A control" not in Tags(finetune_report(result)).text


def test_hostile_names_are_text(tmp_path):
    names = (*HOSTILE, *(f"{number}.png" for number in range(5)))
    dataset = rated(tmp_path, labels=("<script>alert(3)</script>", "b"), names=names, missing=("<b>gone",))
    result = run_result(tmp_path / "<i>run", [dataset], splits=4, summary="<u>summary</u>\udcff")
    page = Tags(finetune_report(result))
    assert not {"script", "i", "b", "u"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    for shown in (*HOSTILE[:2], "\\udcff.png", "\\u202egnp.png", "<script>alert(3)</script>", "<b>gone", "<i>run"):
        assert shown in page.text
    assert all(draw() for draw in run_plots(result).values())


def test_training_curves_are_the_epochs_of_each_learning_rate(tmp_path):
    result = one_rating(tmp_path)
    loss, validation = curve_panels(result)["main"]
    assert [curve.name for curve in loss.curves] == ["learning rate 0.001", "learning rate 0.01"] * 2
    assert [curve.faint for curve in loss.curves] == [False, False, True, True]
    assert loss.curves[0].values == pytest.approx([1, 1 / 2, 1 / 3])
    assert validation.curves[0].values == pytest.approx([0.2, 0.8, 0.5])
    assert {curve.best for panel in (loss, validation) for curve in panel.curves} == {1}
    assert (loss.y_name, validation.y_name) == ("loss", "validation SRCC")
    last = curve_panels(run_result(tmp_path / "run", result.datasets, keep="last"))["main"]
    assert {curve.best for panel in last for curve in panel.curves} == {2}


def test_training_on_all_images_has_a_curve_without_validation(tmp_path):
    result = one_rating(tmp_path)
    last = result.stages[0]
    blind = [replace(record, validation={}, selection=float("nan")) for record in last.records]
    everything = replace(last, name=replace(last.name, split=2), records=tuple(blind))
    loss, validation = curve_panels(replace(result, stages=(*result.stages, everything)))["main"]
    assert loss.curves[-1].name == "learning rate 0.001, all images"
    assert (loss.curves[-1].best, loss.curves[-1].faint) == (None, False)
    assert np.isnan(validation.curves[-1].values).all()


def test_the_kept_epoch_is_never_one_without_a_statistic():
    def kept(*figures, keep="best", validated=True):
        records = [
            EpochRecord(
                epoch=epoch,
                loss=1,
                validation_loss=1,
                validation={"photos": figure} if validated else {},
                selection=figure,
                lr=1,
                seconds=1,
            )
            for epoch, figure in enumerate(figures)
        ]
        return kept_epoch(records, keep)

    nan = float("nan")
    assert kept(0.2, 0.5, 0.5, 0.1) == 1
    assert kept(nan, 0.2, 0.1) == 1
    assert kept(0.2, nan) == 0
    assert kept(nan, nan, validated=False) == 1
    assert kept(0.2, 0.5, 0.1, keep="last") == 2


@pytest.mark.parametrize("scale", [Scale(lower=1, upper=9), Scale(lower=0, upper=100, higher_is_better=False)])
def test_scatter_and_histogram_are_on_the_scale_of_the_raters(tmp_path, scale):
    dataset = rated(tmp_path, scale=scale)
    dataset.ratings[3] = np.nan
    result = run_result(tmp_path / "run", [dataset])
    first, second = (split.data_sets[0] for split in result.splits)
    known = first.images != 3
    span = scale.upper - scale.lower

    def on_scale(shares):
        return scale.lower + span * (shares if scale.higher_is_better else 1 - shares)

    panel = scatter_panel(result, dataset, "quality")
    assert panel.x == pytest.approx(on_scale(first.scores[known, 0]))
    assert panel.y == pytest.approx(on_scale(dataset.ratings[first.images[known], 0]))
    assert len(panel.behind_x) == (second.images != 3).sum()
    curve = first.statistics["quality"].curve4
    assert panel.curve_y[0] == pytest.approx(on_scale(float(curve(first.scores.min()))))
    samples = dict(histogram_panel(result, dataset, "quality").samples)
    assert samples["predicted"] == pytest.approx([*panel.x, *panel.behind_x])
    assert samples["rated by people"] == pytest.approx([*panel.y, *panel.behind_y])


def test_the_confusion_matrix_is_of_all_splits(tmp_path):
    result = of_classes(tmp_path)
    dataset = result.datasets[0]
    counts = np.zeros((3, 3), dtype=int)
    for split in result.splits:
        for place, row in zip(split.data_sets[0].images, split.data_sets[0].scores, strict=True):
            counts[dataset.classes[place], row.argmax()] += 1
    assert np.array_equal(confusion_panel(result, dataset).counts, counts)


def off_by(errors):
    """Scores that are right but for some images, by place."""

    def scores(dataset, split, number):
        truth = dataset.ratings[split.test]
        return truth + np.array([[errors.get(int(place), 0.0)] for place in split.test])

    return scores


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_worst_errors_are_those_of_the_largest_difference_after_the_curve(tmp_path, higher_is_better):
    dataset = rated(tmp_path, scale=Scale(lower=0, upper=10, higher_is_better=higher_is_better))
    result = run_result(tmp_path / "run", [dataset], scores=off_by({4: 0.5, 7: 0.3, 9: -0.4, 30: 0.9}), splits=1)
    on_test = result.splits[0].data_sets[0]
    shares = on_test.statistics["quality"].curve4(on_test.scores[:, 0]), dataset.ratings[on_test.images, 0]
    predicted, said = (10 * share if higher_is_better else 10 - 10 * share for share in shares)
    order = np.argsort(predicted - said)
    low, high = order[:2], order[:-3:-1]
    up, down = worst_errors(result, dataset, "quality", 2)
    assert (up.heading, down.heading) == ("Predicted higher than people rated", "Predicted lower than people rated")
    for kind, expected in ((up, high), (down, low)):
        assert [(image.index, image.predicted, image.truth) for image in kind.images] == [
            (on_test.images[row], f"predicted {predicted[row]:.2f}", f"rated {said[row]:.2f}") for row in expected
        ]
    assert 4 in on_test.images[high if higher_is_better else low]


def test_an_image_that_was_tested_twice_counts_once_with_its_mean_error(tmp_path):
    dataset = rated(tmp_path)
    result = run_result(tmp_path / "run", [dataset])
    images = [image for kind in worst_errors(result, dataset, "quality", 40) for image in kind.images]
    assert len({image.index for image in images}) == len(images) == 21
    (shown,) = [image.predicted for image in images if image.index == 4]
    tests = [split.data_sets[0] for split in result.splits]
    fitted = [one.statistics["quality"].curve4(one.scores[one.images == 4, 0]) for one in tests]
    assert shown == f"predicted {100 * np.mean(fitted):.1f}"
    assert not np.isclose(*fitted, rtol=0.02)


def test_the_worst_mistakes_are_the_most_confident(tmp_path):
    dataset = classed(tmp_path)

    def scores(dataset, split, number):
        rows = np.eye(3)[dataset.classes[split.test]]
        for place, row in ((3, (0.1, 0.7, 0.2)), (4, (0.05, 0.05, 0.9)), (5, (0.45, 0.4, 0.15))):
            rows[split.test == place] = row
        return rows

    result = run_result(tmp_path / "run", [dataset], scores=scores)
    (kind,) = worst_errors(result, dataset, "classes", 2)
    assert [(image.index, image.predicted, image.truth) for image in kind.images] == [
        (4, "predicted joy (90%)", "labelled fear"),
        (3, "predicted fear (70%)", "labelled awe"),
    ]


def test_the_images_of_a_chosen_confusion_are_shown(tmp_path):
    dataset = classed(tmp_path)

    def scores(dataset, split, number):
        rows = np.eye(3)[dataset.classes[split.test]]
        for place, row in ((3, (0.1, 0.7, 0.2)), (6, (0.2, 0.5, 0.3)), (9, (0.1, 0.2, 0.7)), (4, (0.9, 0.05, 0.05))):
            rows[split.test == place] = row
        return rows

    result = run_result(tmp_path / "run", [dataset], scores=scores)
    choice = ErrorChoice(confusion=("awe", "fear"))
    _, kind = worst_errors(result, dataset, "classes", 8, choice)
    assert kind.heading == "awe taken for fear: 2 images"
    assert [(image.index, image.predicted) for image in kind.images] == [
        (3, "predicted fear (70%)"),
        (6, "predicted fear (50%)"),
    ]
    _, none = worst_errors(result, dataset, "classes", 8, ErrorChoice(confusion=("joy", "awe")))
    assert (none.heading, none.images) == ("joy taken for awe: 0 images", ())
    assert "joy taken for awe: 0 images" in finetune_report(result, ErrorChoice(confusion=("joy", "awe"))).decode()
    for confusion, message in (
        (("awe", "feer"), "no class 'feer'. Did you mean 'fear'"),
        (("x", "joy"), "no class 'x'"),
    ):
        with pytest.raises(InvalidOptionError, match=message):
            check_confusion(confusion, [dataset])
    with pytest.raises(InvalidOptionError, match="these have ratings"):
        check_confusion(("awe", "joy"), [rated(tmp_path)])


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_errors_can_be_ranked_by_z_scores(tmp_path, higher_is_better):
    dataset = rated(tmp_path, scale=Scale(lower=0, upper=10, higher_is_better=higher_is_better))
    result = run_result(tmp_path / "run", [dataset], scores=off_by({4: 0.5, 7: 0.3, 9: -0.4}), splits=1)
    on_test = result.splits[0].data_sets[0]
    both = [zscore(on_test.scores[:, 0]), zscore(dataset.ratings[on_test.images, 0])]
    predicted, said = (one if higher_is_better else -one for one in both)
    order = np.argsort(predicted - said)
    up, down = worst_errors(result, dataset, "quality", 2, ErrorChoice(ranking="z"))
    for kind, expected in ((up, order[:-3:-1]), (down, order[:2])):
        assert [(image.index, image.predicted, image.truth) for image in kind.images] == [
            (on_test.images[row], f"predicted {predicted[row]:+.2f} (z)", f"rated {said[row]:+.2f} (z)")
            for row in expected
        ]
    assert "differences of z-scores" in finetune_report(result, ErrorChoice(ranking="z")).decode()
    with pytest.raises(InvalidOptionError, match="ranking must be one of"):
        ErrorChoice(ranking="zscore")


def test_the_pictures_are_the_images_themselves(tmp_path):
    class Rendered:
        identity = "green"

        def render(self):
            return torch.tensor([0, 128, 0], dtype=torch.uint8)[:, None, None].expand(3, 20, 30)

    dataset = rated(tmp_path)
    Image.new("RGB", (900, 600), "#c00000").save(tmp_path / "red.png")
    images = list(dataset.images)
    images[4], images[9], images[11] = tmp_path / "red.png", Rendered(), tmp_path / "vanished.png"
    dataset = replace(dataset, images=tuple(images))
    errors = off_by({4: 0.5, 9: -0.5, 11: -0.4})
    page = Tags(finetune_report(run_result(tmp_path / "run", [dataset], scores=errors, splits=1)))
    shown = {
        attributes["alt"].partition(",")[0]: image_of(attributes["src"])
        for tag, attributes in page.tags
        if tag == "img" and attributes["src"].startswith("data:image/jpeg")
    }
    assert shown["4.png"].size == (240, 160)
    assert shown["4.png"].getpixel((9, 9)) == pytest.approx((192, 0, 0), abs=4)
    assert shown["9.png"].getpixel((9, 9)) == pytest.approx((0, 128, 0), abs=4)
    assert shown["11.png"].size == (240, 240)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (several_ratings, {"curves_main", "scatter_photos", "histogram_photos", "worst_photos"}),
        (of_classes, {"curves_main", "confusion_moods", "worst_moods"}),
        (within_groups, {"curves_main"}),
        (that_diverged, set()),
    ],
)
def test_plots_are_written_on_request(tmp_path, run, expected):
    result = run(tmp_path)
    files = write_finetune_report(result, plots=["svg"])
    assert files[0] == result.folder / "report.html"
    assert {path.stem for path in files[1:]} == expected
    assert all(path.parent == result.folder / "plots" and path.read_bytes() == b"svg" for path in files[1:])


def test_an_unknown_form_of_plots_is_refused_before_anything_is_written(tmp_path):
    result = one_rating(tmp_path)
    with pytest.raises(InvalidOptionError, match="png, svg, pdf, got 'gif'"):
        write_finetune_report(result, plots=["gif"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("average", ["median", "mean"])
def test_results_are_averaged_as_the_recipe_reports_them(train, recipe, data, tmp_path, average):
    """Table of the report, card and `summary.json` say the same under the same names."""
    settings = ("splits.count=3", "epochs=1", f"report={{average: {average}, statistics: [srcc, mse]}}")
    result = train(recipe(*settings), [data], tmp_path / "run")
    label = data.labels[0]
    values = result.values(data.name, label, "mse")
    expected = float(getattr(np, average)(values))
    assert len(values) == 3
    assert result.average(data.name, label, "mse") == expected
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert summary["reported"] == average
    assert summary[f"{average}s"][data.name][label]["mse"] == pytest.approx(expected)
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "| SRCC | MSE |" in card
    assert f"{expected:.4f}" in card
    assert f"{average} of 3 splits" in str(statistics_tables(result))
