"""A weight file says what it is, and nothing is guessed where it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from perceptmetrics import InvalidOptionError, WeightsError, create_metric, list_metrics, metric_info
from perceptmetrics.factory.recognise import is_weight_file, recognise
from perceptmetrics.factory.tuned_encoder import known_files
from perceptmetrics.metrics import laion_aes_v1
from perceptmetrics.models.encoders import encoder_shapes
from perceptmetrics.weights.tensor_files import save_tensors
from tests.support import released_files, small_clip
from tests.support.registered_metrics import temporary_metrics, tiny

PUBLISHED = Path(laion_aes_v1.__file__).parent / "laion"
ONE = torch.zeros(1)
V2 = {
    "layers.0": (1024, 768),
    "layers.2": (128, 1024),
    "layers.4": (64, 128),
    "layers.6": (16, 64),
    "layers.7": (1, 16),
}


def second_version():
    weights = {f"{name}.weight": torch.zeros(shape) for name, shape in V2.items()}
    return weights | {f"{name}.bias": torch.zeros(shape[0]) for name, shape in V2.items()}


def saved(path, tensors):
    if path.suffix == ".safetensors":
        save_tensors(tensors, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize(
    ("published", "name"),
    [
        ("sa_0_4_vit_l_14_linear.pth", "laion_aes_v1"),
        ("sa_0_4_vit_b_32_linear.pth", "laion_aes_v1_b32"),
        ("sa_0_4_vit_b_16_linear.pth", "laion_aes_v1_b16"),
    ],
)
def test_a_published_file_is_known_whatever_it_is_called(tmp_path, published, name):
    path = shutil.copy(PUBLISHED / published, tmp_path / "x.bin")
    metric = create_metric(path, embeddings_only=True)
    assert metric.metric_name == name
    other = create_metric(name, embeddings_only=True)
    assert all(torch.equal(tensor, metric.state_dict()[key]) for key, tensor in other.state_dict().items())


@pytest.mark.parametrize(
    ("filename", "tensors", "name"),
    [
        ("mine.safetensors", second_version(), "laion_aes"),
        ("mine.pth", {"state_dict": second_version()}, "laion_aes"),
        ("CLIP-IQA+_learned_prompts-603f3273.pth", torch.zeros(16, 512), "clipiqa+"),
        ("p.pth", {"prompt_learner.ctx": torch.zeros(2, 16, 768)}, "clipiqa+_vitL14_512"),
        ("p.pth", {"generator.clipmodel_0.prompt_learner.ctx": torch.zeros(2, 16, 768)}, "clipiqa+_vitL14_512"),
        ("regressor_spaq.pth", {"weights": torch.zeros(1, 4096), "biases": torch.zeros(())}, "arniqa-spaq"),
        ("q.pth", {"prompts_features": torch.zeros(14, 1024), "clip_model.x": torch.zeros(1)}, "qualiclip"),
        ("v.pth", {"vit.head.weight": torch.zeros(1, 768), "vit.head.bias": ONE, "vit.x": ONE}, "vitmem"),
    ],
)
def test_layouts_are_known_by_names_and_shapes(tmp_path, filename, tensors, name):
    path = saved(tmp_path / filename, tensors)
    found = recognise(path)
    assert (found.spec.name, found.trained, found.encoder) == (name, path, None)


def test_a_file_of_this_package_is_known_by_its_hash(tmp_path):
    own = metric_info("lite_iqa").trained_file
    path = shutil.copy(Path(laion_aes_v1.__file__).parents[1] / own.filename, tmp_path / "x.safetensors")
    assert create_metric(path).metric_name == "lite_iqa"
    with pytest.raises(WeightsError, match=r"trained file of a metric of this package, which its spec.json describes"):
        recognise(saved(tmp_path / "y.safetensors", {"head.layers.0.weight": torch.zeros(1, 768)}))


def test_every_published_layout_is_told_from_those_of_other_metrics():
    """Or shares it with them, which only the file's hash or name can tell."""
    shared = {frozenset(name for name in list_metrics() if name.startswith("arniqa"))}
    shared |= {frozenset({"laion_aes_v1_b16", "laion_aes_v1_b32"}), frozenset({"clipiqa+", "clipiqa+_rn50_512"})}
    shared |= {frozenset({"perceptclip_iqa", "perceptclip_mem"})}
    known = {name: known_files(metric_info(name)) for name in list_metrics()}
    for own, signatures in known.items():
        for signature in signatures:
            fitting = {
                name for name, all_ in known.items() for other in all_ if not other.differences(signature.shapes)
            }
            assert fitting == {own} or frozenset(fitting) in shared, (own, fitting)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"weight": torch.zeros(1, 512), "bias": ONE}, r"a head in a layout .*'laion_aes_v1_b16', checkpoint=.*b32"),
        (torch.zeros(16, 512), r"learned prompts in a layout .*'clipiqa\+', checkpoint=.*rn50_512"),
        (
            {name: tensor for name, tensor in second_version().items() if name != "layers.7.bias"} | {"x": ONE},
            "resembles a head of 'laion_aes' most.*missing layers.7.bias; unexpected x",
        ),
        (second_version() | {"layers.2.weight": torch.zeros(64, 1024)}, r"layers.2.weight has shape \(64, 1024\)"),
        ({"resnet.conv": torch.zeros(3)}, "resembles no file that a metric is made of. It holds resnet.conv"),
        ({"visual.x": ONE, "logit_scale": ONE}, "a CLIP of an architecture that is not known here"),
    ],
)
def test_what_fits_several_or_none_is_not_guessed(tmp_path, tensors, said):
    with pytest.raises(WeightsError, match=said):
        create_metric(saved(tmp_path / "x.pth", tensors))


def test_no_code_of_a_file_is_run(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "run",))

    torch.save({"layers.0.weight": Harmful()}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="cannot be read safely"):
        create_metric(tmp_path / "x.pth")
    assert not (tmp_path / "run").exists()


def test_perceptclip_is_known_by_its_name(tmp_path):
    with released_files.registered(tmp_path / "configurations"):
        for name, wanted in (("perceptclip_emo", "x.pth"), ("perceptclip_mem", "perceptCLIP_Memorability.pth")):
            path = shutil.move(released_files.write_released(tmp_path / f"{name}.pth", name), tmp_path / wanted)
            assert recognise(path).spec.name == name
        path = shutil.move(path, tmp_path / "y.pth")
        with pytest.raises(WeightsError, match=r"'perceptclip_iqa', checkpoint=.*'perceptclip_mem', checkpoint="):
            recognise(path)


def test_a_clip_makes_the_metric_that_it_is_published_for(tmp_path):
    small_clip.register(tmp_path)
    specs = [tiny(metric_info(name)) for name in ("liqe", "hpsv2.1", "clip_score")]
    with temporary_metrics(*specs):
        state = small_clip.state(small_clip.build(small_clip.VIT_224))
        path = saved(tmp_path / "liqe_koniq.pt", state)
        found = recognise(path)
        assert (found.spec.name, found.trained, found.encoder) == ("liqe", None, path)
        assert torch.isfinite(create_metric(path)(torch.rand(1, 3, 224, 224))).all()
        with pytest.raises(InvalidOptionError, match="is a weight file itself"):
            create_metric(path, backbone_checkpoint=path)
        with pytest.raises(WeightsError, match=r"image encoder of tiny.*'clip_score', backbone_checkpoint="):
            recognise(shutil.copy(path, tmp_path / "model.pt"))
    assert {name for name in state if name.startswith("visual.")} >= set(encoder_shapes(specs[0].encoder))


def test_names_come_before_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lite_iqa").write_bytes(b"")
    assert not is_weight_file("lite_iqa")
    assert not is_weight_file("nothing.pth")
    with pytest.raises(InvalidOptionError, match="is a weight file itself"):
        create_metric(PUBLISHED / "sa_0_4_vit_l_14_linear.pth", checkpoint=PUBLISHED / "sa_0_4_vit_b_32_linear.pth")
