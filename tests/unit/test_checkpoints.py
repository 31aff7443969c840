"""Every published layout of CLIP gives the same features, and weights that do not fit are refused as a whole."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from dataclasses import replace

import pytest
import skimage.data
import timm
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from perceptmetrics import create_metric
from perceptmetrics.errors import WeightsError
from perceptmetrics.metrics.clip_encoders import openai_clip
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.models.encoders import build_image_and_text, load_image_encoder
from perceptmetrics.models.encoders.clip_text import tokenize
from perceptmetrics.spec import PromptPair
from perceptmetrics.weights.layouts import load_strictly, read_clip, read_efficientnet_lite0
from perceptmetrics.weights.resolve import ResolveOptions, resolve
from tests.support import small_clip
from tests.support.registered_metrics import temporary_metrics
from tests.support.small_clip import RESNET, VIT

PAIR = PromptPair(name="quality", positive="Good photo.", negative="Bad photo.")
TOKENS = tokenize([PAIR.positive, PAIR.negative], 77)
OPENAI_CONSTANTS = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}


@pytest.fixture(scope="module", autouse=True)
def tiny_architectures(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))


@pytest.fixture(scope="module", params=[RESNET, VIT])
def architecture(request):
    return request.param


@pytest.fixture(scope="module")
def model(architecture):
    """open_clip's own model, with weights that half precision holds exactly."""
    model = small_clip.build(architecture)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())
    return model


def images(size, count=2):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(3))


# The layouts


def openai_state(state):
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    return half | {name: torch.tensor(number) for name, number in OPENAI_CONSTANTS.items()}


def nested_module(tensors):
    """A module tree whose state dictionary has these names, as OpenAI's archives have it."""
    root = nn.Module()
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        parent = root
        for part in path:
            if not hasattr(parent, part):
                parent.add_module(part, nn.Module())
            parent = getattr(parent, part)
        if tensor.is_floating_point() and "running" not in last:
            parent.register_parameter(last, nn.Parameter(tensor))
        else:
            parent.register_buffer(last, tensor)
    return root


def write_torchscript(state, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; OpenAI's files will stay
        torch.jit.save(torch.jit.script(nested_module(openai_state(state)).eval()), path)


LAYOUTS = {
    "open_clip_model.safetensors": save_file,
    "open_clip_pytorch_model.bin": torch.save,
    "epoch_32.pt": lambda state, path: torch.save(
        {"epoch": 32, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path
    ),
    "openai_state.pt": lambda state, path: torch.save(OrderedDict(openai_state(state)), path),
    "openai_archive.pt": write_torchscript,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_encoder_and_score(tmp_path, architecture, model, layout):
    LAYOUTS[layout](small_clip.state(model), tmp_path / layout)
    spec = small_clip.spec(architecture, "keep")
    pixels = images(small_clip.IMAGE_SIZE[architecture])

    encoder = build_image_and_text(spec.encoder, tmp_path / layout)
    torch.testing.assert_close(encoder.image(pixels), model.encode_image(pixels), rtol=1e-4, atol=1e-5)
    assert encoder.text.logit_scale == pytest.approx(float(model.logit_scale.exp()))

    with temporary_metrics(spec):
        metric = create_metric(spec.name, backbone_checkpoint=tmp_path / layout)
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (spec.views.mean, spec.views.std))
    cosines = F.normalize(encoder.image(pixels), dim=-1) @ encoder.text.encode([PAIR.positive, PAIR.negative]).T
    expected = (model.logit_scale.exp() * cosines).softmax(dim=-1)[:, 0]
    torch.testing.assert_close(metric(pixels * std + mean), expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 1e-3  # images are told apart, so that the comparison means something


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_comes_as_float32_under_open_clips_names(tmp_path, model, layout):
    state = small_clip.state(model)
    LAYOUTS[layout](state, tmp_path / layout)
    read = read_clip(tmp_path / layout)
    assert read.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(read[name], tensor), name


# Hugging Face folders, written by transformers itself


def small_hugging_face_clip():
    tower = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 2, "hidden_act": "quick_gelu"}
    config = transformers.CLIPConfig(
        projection_dim=64,
        text_config=tower | {"num_hidden_layers": 2, "vocab_size": 49408},
        vision_config=tower | {"num_hidden_layers": 3, "image_size": 64, "patch_size": 16},
    )
    return enlivened(transformers.CLIPModel(config))


@torch.no_grad()
def enlivened(model):
    """Far enough from initialisation that each tensor matters, and QuickGELU differs from GELU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        small_clip.enliven(model)
    for name, parameter in model.named_parameters():
        if name.endswith("fc1.weight"):
            parameter.mul_(8.0)
    return model.eval().requires_grad_(False)


def pooled(output):
    """transformers 5 returns an object where 4 returned the features."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def differences_from_transformers(encoder, model, size):
    """Relative to the reference: of the image features, and of the unit-length text features."""
    pixels = images(size)
    pairs = [
        (encoder.image(pixels), pooled(model.get_image_features(pixels))),
        (
            encoder.text.encode([PAIR.positive, PAIR.negative]),
            F.normalize(pooled(model.get_text_features(TOKENS)), dim=-1),
        ),
    ]
    return [float((ours - reference).norm() / reference.norm()) for ours, reference in pairs]


@pytest.mark.parametrize("form", ["folder", "file", "pytorch_model.bin", "with position_ids"])
def test_a_hugging_face_folder_gives_the_features_of_transformers(tmp_path, form):
    model = small_hugging_face_clip()
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors" if form == "file" else tmp_path
    if form in ("pytorch_model.bin", "with position_ids"):
        state = load_file(tmp_path / "model.safetensors")
        (tmp_path / "model.safetensors").unlink()
        if form == "with position_ids":  # files of older transformers
            state |= {
                f"{tower}.embeddings.position_ids": torch.arange(5)[None] for tower in ("text_model", "vision_model")
            }
        torch.save(state, tmp_path / "pytorch_model.bin")
    encoder = build_image_and_text(small_clip.spec(VIT, "keep").encoder, path)
    assert max(differences_from_transformers(encoder, model, 64)) < 1e-5
    assert encoder.text.logit_scale == pytest.approx(float(model.logit_scale.exp()))


@pytest.mark.parametrize("size", [(64, 64), (96, 48), (160, 128)], ids=str)
def test_positions_are_interpolated_as_transformers_does(tmp_path, size):
    model = small_hugging_face_clip()
    model.save_pretrained(tmp_path)
    encoder = load_image_encoder(small_clip.spec(VIT, "interpolate").encoder, tmp_path)
    pixels = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = pooled(model.get_image_features(pixels, interpolate_pos_encoding=True))
    assert (encoder(pixels) - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.slow
def test_a_full_size_hugging_face_folder_gives_the_features_of_transformers(tmp_path):
    torch.manual_seed(0)
    model = enlivened(transformers.CLIPModel(transformers.CLIPConfig()))  # the default is ViT-B/32
    model.save_pretrained(tmp_path)
    spec = openai_clip("ViT-B-32", "keep")
    assert max(differences_from_transformers(build_image_and_text(spec, tmp_path), model, 224)) < 1e-5
    wrong = build_image_and_text(replace(spec, quick_gelu=False), tmp_path)
    assert min(differences_from_transformers(wrong, model, 224)) > 1e-3


def test_an_attention_without_its_values_is_named(tmp_path):
    small_hugging_face_clip().save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state["vision_model.encoder.layers.1.self_attn.v_proj.bias"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"visual\.transformer\.resblocks\.1\.attn has a bias for \['k', 'q'\] only"):
        read_clip(tmp_path)


# What is no CLIP, or another one


def test_a_folder_without_weights_says_what_is_expected(tmp_path):
    with pytest.raises(WeightsError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        read_clip(tmp_path)


@pytest.mark.parametrize("drop", ["logit_scale", "visual."])
def test_a_file_that_is_no_clip_says_what_it_holds(tmp_path, model, drop):
    state = {name: tensor for name, tensor in small_clip.state(model).items() if not name.startswith(drop)}
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match=r"is not a CLIP.*ln_final\.bias.*and \d+ more"):
        read_clip(tmp_path / "x.safetensors")


def test_another_architecture_is_refused_with_the_first_differences(tmp_path, architecture, model):
    save_file(small_clip.state(model), tmp_path / "x.safetensors")
    other = RESNET if architecture == VIT else VIT
    with pytest.raises(WeightsError, match=r"do not fit CLIP: missing visual\..* and \d+ more; unexpected visual\."):
        build_image_and_text(small_clip.spec(other).encoder, tmp_path / "x.safetensors")


# Strict loading


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(first=nn.Linear(2, 3), norm=nn.BatchNorm1d(3), last=nn.Linear(3, 1)))


def changed(network):
    return {name: tensor + 1 for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("last.bias"), r"missing last\.bias"),
        (lambda state: state.update(extra=torch.ones(1)), "unexpected extra"),
        (
            lambda state: state.update({"first.weight": torch.ones(3, 5)}),
            r"first\.weight has shape \(3, 5\), expected \(3, 2\)",
        ),
        (lambda state: state.update({"last.bias": torch.ones(())}), r"last\.bias has shape \(\), expected \(1,\)"),
        (lambda state: state.clear(), "missing first.bias, first.weight, last.bias and 5 more"),
    ],
    ids=["missing", "unexpected", "misshapen", "no dimension", "nothing"],
)
def test_weights_that_do_not_fit_are_refused_as_a_whole(network, change, said):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    given = changed(network)
    change(given)
    with pytest.raises(WeightsError, match=said) as caught:
        load_strictly(network, given, "some/file.pt")
    assert "some/file.pt" in str(caught.value)
    assert "Sequential" in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_all_that_is_wrong_is_said_at_once(network):
    given = changed(network)
    given["other"] = given.pop("last.bias")
    given["last.weight"] = torch.ones(7)
    with pytest.raises(WeightsError, match=r"missing last\.bias; unexpected other; last\.weight has shape"):
        load_strictly(network, given, "x")


@pytest.mark.parametrize("with_counter", [True, False])
def test_weights_that_fit_are_loaded_without_a_copy(network, with_counter):
    given = changed(network)
    if not with_counter:
        del given["norm.num_batches_tracked"]
    with torch.device("meta"):
        target = nn.Sequential(OrderedDict(first=nn.Linear(2, 3), norm=nn.BatchNorm1d(3), last=nn.Linear(3, 1)))
    load_strictly(target, given, "x")
    for name, tensor in target.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert tensor.data_ptr() == given[name].data_ptr(), name
    assert target(torch.ones(2, 2)).shape == (2, 1)


# EfficientNet-Lite0


@pytest.fixture(scope="module")
def lite_file():
    return resolve(LITE_IQA.encoder.weights, ResolveOptions(metric="lite_iqa"))


def shapes(network):
    state = network.state_dict()
    return {name: tuple(state[name].shape) for name in state if not name.endswith("num_batches_tracked")}


@pytest.fixture(scope="module")
def lite_network(lite_file):
    """timm's whole network with the mapped weights, nothing folded."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    missing, unexpected = network.load_state_dict(read_efficientnet_lite0(lite_file, shapes(network)), strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return network.eval().requires_grad_(False)


def test_the_stages_equal_those_of_the_whole_network(lite_file, lite_network):
    pixels = torch.rand(2, 3, 160, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = []
    for stage in lite_network.forward_intermediates(pixels, intermediates_only=True):
        expected += [stage.mean(dim=(2, 3)), stage.std(dim=(2, 3), correction=0)]
    expected = torch.cat(expected, dim=1)
    features = load_image_encoder(LITE_IQA.encoder, lite_file)(pixels)
    assert features.shape == (2, LITE_IQA.head.widths[0])
    assert (features - expected).norm() < 1e-4 * expected.norm()
    torch.testing.assert_close(features, expected, rtol=1e-2, atol=1e-3)


def test_the_network_knows_a_cat(lite_network):
    """Order and names of 245 tensors could hardly be wrong if the classifier still works."""
    photo = torch.from_numpy(skimage.data.chelsea()).permute(2, 0, 1)[None] / 255
    pixels = F.interpolate(photo, size=(256, 385), mode="bilinear", antialias=True)[..., 16:240, 80:304] * 2 - 1
    probabilities = lite_network(pixels).softmax(dim=-1)[0]
    assert probabilities[281:286].sum() > 0.5  # tabby, tiger, Persian, Siamese and Egyptian cat


def test_a_file_with_another_number_of_tensors_is_refused(tmp_path, lite_file, lite_network):
    state = torch.load(lite_file, weights_only=True)
    state.popitem()
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"holds \d+ tensors; EfficientNet-Lite0 has \d+"):
        read_efficientnet_lite0(tmp_path / "x.pth", shapes(lite_network))


def test_a_file_with_another_shape_is_refused(tmp_path, lite_file, lite_network):
    state = torch.load(lite_file, weights_only=True)
    first = next(iter(state))
    state[first] = state[first][:16]
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(
        WeightsError, match=rf"{first} has shape \(16, 3, 3, 3\); .* conv_stem\.weight of shape \(32, 3, 3, 3\)"
    ):
        read_efficientnet_lite0(tmp_path / "x.pth", shapes(lite_network))
