"""LIQE from outside the package: it computes its formula, trains, exports, and touches nothing inside."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from perceptmetrics import create_metric, metric_info
from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.export.collect import trained_weights_of
from perceptmetrics.export.write import export_metric
from perceptmetrics.finetune import finetune, load_recipe, make_plan
from perceptmetrics.models.encoders import build_image_and_text
from perceptmetrics.spec import PoolSpec, RegressorSpec
from perceptmetrics.spec.json import spec_from_json, spec_to_json
from tests.external import external_metrics
from tests.external.liqe import LIQE, StridedPatches, StridedPatchesView
from tests.finetune.tiny import hurry, rated, write_pictures
from tests.support import small_clip
from tests.support.photographs import photographs
from tests.support.registered_metrics import temporary_metrics, tiny

RECIPE = """
name: my_liqe
summary: Redness of generated images.
source: the tests
task: quality
data: csv
metric: outside_liqe
train: {train}
loss: {loss}
optimizer: {{lr: 0.01, batch_size: 8, epochs: 4, patience: null}}
splits: {{count: 1}}
"""


@pytest.fixture(autouse=True)
def _registered(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))
    with external_metrics(), temporary_metrics(tiny(LIQE)):
        yield


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.safetensors"
    small_clip.register(path.parent)
    save_file(small_clip.state(small_clip.build(small_clip.VIT_224)), path)
    return path


def by_hand(image, encoder, texts, scale):
    """LIQE's score of one image (3, H, W), patch by patch."""
    spec = metric_info("outside_liqe")
    mean, std = (torch.tensor(values)[:, None, None] for values in (spec.views.mean, spec.views.std))
    pixels = (image - mean) / std
    corners = [(top, left) for top in range(0, image.shape[1] - 223, 32) for left in range(0, image.shape[2] - 223, 32)]
    step = max(1, len(corners) // 15)
    chosen = corners[::step][:15]
    patches = torch.stack([pixels[:, top : top + 224, left : left + 224] for top, left in chosen])
    cosines = F.normalize(encoder(patches), dim=-1) @ texts.T
    probabilities = (scale * cosines).mean(dim=0).softmax(dim=-1)
    return (probabilities * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum(), len(chosen)


@pytest.mark.parametrize(("size", "patches"), [((224, 224), 1), ((256, 320), 8), ((480, 640), 15)])
def test_it_computes_its_formula(clip_file, size, patches):
    metric = create_metric("outside_liqe", backbone_checkpoint=clip_file, weights=None)
    spec = metric.spec
    encoder, text = build_image_and_text(spec.encoder, clip_file)
    texts = text.encode(spec.head.texts)
    image = F.interpolate(photographs(96, 128)[:1], size=size, mode="bilinear")[0].clamp(0, 1)
    expected, count = by_hand(image, encoder, texts, text.logit_scale)
    assert count == patches
    torch.testing.assert_close(metric(image[None])[0], expected, rtol=0, atol=1e-5)
    assert len(metric.views.windows(*size)[0]) == patches


def test_small_images_are_enlarged():
    metric = create_metric("outside_liqe", weights=None)
    assert metric(torch.rand(1, 3, 40, 60)).shape == (1,)


def test_the_kinds_are_known_in_json_while_they_are_registered():
    text = spec_to_json(LIQE)
    assert spec_from_json(text) == LIQE


def test_without_the_package_the_specification_is_refused_by_name():
    text = spec_to_json(LIQE)
    from perceptmetrics.spec.views import VIEWS

    VIEWS.unregister("strided_patches")
    try:
        with pytest.raises(
            InvalidSpecError, match=r"got 'strided_patches'\. A view of another package must be registered"
        ):
            spec_from_json(text)
    finally:
        VIEWS.register(StridedPatches)


def test_views_whose_number_varies_do_not_stand_side_by_side():
    assert LIQE.views.view_count is None
    assert StridedPatchesView().names(2) == ["patch 1", "patch 2"]
    with pytest.raises(InvalidSpecError, match="a regressor goes with prompts"):
        replace(LIQE, pool=PoolSpec(aggregation="concat", regressor=RegressorSpec(widths=(5, 1), weights=None)))


@pytest.mark.parametrize("train", ["head", "full"])
def test_it_trains_exports_and_scores_the_same_when_it_is_read_again(tmp_path, monkeypatch, clip_file, train):
    hurry(monkeypatch.setattr)
    data = rated(write_pictures(tmp_path / "images", 24))
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(train=train, loss="mse"))
    recipe = load_recipe(tmp_path / "recipe.yaml")

    plan = make_plan(recipe, [data])
    head = 5 * small_clip.FEATURE_SIZE + 1
    assert plan.trained == head if train == "head" else plan.trained > head

    result = finetune(recipe, [data], tmp_path / "run", device="cpu", backbone_checkpoint=clip_file)
    losses = [record.loss for record in result.stages[0].records]
    assert losses[-1] < losses[0]

    options = {} if train == "full" else {"backbone_checkpoint": clip_file}
    metric = create_metric(result.metrics["csv"], **options)
    assert (metric.spec.name, metric.score_range) == ("run", (0.0, 1.0))
    images = [str(path) for path in data.images[:3]]
    assert ((metric.score(images) >= 0) & (metric.score(images) <= 1)).all()

    encoder = None if train == "full" else clip_file
    weights = trained_weights_of(metric)
    export_metric(metric, tmp_path / "copy", spec=metric.spec, weights=weights, encoder=encoder)
    copy = create_metric(tmp_path / "copy", **options)
    assert torch.equal(copy.score(images), metric.score(images))


def test_images_with_different_numbers_of_patches_train_together(tmp_path, monkeypatch, clip_file):
    hurry(monkeypatch.setattr)
    folder = write_pictures(tmp_path / "images", 12)
    from PIL import Image

    for number, path in enumerate(sorted(folder.glob("*.png"))):
        Image.open(path).resize((224 + 32 * (number % 3), 224)).save(path)
    data = rated(folder)
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(train="head", loss="plcc"))
    recipe = load_recipe(tmp_path / "recipe.yaml", ["optimizer.epochs=1", "splits.validation=0"])
    result = finetune(recipe, [data], tmp_path / "run", device="cpu", backbone_checkpoint=clip_file)
    (tested,) = result.splits[0].data_sets
    predicted = tested.scores[:, 0]
    test = [str(data.images[index]) for index in tested.images]
    metric = create_metric(result.metrics["csv"], backbone_checkpoint=clip_file)
    torch.testing.assert_close(metric.score(test).double(), torch.from_numpy(predicted), rtol=0, atol=1e-5)


def test_a_recipe_names_a_metric_or_its_parts(tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(train="head", loss="mse") + "encoder: RN50\n")
    with pytest.raises(InvalidSpecError, match="metric: outside_liqe brings its own encoder"):
        load_recipe(tmp_path / "recipe.yaml")
