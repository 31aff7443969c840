"""Released PerceptCLIP files that do not fit are refused by the names in the file; none of their code is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.export.convert import convert
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.support import released_files, small_clip
from tests.support.photographs import photographs
from tests.support.released_files import TOWER, released_state, write, write_released

QUERY = f"{TOWER}encoder.layers.1.self_attn.q_proj."
METRIC = "perceptclip_mem"


pytestmark = pytest.mark.usefixtures("tiny_metrics", "cache")


@pytest.fixture(scope="module")
def images():
    return photographs(240, 300)[:2]


@pytest.fixture
def state():
    return released_state()


def message_of(path, name=METRIC, **options):
    with pytest.raises(WeightsError) as caught:
        create_metric(name, checkpoint=path, **options)
    return str(caught.value)


# Files that fit


def test_every_tensor_of_the_file_counts(tmp_path, state, images):
    expected = create_metric(METRIC, checkpoint=write(tmp_path / "file.pth", state))(images)
    unmoved = []
    for number, key in enumerate(name for name in state if ".layers.0." not in name and ".layers.2." not in name):
        # Not the same change everywhere: a layer norm after it would not see it.
        noise = torch.randn(state[key].shape, generator=torch.Generator().manual_seed(number))
        path = write(tmp_path / f"{number}.pth", state | {key: state[key] + 0.5 * noise})
        if (create_metric(METRIC, checkpoint=path)(images) - expected).abs().max() < 1e-4:
            unmoved.append(key)
    # What is added to the logits of all keys alike, which is what the bias of the keys does, softmax does not see.
    assert unmoved == [f"{TOWER}encoder.layers.1.self_attn.k_proj.base_layer.bias"]


def test_a_parallel_prefix_is_accepted(tmp_path, state, images):
    plain = create_metric(METRIC, checkpoint=write(tmp_path / "plain.pth", state))
    prefixed = {f"module.{name}": tensor for name, tensor in state.items()}
    assert torch.equal(create_metric(METRIC, checkpoint=write(tmp_path / "p.pth", prefixed))(images), plain(images))


def test_stored_position_ids_are_ignored(tmp_path, state, images):
    plain = create_metric(METRIC, checkpoint=write(tmp_path / "plain.pth", state))
    older = state | {f"{TOWER}embeddings.position_ids": torch.arange(released_files.TOKENS)[None]}
    assert torch.equal(create_metric(METRIC, checkpoint=write(tmp_path / "o.pth", older))(images), plain(images))


def test_half_precision_is_accepted(tmp_path, state, images):
    plain = create_metric(METRIC, checkpoint=write(tmp_path / "plain.pth", state))
    half = {name: tensor.half() for name, tensor in state.items()}
    metric = create_metric(METRIC, checkpoint=write(tmp_path / "half.pth", half))
    assert {parameter.dtype for parameter in metric.parameters()} == {torch.float32}
    torch.testing.assert_close(metric(images), plain(images), atol=1e-2, rtol=0)


# Files that do not fit


@pytest.mark.parametrize(
    "key",
    [
        "proj.weight",
        "mlp.fc3.bias",
        f"{TOWER}pre_layrnorm.weight",
        f"{TOWER}embeddings.class_embedding",
        f"{QUERY}base_layer.bias",
        f"{QUERY}lora_A.default.weight",
        f"{QUERY}lora_B.default.weight",
    ],
)
class TestNames:
    def test_missing(self, tmp_path, state, key):
        del state[key]
        path = write(tmp_path / "file.pth", state)
        assert re.search(rf"{re.escape(str(path))}.*missing {re.escape(key)}[;.]", message_of(path))

    def test_renamed(self, tmp_path, state, key):
        state[f"{key}_2"] = state.pop(key)
        message = message_of(write(tmp_path / "file.pth", state))
        assert f"missing {key};" in message
        assert f"unexpected {key}_2." in message

    def test_misshapen(self, tmp_path, state, key):
        shape = tuple(state[key].shape)
        state[key] = torch.cat([state[key], state[key][:1]])
        message = message_of(write(tmp_path / "file.pth", state))
        assert f"{key} has shape {tuple(state[key].shape)}, expected {shape}" in message


def test_an_unexpected_tensor(tmp_path, state):
    state[f"{QUERY}lora_A.second.weight"] = torch.zeros(16, 64)
    message = message_of(write(tmp_path / "file.pth", state))
    assert f"unexpected {QUERY}lora_A.second.weight." in message
    assert "missing" not in message


def test_other_outputs(tmp_path):
    path = write_released(tmp_path / "emotions.pth", "perceptclip_emo")
    expected = "mlp.fc3.weight has shape (8, 256), expected (1, 256)"
    assert expected in message_of(path, "perceptclip_iqa")
    create_metric("perceptclip_emo", checkpoint=path)  # now it lies in the cache, under other names
    message = message_of(path, "perceptclip_iqa")
    assert expected in message
    assert str(path) in message


def test_a_refused_file_leaves_nothing_in_the_cache(tmp_path, cache, state):
    del state["mlp.fc3.bias"]
    message_of(write(tmp_path / "file.pth", state))
    assert not list(cache.rglob("*.safetensors"))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated(tmp_path, state, share):
    path = write(tmp_path / "file.pth", state)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert str(path) in message_of(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_not_a_weight_file(tmp_path, suffix):
    path = tmp_path / f"file{suffix}"
    path.write_text("<html>Please log in to the network.</html>")
    assert str(path) in message_of(path)


def test_a_flipped_bit_in_the_pickle(tmp_path, state):
    path = write(tmp_path / "file.pth", state)
    content = bytearray(path.read_bytes())
    content[content.index(b"lora_A")] ^= 1
    path.write_bytes(content)
    assert str(path) in message_of(path)


class Malicious:
    def __reduce__(self):
        return Path.touch, (Path("malicious"),)


@pytest.mark.parametrize("place", ["beside", "nested"])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, monkeypatch, state, place):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.pth"
    torch.save(state | {"code": Malicious()} if place == "beside" else {"state_dict": state, "x": Malicious()}, path)
    message = message_of(path)
    assert "never runs code" in message
    assert not Path("malicious").exists()


# Converted files


@pytest.fixture
def slim(tmp_path):
    """A slim file; its encoder is in the cache only."""
    source = write_released(tmp_path / "source.pth", METRIC)
    return convert(source, tmp_path / "slim", metric=METRIC).folder


def clip_file(path, seed, base_seed=None):
    """A tiny CLIP in a file; with `base_seed`, its image tower is the one under the adapters."""
    tensors = small_clip.state(small_clip.build(small_clip.VIT_224, seed=seed))
    if base_seed is not None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(CACHE_VARIABLE, str(path.parent / "another cache"))
            source = write_released(path.parent / "base.pth", METRIC, base_seed=base_seed)
            create_metric(METRIC, checkpoint=source)
            [tower] = (path.parent / "another cache").glob("encoders/*.safetensors")
        tensors |= load_file(tower)
    save_file(tensors, path)
    return path


def test_a_slim_file_with_its_encoder_from_a_clip_file(tmp_path, slim, images, monkeypatch):
    expected = create_metric(METRIC, checkpoint=slim)(images)
    clip = clip_file(tmp_path / "clip.safetensors", seed=1, base_seed=0)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "empty"))
    metric = create_metric(METRIC, checkpoint=slim, backbone_checkpoint=clip)
    assert torch.equal(metric(images), expected)


def test_a_slim_file_on_another_clip_is_refused_with_both_fingerprints(tmp_path, cache, slim):
    [own] = cache.glob("encoders/*.safetensors")
    other = clip_file(tmp_path / "clip.safetensors", seed=1)
    message = message_of(slim, backbone_checkpoint=other)
    fingerprints = re.findall(r"\b[0-9a-f]{64}\b", message)
    assert len(set(fingerprints)) == 2
    assert own.stem in fingerprints
    assert str(other) in message


def test_one_changed_weight_is_another_clip(tmp_path, slim):
    path = clip_file(tmp_path / "clip.safetensors", seed=1, base_seed=0)
    tensors = load_file(path)
    tensors["visual.ln_post.bias"][3] += 1e-6
    save_file(tensors, path)
    assert "another encoder" in message_of(slim, backbone_checkpoint=path)


@pytest.mark.parametrize("change", ["drop", "rename", "misshape", "foreign"])
def test_a_slim_file_that_does_not_fit(slim, change):
    path = slim / "model.safetensors"
    tensors = load_file(path)
    name = "lora.visual.transformer.resblocks.1.attn.k.up"
    if change == "drop":
        del tensors[name]
    elif change == "rename":
        tensors[f"{name}s"] = tensors.pop(name)
    elif change == "misshape":
        tensors[name] = tensors[name][:-1].clone()
    else:
        tensors[name.removeprefix("lora.")] = tensors.pop(name)
    save_file(tensors, path)
    assert name.removeprefix("lora.") in message_of(slim)


def test_a_merged_file_makes_no_slim_one(tmp_path):
    source = write_released(tmp_path / "source.pth", METRIC)
    merged = convert(source, tmp_path / "merged", metric=METRIC, format="merged").folder
    with pytest.raises(InvalidOptionError, match="contains no adapters"):
        convert(merged, tmp_path / "again")


def test_a_metric_without_lora_refuses_a_released_file(tmp_path, state):
    message = message_of(write(tmp_path / "file.pth", state), "lite_iqa")
    assert "perceptclip" in message.lower()


def test_a_flipped_bit_in_a_tensor_does_not_have_its_checksum(tmp_path, state):
    path = write(tmp_path / "file.pth", state)
    content = bytearray(path.read_bytes())
    content[content.find(state["mlp.fc1.weight"].numpy().tobytes()) + 40] ^= 1
    path.write_bytes(content)
    assert "checksum of its part" in message_of(path)
