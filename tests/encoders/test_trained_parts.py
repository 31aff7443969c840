"""What was trained in memory comes back from a file: a head alone, adapters and a head, a whole encoder."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidOptionError, InvalidSpecError, WeightsError
from perceptmetrics.export.collect import base_fingerprint, trained_weights_of
from perceptmetrics.export.convert import convert
from perceptmetrics.models.encoders import load_image_encoder
from perceptmetrics.models.lora import attach_lora, bake_lora, load_lora, lora_state, merge_lora, unmerge_lora
from perceptmetrics.spec.json import spec_to_json
from perceptmetrics.weights.fingerprints import digests_of, fingerprint
from perceptmetrics.weights.layouts import read_image_encoder, write_trained
from tests.support import small_clip
from tests.support.adapted_encoders import spec_of, switch_on
from tests.support.every_encoder import VIT, assembled, clip_spec, timm_network, timm_spec, with_head, write
from tests.support.photographs import photographs
from tests.support.registered_metrics import temporary_metrics

pytestmark = pytest.mark.usefixtures("cache")

RESNET = "resnet10t"
ENCODERS = {
    "clip vit": lambda: clip_spec(small_clip.VIT),
    "clip resnet": lambda: clip_spec(small_clip.RESNET),
    "clip resnet without positions": lambda: clip_spec(small_clip.RESNET, "drop"),
    "timm vit": lambda: timm_spec(VIT, "pooled"),
    "timm folded": lambda: timm_spec("tf_efficientnet_lite0", "pooled"),
    "timm folded stages": lambda: timm_spec("tf_efficientnet_lite0", "stages"),
    "timm folded blocks": lambda: timm_spec("tf_efficientnet_lite0", "blocks"),
    "timm unfolded stages": lambda: timm_spec(RESNET, "stages"),
    "timm renamed stages": lambda: timm_spec("test_convnext", "stages"),
}
ATTENTION = {"clip vit": "visual.transformer.resblocks.0.attn", "timm vit": "blocks.0.attn"}


@pytest.fixture(scope="module", autouse=True)
def tiny_architectures(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))


@pytest.fixture(scope="module")
def images():
    return photographs(96, 112)[:2]


def encoder_file(spec, folder):
    path = folder / "encoder.safetensors"
    if spec.library == "timm":
        return write(timm_network(spec.architecture), path)
    save_file(small_clip.state(small_clip.build(spec.architecture)), path)
    return path


@torch.no_grad()
def trained_in_full(metric):
    """Every weight and bias moved, as training would."""
    metric.requires_grad_(True)
    generator = torch.Generator().manual_seed(0)
    for parameter in metric.parameters():
        parameter += 0.1 * parameter.abs().mean() * torch.randn(parameter.shape, generator=generator)
    metric.requires_grad_(False)
    return metric


def exported(folder, spec, weights):
    folder.mkdir()
    (folder / "spec.json").write_text(spec_to_json(spec), encoding="utf-8")
    write_trained(folder / "model.safetensors", weights)
    return folder


def differ(one, other):
    return (one - other).abs().max() > 1e-4


# A head alone


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_head_alone_comes_back(tmp_path, images, kind):
    spec = with_head(ENCODERS[kind]())
    encoder = encoder_file(spec.encoder, tmp_path)
    metric = assembled(spec, encoder, seed=1)
    weights = trained_weights_of(metric)
    assert not weights.lora
    assert not weights.encoder
    assert weights.head.keys() == metric.head.state_dict().keys()
    folder = exported(tmp_path / "out", spec, weights)
    assert torch.equal(create_metric(folder, backbone_checkpoint=encoder)(images), metric(images))
    assert differ(metric(images), assembled(spec, encoder, seed=2)(images))


@pytest.mark.parametrize("kind", ["clip vit", "timm vit", "timm unfolded stages"])
def test_the_encoder_that_a_head_was_trained_on_is_recorded(tmp_path, kind):
    spec = with_head(ENCODERS[kind]())
    encoder = encoder_file(spec.encoder, tmp_path)
    weights = trained_weights_of(assembled(spec, encoder))
    tower = read_image_encoder(encoder) if spec.encoder.library == "open_clip" else load_file(encoder)
    used = {name: tensor for name, tensor in tower.items() if not name.startswith(("head.", "fc."))}
    used = {name: tensor for name, tensor in used.items() if not name.endswith("num_batches_tracked")}
    assert weights.base == fingerprint(digests_of(used, encoder))
    folder = exported(tmp_path / "out", spec, weights)
    other = {name: tensor + 0.1 * (tensor.ndim == 4) for name, tensor in load_file(encoder).items()}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=f"were trained with another encoder than .*fingerprint {weights.base}"):
        create_metric(folder, backbone_checkpoint=tmp_path / "other.safetensors")


@pytest.mark.parametrize("kind", ["clip resnet", "timm folded"])
def test_a_folded_encoder_does_not_know_its_fingerprint_but_takes_one(tmp_path, kind):
    spec = with_head(ENCODERS[kind]())
    metric = assembled(spec, encoder_file(spec.encoder, tmp_path))
    assert base_fingerprint(metric) is None
    assert trained_weights_of(metric).base is None
    assert trained_weights_of(metric, base="0" * 64).base == "0" * 64


def test_an_encoder_in_another_precision_does_not_know_its_fingerprint(tmp_path):
    spec = with_head(ENCODERS["timm vit"]())
    metric = assembled(spec, encoder_file(spec.encoder, tmp_path))
    metric.encoder.bfloat16()
    assert base_fingerprint(metric) is None


# Adapters and a head


def with_adapters(kind, folder, **lora):
    """A metric whose encoder has trained adapters, the specification that says so, and the encoder's file."""
    spec = with_head(ENCODERS[kind]())
    encoder = encoder_file(spec.encoder, folder)
    metric = assembled(spec, encoder, seed=1)
    adapters = spec_of(**lora)
    attach_lora(metric.encoder, adapters)
    switch_on(metric.encoder)
    return metric, replace(spec, encoder=replace(spec.encoder, lora=adapters)), encoder


@pytest.mark.parametrize("targets", [("q", "k", "v"), ("q", "v")])
@pytest.mark.parametrize("kind", ATTENTION)
def test_adapters_come_back_merged_into_their_encoder(tmp_path, images, kind, targets):
    metric, spec, encoder = with_adapters(kind, tmp_path, targets=targets)
    plain = assembled(with_head(ENCODERS[kind]()), encoder, seed=1)
    weights = trained_weights_of(metric, spec)
    assert f"{ATTENTION[kind]}.q.down" in weights.lora
    assert not weights.encoder
    assert weights.base == base_fingerprint(plain)
    again = create_metric(exported(tmp_path / "out", spec, weights), backbone_checkpoint=encoder)
    torch.testing.assert_close(again(images), metric(images), rtol=1e-5, atol=1e-5)
    assert differ(again(images), plain(images))
    pixels = images.clone().requires_grad_()
    again(pixels).sum().backward()
    assert torch.isfinite(pixels.grad).all()
    assert (pixels.grad != 0).any()
    assert torch.equal(pickle.loads(pickle.dumps(again))(images), again(images))


@pytest.mark.parametrize("kind", ATTENTION)
def test_merged_or_not_the_same_weights_are_stored(tmp_path, images, kind):
    metric, spec, _ = with_adapters(kind, tmp_path)
    before, scores = trained_weights_of(metric, spec), metric(images)
    merge_lora(metric.encoder)
    torch.testing.assert_close(metric(images), scores, rtol=1e-5, atol=1e-5)
    merged = trained_weights_of(metric, spec)
    assert before.base == merged.base
    assert all(torch.equal(before.lora[name], merged.lora[name]) for name in before.lora | merged.lora)
    unmerge_lora(metric.encoder)
    assert torch.equal(metric(images), scores)


@pytest.mark.parametrize("kind", ATTENTION)
def test_stored_adapters_can_be_trained_on(tmp_path, images, kind):
    metric, spec, encoder = with_adapters(kind, tmp_path)
    other = assembled(with_head(ENCODERS[kind]()), encoder, seed=1)
    attach_lora(other.encoder, spec.encoder.lora)
    load_lora(other.encoder, trained_weights_of(metric, spec).lora)
    assert torch.equal(other(images), metric(images))
    assert lora_state(other.encoder).keys() == lora_state(metric.encoder).keys()


@pytest.mark.parametrize("kind", ATTENTION)
def test_two_metrics_on_one_encoder_share_all_that_lora_left_alone(tmp_path, kind):
    metric, spec, encoder = with_adapters(kind, tmp_path)
    weights = trained_weights_of(metric, spec)
    one = create_metric(exported(tmp_path / "one", spec, weights), backbone_checkpoint=encoder)
    other = create_metric(
        exported(tmp_path / "other", replace(spec, name="other"), weights), backbone_checkpoint=encoder
    )
    mine, theirs = (dict(made.encoder.named_parameters()) for made in (one, other))
    own = {name for name in mine if mine[name].data_ptr() != theirs[name].data_ptr()}
    fused = "in_proj.weight" if kind == "clip vit" else "qkv.weight"
    assert own == {name for name in mine if name.endswith(fused)}


@pytest.mark.parametrize("kind", ATTENTION)
def test_the_adapters_may_lie_in_one_file_with_their_encoder(tmp_path, images, kind):
    metric, spec, _ = with_adapters(kind, tmp_path)
    alone = replace(spec, encoder=replace(spec.encoder, in_trained_file=True))
    weights = trained_weights_of(metric, alone)
    assert weights.lora
    assert weights.encoder
    again = create_metric(exported(tmp_path / "out", alone, weights))
    torch.testing.assert_close(again(images), metric(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ATTENTION)
def test_slim_and_merged_files_convert_into_each_other(tmp_path, images, kind):
    metric, spec, encoder = with_adapters(kind, tmp_path)
    slim = exported(tmp_path / "slim", spec, trained_weights_of(metric, spec))
    merged = convert(slim, tmp_path / "merged", format="merged", encoder=encoder)
    assert merged.deviation < 1e-6
    torch.testing.assert_close(create_metric(tmp_path / "merged")(images), metric(images), rtol=1e-5, atol=1e-5)


def test_attention_that_reads_its_weights_past_the_layer_takes_no_adapters():
    encoder = load_image_encoder(timm_spec("beit_base_patch16_224", "pooled"), None)
    with pytest.raises(InvalidSpecError, match="no attention with a fused projection"):
        attach_lora(encoder, spec_of())


# A whole encoder


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_trained_in_full_comes_back_from_the_trained_file_alone(tmp_path, images, kind):
    spec = with_head(ENCODERS[kind]())
    encoder = encoder_file(spec.encoder, tmp_path)
    before = assembled(spec, encoder)(images)
    metric = trained_in_full(assembled(spec, encoder))
    whole = replace(spec, encoder=replace(spec.encoder, in_trained_file=True))
    weights = trained_weights_of(metric, whole)
    assert weights.base is None
    again = create_metric(exported(tmp_path / "out", whole, weights))
    assert torch.equal(again(images), metric(images))
    assert differ(metric(images), before)
    # Its names are those of the library's own files.
    known = load_file(encoder)
    assert weights.encoder.keys() <= known.keys()
    assert all(weights.encoder[name].shape == known[name].shape for name in weights.encoder)


@pytest.mark.parametrize("kind", ["clip vit", "clip resnet", "timm vit", "timm folded"])
def test_an_encoder_that_was_not_changed_has_the_scores_of_its_file(tmp_path, images, kind):
    spec = with_head(ENCODERS[kind]())
    metric = assembled(spec, encoder_file(spec.encoder, tmp_path))
    whole = replace(spec, encoder=replace(spec.encoder, in_trained_file=True))
    again = create_metric(exported(tmp_path / "out", whole, trained_weights_of(metric, whole)))
    assert torch.equal(again(images), metric(images))


@pytest.mark.parametrize("kind", ATTENTION)
def test_adapters_are_part_of_an_encoder_that_is_stored_without_them(tmp_path, images, kind):
    metric, spec, _ = with_adapters(kind, tmp_path)
    whole = replace(spec, encoder=replace(spec.encoder, lora=None, in_trained_file=True))
    weights = trained_weights_of(metric, whole)
    assert not weights.lora
    again = create_metric(exported(tmp_path / "out", whole, weights))
    torch.testing.assert_close(again(images), metric(images), rtol=1e-5, atol=1e-5)
    bake_lora(metric.encoder)
    baked = trained_weights_of(metric, whole)
    assert all(torch.equal(baked.encoder[name], weights.encoder[name]) for name in weights.encoder | baked.encoder)


# What does not fit together


def test_what_is_stored_is_no_part_of_the_metric(tmp_path):
    spec = with_head(ENCODERS["timm vit"]())
    metric = assembled(spec, encoder_file(spec.encoder, tmp_path))
    weights = trained_weights_of(metric)
    kept = {name: tensor.clone() for name, tensor in weights.head.items()}
    trained_in_full(metric)
    assert all(torch.equal(weights.head[name], kept[name]) for name in kept)


def test_a_specification_that_disagrees_with_the_metric_is_refused(tmp_path):
    metric, spec, _ = with_adapters("timm vit", tmp_path)
    with pytest.raises(InvalidSpecError, match="has adapters, which its specification does not mention"):
        trained_weights_of(metric)
    bake_lora(metric.encoder)
    with pytest.raises(InvalidSpecError, match=r"has LoRA, but its encoder has no adapters \(any more\)"):
        trained_weights_of(metric, spec)
    other = replace(spec, encoder=timm_spec(VIT.replace("vit", "vit2"), "pooled"))
    with pytest.raises(WeightsError, match=r"do not fit its specification \(test_vit2\)"):
        trained_weights_of(metric, replace(other, encoder=replace(other.encoder, in_trained_file=True)))


def test_a_head_without_a_published_file_is_asked_for(tmp_path):
    spec = with_head(ENCODERS["timm vit"]())
    folder = exported(tmp_path / "out", spec, trained_weights_of(assembled(spec, encoder_file(spec.encoder, tmp_path))))
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors missing"):
        create_metric(folder)
    with (
        temporary_metrics(replace(spec, name="without_a_file")),
        pytest.raises(InvalidOptionError, match="No trained file is published for 'without_a_file'"),
    ):
        create_metric("without_a_file")
