"""The road from images to scores, on a metric small enough to compute by hand."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.factory.suite import MetricSuite
from perceptmetrics.images.load import load_image
from perceptmetrics.spec import LogisticMap, WholeView
from tests.support.encoded_images import encode, noise
from tests.support.mean_colour_metric import by_hand, tiny_metric

LABELS = ("joy", "fear", "awe")
SIZES = [(6, 8), (5, 9), (6, 8), (12, 4), (5, 9), (6, 8), (7, 7)]


def images(sizes=SIZES, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand((3, *size), generator=generator) for size in sizes]


def expected_scores(metric, pictures):
    raw = torch.stack([by_hand(metric, picture) for picture in pictures]).float()
    return raw if metric.labels else raw[:, 0]


def assert_scores(scores, expected):
    assert scores.dtype == torch.float32
    assert scores.shape == expected.shape
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("labels", [(), LABELS])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_forward_of_a_batch(labels, count):
    metric, batch = tiny_metric(labels=labels), torch.stack(images([(6, 8)] * count))
    scores = metric(batch)
    assert scores.shape == ((count, 3) if labels else (count,))
    assert_scores(scores, expected_scores(metric, batch))


@pytest.mark.parametrize("labels", [(), LABELS])
def test_forward_of_a_single_image(labels):
    metric, (picture,) = tiny_metric(labels=labels), images([(6, 8)])
    assert_scores(metric(picture), expected_scores(metric, [picture]))


@pytest.mark.parametrize("labels", [(), LABELS])
@pytest.mark.parametrize("sequence", [list, tuple])
def test_forward_of_mixed_sizes_keeps_the_order(labels, sequence):
    metric, pictures = tiny_metric(labels=labels), images()
    assert_scores(metric(sequence(pictures)), expected_scores(metric, pictures))


@pytest.fixture
def folder(tmp_path):
    """Files whose alphabetical order is that of their samples."""
    for index in range(4):
        (tmp_path / f"{index}.png").write_bytes(encode(noise(6 + index % 2, 8, seed=index), "PNG"))
    return tmp_path


def samples_in(folder):
    return [noise(6 + index % 2, 8, seed=index) for index in range(4)]


SOURCES = {
    "path": (lambda folder: folder / "1.png", [1]),
    "path as text": (lambda folder: str(folder / "1.png"), [1]),
    "folder": (lambda folder: folder, [0, 1, 2, 3]),
    "pattern": (lambda folder: f"{folder}/[13].png", [1, 3]),
    "bytes": (lambda folder: (folder / "2.png").read_bytes(), [2]),
    "PIL": (lambda folder: Image.fromarray(samples_in(folder)[2]), [2]),
    "array": (lambda folder: samples_in(folder)[3], [3]),
    "batch of arrays": (lambda folder: np.stack(samples_in(folder)[::2]), [0, 2]),
    "tensor": (lambda folder: load_image(folder / "0.png"), [0]),
    "batch of tensors": (lambda folder: torch.stack([load_image(folder / f"{i}.png") for i in (3, 1)]), [3, 1]),
    "list of paths": (lambda folder: [folder / "3.png", str(folder / "0.png")], [3, 0]),
    "mixed list": (
        lambda folder: [
            Image.fromarray(samples_in(folder)[3]),
            folder / "0.png",
            samples_in(folder)[2],
            load_image(folder / "1.png"),
            (folder / "3.png").read_bytes(),
        ],
        [3, 0, 2, 1, 3],
    ),
    "generator": (lambda folder: (folder / f"{index}.png" for index in (2, 0)), [2, 0]),
    "batch as a list": (lambda folder: list(torch.stack([load_image(folder / f"{i}.png") for i in (0, 2)])), [0, 2]),
}


@pytest.mark.parametrize("labels", [(), LABELS])
@pytest.mark.parametrize("kind", SOURCES)
def test_score_takes_images_from_anywhere(kind, labels, folder):
    metric = tiny_metric(labels=labels)
    make, places = SOURCES[kind]
    samples = samples_in(folder)
    expected = expected_scores(metric, [load_image(samples[place]) for place in places])
    assert_scores(metric.score(make(folder)), expected)
    assert_scores(metric(make(folder)), expected)


@pytest.mark.parametrize("labels", [(), LABELS])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_table_holds_the_scores_with_the_names_of_the_images(kind, labels, folder):
    metric = tiny_metric(labels=labels)
    make, places = SOURCES[kind]
    rows = metric.score_table(make(folder))
    columns = [f"tiny.{label}" for label in labels] or ["tiny"]
    assert all(list(row) == ["image", *columns] for row in rows)
    assert [[row[column] for column in columns] for row in rows] == metric.score(make(folder)).reshape(
        len(rows), -1
    ).tolist()
    if kind in ("folder", "generator"):
        assert [row["image"] for row in rows] == [str(folder / f"{place}.png") for place in places]


def test_images_without_a_name_are_numbered(folder):
    rows = tiny_metric().score_table([folder / "1.png", load_image(folder / "0.png")])
    assert [row["image"] for row in rows] == [str(folder / "1.png"), "image 1"]
    assert MetricSuite([tiny_metric(labels=LABELS)]).score_table(folder / "1.png") == tiny_metric(
        labels=LABELS
    ).score_table(folder / "1.png")
    with pytest.raises(InvalidImageError, match="nothing to score"):
        tiny_metric().score_table([])


@pytest.mark.parametrize("workers", [0, 1, None])
@pytest.mark.parametrize("limits", [{}, {"batch_size": 1}, {"batch_size": 3}, {"max_pixels": 1}, {"max_pixels": 100}])
def test_batching_and_threads_do_not_change_scores(limits, workers):
    metric, pictures = tiny_metric(labels=LABELS), images(SIZES * 3)
    assert_scores(metric.score(pictures, workers=workers, **limits), expected_scores(metric, pictures))


def test_limits_reach_the_encoder():
    metric, sizes = tiny_metric(), []
    metric.encoder.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    metric.score(images([(4, 4)] * 7), batch_size=3)
    metric.score(images([(4, 4)] * 4), max_pixels=40)
    assert sizes == [3, 3, 1, 2, 2]


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"max_pixels": 0}, {"workers": -1}])
def test_bad_limits_are_refused(options):
    with pytest.raises(InvalidOptionError, match=r"got"):
        tiny_metric().score(images(), **options)


@pytest.mark.parametrize(
    "empty", [[], (), iter([]), np.zeros((0, 4, 4, 3), np.uint8)], ids=["list", "tuple", "iterator", "array"]
)
@pytest.mark.parametrize("call", ["forward", "score"])
def test_nothing_to_score_is_an_error(empty, call):
    with pytest.raises(InvalidImageError, match="nothing to score"):
        getattr(tiny_metric(), call)(empty)


GOOD = torch.full((3, 4, 4), 0.5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("missing.png", "Image 2: missing.png does not exist"),
        (b"text", "Image 2: image of 4 bytes is not an image"),
        (GOOD * 255, "Image 2: .*divide by 255"),
        (GOOD[:2], "Image 2: Expected 3 channels"),
        (np.zeros((3, 9, 9)), "Image 2: .*channels-first"),
        (GOOD[:, :1], "Image 2: Images must be at least 2 x 2 pixels for this encoder, got 1 x 4"),
        (None, "Image 2: .*got NoneType"),
    ],
)
def test_score_says_which_image_of_a_list_is_wrong(bad, message):
    with pytest.raises(InvalidImageError, match=message):
        tiny_metric().score([GOOD, GOOD, bad, GOOD])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (GOOD[None], r"Image 2: Expected a tensor of shape \(3, H, W\), got \(1, 3, 4, 4\)"),
        (GOOD.to(torch.uint8), "Image 2: Expected a floating-point tensor"),
        (GOOD[:2], "Image 2: Expected 3 channels"),
        (GOOD[:, :1], "Image 2: Images must be at least 2 x 2"),
    ],
)
def test_forward_says_which_image_of_a_list_is_wrong(bad, message):
    with pytest.raises(InvalidImageError, match=message):
        tiny_metric()([GOOD, GOOD, bad, GOOD])


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.zeros(4, 4), r"Expected a tensor of shape \(3, H, W\) or \(N, 3, H, W\), got \(4, 4\)"),
        (torch.zeros(2, 1, 4, 4), "Expected 3 channels"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), "x.float"),
        (torch.zeros(0, 3, 4, 4), "no pixels"),
        (torch.zeros(2, 3, 1, 9), "at least 2 x 2 pixels for this encoder, got 1 x 9"),
    ],
)
@pytest.mark.parametrize("call", ["forward", "score"])
def test_tensors_that_are_no_images_are_refused(batch, message, call):
    with pytest.raises(InvalidImageError, match=message):
        getattr(tiny_metric(), call)(batch)


@pytest.mark.parametrize("source", [None, 5, 0.5])
def test_what_cannot_hold_images_is_refused(source):
    with pytest.raises(InvalidImageError, match=f"Expected an image .* got {type(source).__name__}"):
        tiny_metric().score(source)


def test_score_gives_no_gradients_even_when_asked_by_the_pixels():
    batch = torch.stack(images([(4, 4)] * 2)).requires_grad_()
    scores = tiny_metric().score(batch)
    assert not scores.requires_grad
    assert not scores.is_inference()


@pytest.mark.parametrize("form", ["batch", "image", "list"])
def test_gradients_reach_the_pixels_and_no_parameter(form):
    metric = tiny_metric()
    pictures = [picture.requires_grad_() for picture in images([(4, 6), (5, 5)])]
    source = {"batch": pictures[0][None], "image": pictures[0], "list": pictures}[form]
    metric(source).sum().backward()
    for picture in pictures if form == "list" else pictures[:1]:
        assert picture.grad.isfinite().all()
        assert picture.grad.abs().min() > 0
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in metric.parameters())


def test_gradients_are_those_of_the_formula():
    metric = tiny_metric().double()
    picture = torch.rand(1, 3, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    picture.requires_grad_()
    metric(picture).sum().backward()
    shifted = picture.detach().clone()
    shifted[0, 1, 1, 2] += 1e-3
    difference = by_hand(metric, shifted[0]) - by_hand(metric, picture.detach()[0])
    assert picture.grad[0, 1, 1, 2].item() == pytest.approx(difference.item() / 1e-3, rel=1e-3)


def test_training_mode_changes_no_score_of_a_frozen_metric():
    metric, batch = tiny_metric(), torch.stack(images([(4, 4)] * 3))
    before = metric(batch)
    assert metric.train() is metric
    assert metric.training
    assert not metric.encoder.dropout.training
    assert not metric.head.training
    assert torch.equal(metric(batch), before)


def test_only_parts_that_train_enter_training_mode():
    metric = tiny_metric()
    metric.head.layers[0].weight.requires_grad_()
    metric.train()
    assert metric.head.training
    assert not metric.encoder.training
    assert not metric.eval().head.training


def test_the_scores_of_several_views_are_averaged():
    whole, small = WholeView(), WholeView(max_long_side=5)
    both, first, second = (tiny_metric(views=views) for views in ((whole, small), (whole,), (small,)))
    pictures = images([(9, 12), (12, 9), (4, 4)])
    assert not torch.allclose(first(pictures), second(pictures), atol=1e-4)
    torch.testing.assert_close(both(pictures), (first(pictures) + second(pictures)) / 2)
    torch.testing.assert_close(both.score(pictures), both(pictures))


def test_raw_outputs_are_averaged_before_the_score_map():
    views = (WholeView(), WholeView(max_long_side=3))
    raw, mapped = tiny_metric(views=views), tiny_metric(views=views, map=LogisticMap(scale=9.0, shift=1.0))
    pictures = images([(9, 12), (7, 5)])
    torch.testing.assert_close(mapped(pictures), torch.sigmoid(9 * raw(pictures) + 1))


@pytest.mark.parametrize("labels", [(), LABELS])
def test_the_logistic_map(labels):
    mapped = tiny_metric(labels=labels, map=LogisticMap(scale=-2.5, shift=0.75))
    pictures = images()
    expected = 1 / (1 + torch.exp(2.5 * expected_scores(mapped, pictures) - 0.75))
    assert_scores(mapped(pictures), expected)


@pytest.mark.parametrize("copied", ["pickle", "deepcopy", "state_dict"])
def test_a_copy_scores_the_same(copied):
    metric, pictures = tiny_metric(labels=LABELS), images()
    if copied == "pickle":
        twin = pickle.loads(pickle.dumps(metric))
    elif copied == "deepcopy":
        twin = copy.deepcopy(metric)
    else:
        twin = tiny_metric(labels=LABELS)
        for parameter in twin.parameters():
            parameter.fill_(0.1)
        assert not torch.equal(twin(pictures), metric(pictures))
        twin.load_state_dict(metric.state_dict(), strict=True)
    assert torch.equal(twin(pictures), metric(pictures))
    assert twin.spec == metric.spec
    assert not twin.training


def test_declared_properties_are_those_of_the_specification():
    metric = tiny_metric(labels=LABELS, lower=-1.0, upper=None, higher_is_better=False)
    assert metric.metric_name == "tiny"
    assert metric.metric_mode == "NR"
    assert metric.lower_better is True
    assert metric.score_range == (-1.0, None)
    assert metric.labels == LABELS
    assert metric.device == torch.device("cpu")


@pytest.mark.parametrize("labels", [(), LABELS])
def test_autocast_keeps_scores_float32_and_gradients(labels):
    metric, batch = tiny_metric(labels=labels), torch.stack(images([(6, 8)] * 2)).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = metric(batch)
        scored = metric.score(batch)
    assert scores.dtype == scored.dtype == torch.float32
    torch.testing.assert_close(scores, expected_scores(metric, batch.detach()), rtol=0, atol=0.05)
    assert torch.equal(scored, metric.score(batch)), "score does not depend on who asks for it"
    scores.sum().backward()
    assert batch.grad.isfinite().all()
    assert batch.grad.abs().sum() > 0


def test_an_encoder_in_another_precision_gives_float32_scores():
    metric, batch = tiny_metric(), torch.stack(images([(6, 8)] * 2))
    expected = metric(batch)
    metric.encoder.to(torch.bfloat16)
    scores = metric(batch)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_pixels_of_any_floating_point_type_are_scored(dtype):
    metric, batch = tiny_metric(), torch.stack(images([(6, 8)] * 2)).to(dtype)
    assert_scores(metric(batch), expected_scores(metric, batch))
