"""Correlations with ratings: reading the CSV, finding the images, the coefficients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.stats import kendalltau, pearsonr, spearmanr

from perceptmetrics.errors import DatasetError
from perceptmetrics.experiments import correlate, read_ratings
from tests.experiments.stand_in import known_scores, metric, touch

GENERATOR = np.random.default_rng(7)
SCORES = {f"{number}.png": float(score) for number, score in enumerate(GENERATOR.random(40))}
RATINGS = {
    name: 10 + 80 / (1 + math.exp(-(score - 0.5) / 0.1)) + float(GENERATOR.normal(0, 6))
    for name, score in SCORES.items()
}


@pytest.fixture
def folder(tmp_path):
    touch(tmp_path, *(f"images/{name}" for name in SCORES))
    lines = ["image,mos,split,spare", *(f"{name},{RATINGS[name]},train," for name in SCORES)]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    return tmp_path


def test_coefficients_equal_those_of_scipy(folder):
    (row,) = correlate([metric()], read_ratings(folder / "labels.csv"), scorer=known_scores(SCORES)).rows
    x, y = np.array(list(SCORES.values())), np.array(list(RATINGS.values()))
    assert (row.rating, row.column, len(row.images)) == ("mos", "tiny", 40)
    assert row.srcc == pytest.approx(spearmanr(x, y).statistic)
    assert row.plcc == pytest.approx(pearsonr(x, y).statistic)
    assert row.krcc == pytest.approx(kendalltau(x, y).statistic)

    def curve(values, b1, b2, b3, b4):
        return b2 + (b1 - b2) / (1 + np.exp(-(values - b3) / np.abs(b4)))

    fitted = curve(x, *curve_fit(curve, x, y, p0=(y.max(), y.min(), x.mean(), 0.2))[0])
    assert row.plcc_fitted == pytest.approx(pearsonr(fitted, y).statistic, abs=1e-5)
    assert row.rmse == pytest.approx(np.sqrt(np.mean((fitted - y) ** 2)), abs=1e-4)
    assert row.plcc_fitted > row.plcc
    assert row.srcc_interval[0] < row.srcc < row.srcc_interval[1]
    assert row.plcc_interval[0] < row.plcc < row.plcc_interval[1]


def test_scores_stay_with_their_image_when_some_fail_or_have_no_rating(folder):
    text = (folder / "labels.csv").read_text().replace(f"3.png,{RATINGS['3.png']}", "3.png,")
    (folder / "labels.csv").write_text(text)
    result = correlate([metric()], read_ratings(folder / "labels.csv"), scorer=known_scores(SCORES, failed=("5.png",)))
    (row,) = result.rows
    assert len(row.images) == 38
    for image, score, rating in zip(row.images, row.scores, row.ratings, strict=True):
        name = image.rpartition("/")[2]
        assert (score, rating) == (SCORES[name], pytest.approx(RATINGS[name]))
    assert len(result.failed) == 1


def test_a_rating_named_like_a_label_goes_with_that_label_alone(tmp_path):
    touch(tmp_path, *SCORES)
    lines = ["name;Happy;mos", *(f"{name};{number};{number % 7}" for number, name in enumerate(SCORES))]
    (tmp_path / "r.csv").write_text("\n".join(lines))
    labelled = metric(labels=("happy", "scary"))
    scores = {name: (score, -score) for name, score in SCORES.items()}
    rows = correlate([labelled], read_ratings(tmp_path / "r.csv"), scorer=known_scores(scores)).rows
    assert [(row.rating, row.column) for row in rows] == [
        ("Happy", "tiny.happy"),
        ("mos", "tiny.happy"),
        ("mos", "tiny.scary"),
    ]
    assert rows[1].srcc == pytest.approx(-rows[2].srcc)


def test_equal_scores_have_no_correlation(folder):
    scorer = known_scores(dict.fromkeys(SCORES, 0.5))
    (row,) = correlate([metric()], read_ratings(folder / "labels.csv"), scorer=scorer).rows
    assert row.curve is None
    assert all(math.isnan(value) for value in (row.srcc, row.plcc, row.plcc_fitted, row.krcc, row.rmse))


def test_only_columns_of_numbers_are_ratings(folder):
    assert list(read_ratings(folder / "labels.csv").columns) == ["mos"]
    with pytest.raises(DatasetError, match="expected numbers in the column 'split', got 'train'"):
        read_ratings(folder / "labels.csv", columns=["split"])
    with pytest.raises(DatasetError, match="nothing but empty cells"):
        read_ratings(folder / "labels.csv", columns=["spare"])
    with pytest.raises(DatasetError, match=r"no column 'moss'. Did you mean 'mos'"):
        read_ratings(folder / "labels.csv", columns=["moss"])


def test_images_are_found_by_path_by_name_or_without_suffix(tmp_path):
    touch(tmp_path, "in/a.png", "in/b.jpg", "c.png", "x/same.png", "y/same.png")
    (tmp_path / "r.csv").write_text("file,q\nin/a.png,1\nb,2\nc.png,3\nsame.png,4\ngone.png,5\n")
    ratings = read_ratings(tmp_path / "r.csv")
    assert [path.name for path in ratings.images] == ["a.png", "b.jpg", "c.png"]
    assert ratings.columns["q"] == (1, 2, 3)
    assert ratings.missing == ("same.png", "gone.png")  # the first could be either of two


def test_tabs_marks_and_other_name_columns_are_understood(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "r.csv").write_text("\ufeffImage Name\tscore\na.png\t1.5\n", encoding="utf-8")
    assert read_ratings(tmp_path / "r.csv").columns == {"score": (1.5,)}
    (tmp_path / "s.csv").write_text("photo,score\na.png,1.5\n")
    assert read_ratings(tmp_path / "s.csv", image_column="photo").columns == {"score": (1.5,)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "contains no ratings"),
        ("image,mos\n", "contains no ratings"),
        ("photo,mos\na.png,1\n", "no column of image names: .* got photo, mos"),
        ("image,word\na.png,good\n", "no column of numbers besides 'image': image, word"),
        ("image,mos\na.png,1\na.png,2\n", "rates 'a.png' in more than one row"),
        ("image,mos\nz.png,1\n", "None of the 1 images .*'z.png'.* is in the folder"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path, text, message):
    touch(tmp_path, "a.png")
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_ratings(tmp_path / "r.csv")


def test_a_missing_file_or_folder_is_told(tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        read_ratings(tmp_path / "none.csv")
    (tmp_path / "r.csv").write_text("image,mos\na.png,1\n")
    with pytest.raises(DatasetError, match="Expected a folder of images"):
        read_ratings(tmp_path / "r.csv", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("numbers", "message"), [((1, 2, 3, 4), "Expected 5 or more .* got 4"), ((3,) * 6, "All ratings 'mos' are equal")]
)
def test_ratings_that_nothing_can_correlate_with_are_refused(tmp_path, numbers, message):
    names = list(SCORES)[: len(numbers)]
    touch(tmp_path, *names)
    lines = ["image,mos", *(f"{name},{number}" for name, number in zip(names, numbers, strict=True))]
    (tmp_path / "r.csv").write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=message):
        correlate([metric()], read_ratings(tmp_path / "r.csv"), scorer=known_scores(SCORES))


def test_a_path_that_does_not_exist_is_not_another_file_of_that_name(tmp_path):
    touch(tmp_path, "b/1.png", "b/2.png")
    (tmp_path / "labels.csv").write_text("image,mos\na/1.png,1\nb/1.png,2\nb/2.png,3\n2.png,4\n")
    with pytest.raises(DatasetError, match=r"'b/2.png' and '2.png' both refer to"):
        read_ratings(tmp_path / "labels.csv", tmp_path)
    (tmp_path / "labels.csv").write_text("image,mos\na/1.png,1\nb/1.png,2\nb/2.png,3\n")
    assert read_ratings(tmp_path / "labels.csv", tmp_path).missing == ("a/1.png",)
