"""Metrics with published heads on CLIP equal independent implementations: transformers, open_clip, torchvision.

Small random CLIPs with the metric's own architecture; at full size in `test_published_heads_full_size.py`.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor
from torchvision.transforms import functional as tv

from perceptmetrics import create_metric, metric_info
from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD
from perceptmetrics.spec import PackageFile
from tests.support import hugging_face_clip, small_clip
from tests.support.photographs import photographs
from tests.support.registered_metrics import temporary_metrics, tiny

if TYPE_CHECKING:
    from torch import Tensor

PROMPTS = ["A photo of an astronaut.", "A cat on a sofa.", "A cup of coffee."]
LAION = ["laion_aes", "laion_aes_v1", "laion_aes_v1_b32", "laion_aes_v1_b16"]
BICUBIC = Compose(
    [
        Resize(224, interpolation=InterpolationMode.BICUBIC),
        CenterCrop(224),
        ToTensor(),
        Normalize(CLIP_MEAN, CLIP_STD),
    ]
)
TOLERANCE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture(scope="module", autouse=True)
def _registered(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    """Photographs of several sizes, high and wide."""
    pixels = photographs(300, 420)[:3].mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    first, second, third = (Image.fromarray(image) for image in np.ascontiguousarray(pixels))
    return [first, second.transpose(Image.Transpose.ROTATE_90), third.resize((190, 150))]


def create(name: str, **options):
    with temporary_metrics(tiny(metric_info(name))):
        return create_metric(name, **options)


def published_head(widths: tuple[int, ...], seed: int = 1) -> tuple[nn.Sequential, list[str]]:
    """Linear layers with nothing but dropout between them, and their places as version 2 has them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(widths)]
        layers[0].weight.data.mul_(20)  # so that the scores of photographs differ
    places = ["0", "2", "4", "6", "7"] if len(layers) == 5 else [""]
    return nn.Sequential(*layers).eval(), places


def tensors_of(head: nn.Sequential, places: list[str]) -> dict[str, Tensor]:
    prefixes = [f"layers.{place}." if place else "" for place in places]
    return {
        prefix + kind: getattr(layer, kind).detach().clone()
        for prefix, layer in zip(prefixes, head, strict=True)
        for kind in ("weight", "bias")
    }


def small_widths(name: str) -> tuple[int, ...]:
    return tiny(metric_info(name)).head.widths


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    model = hugging_face_clip.small_model()
    return model, hugging_face_clip.write(model, tmp_path_factory.mktemp("hf"))


@pytest.mark.parametrize("name", LAION)
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_laion_is_linear_layers_on_the_unit_embedding(name, suffix, clip, images, tmp_path):
    model, file = clip
    head, places = published_head(small_widths(name))
    path = tmp_path / f"head.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(tensors_of(head, places), path)
    metric = create(name, checkpoint=path, backbone_checkpoint=file)
    pixels = torch.stack([BICUBIC(image) for image in images])
    expected = head(F.normalize(hugging_face_clip.features_of(model, pixels), dim=-1))[:, 0].detach()
    torch.testing.assert_close(metric.score(images), expected, **TOLERANCE)
    assert expected.std() > 1e-3


def test_a_head_that_was_saved_on_a_gpu_is_read(clip, tmp_path, monkeypatch):
    head, places = published_head(small_widths("laion_aes"))
    torch.save(tensors_of(head, places), tmp_path / "cpu.pth")
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(tensors_of(head, places), tmp_path / "gpu.pth")
    assert b"cuda:0" in (tmp_path / "gpu.pth").read_bytes()
    image = photographs(64, 64)[:1]
    cpu, gpu = (
        create("laion_aes", checkpoint=tmp_path / f"{name}.pth", backbone_checkpoint=clip[1]) for name in ("cpu", "gpu")
    )
    assert torch.equal(cpu(image), gpu(image))


def test_five_layers_without_activation_collapse_to_one_vector(clip, tmp_path):
    """Exactly one dot product, up to the rounding of float32."""
    head, places = published_head(small_widths("laion_aes"))
    save_file(tensors_of(head, places), tmp_path / "head.safetensors")
    metric = create("laion_aes", checkpoint=tmp_path / "head.safetensors", backbone_checkpoint=clip[1])
    vector, bias = torch.eye(small_clip.FEATURE_SIZE, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    bias = torch.zeros(small_clip.FEATURE_SIZE, dtype=torch.float64)
    for layer in head:
        vector, bias = layer.weight.double() @ vector, layer.weight.double() @ bias + layer.bias.double()
    features = torch.randn(20, small_clip.FEATURE_SIZE, generator=torch.Generator().manual_seed(0))
    expected = F.normalize(features.double(), dim=-1) @ vector[0] + bias
    torch.testing.assert_close(metric.head(features)[:, 0].double(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(metric.head(3 * features), metric.head(features), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("layers.2.bias"), "missing"),
        (lambda t: t.update({"layers.9.weight": torch.zeros(1, 1)}), "unexpected layers.9.weight"),
        (lambda t: t.update({"layers.7.weight": torch.zeros(1, 17)}), r"has shape \(1, 17\), expected \(1, 16\)"),
    ],
)
def test_a_file_of_another_head_is_refused(change, said, clip, tmp_path):
    tensors = tensors_of(*published_head(small_widths("laion_aes")))
    change(tensors)
    save_file(tensors, tmp_path / "head.safetensors")
    with pytest.raises(WeightsError, match=said):
        create("laion_aes", checkpoint=tmp_path / "head.safetensors", backbone_checkpoint=clip[1])


@pytest.mark.parametrize("name", LAION[1:])
def test_the_heads_of_version_1_come_with_the_package(name):
    """The published file, hash and all, read by torch itself."""
    from perceptmetrics.factory.build import Files, open_trained
    from perceptmetrics.weights.resolve import ResolveOptions, resolve

    spec = metric_info(name)
    assert isinstance(spec.head.weights, PackageFile)
    lookup = ResolveOptions(metric=name, local_files_only=True)
    published = torch.load(resolve(spec.head.weights, lookup), map_location="cpu", weights_only=True)
    head = open_trained(spec, Files(lookup=lookup)).trained.head
    assert torch.equal(head["layers.0.weight"], published["weight"])
    assert torch.equal(head["layers.0.bias"], published["bias"])
    assert head["layers.0.weight"].shape == (1, spec.head.widths[0])


def test_clip_score_is_a_hundred_cosines_of_transformers(clip, images):
    model, file = clip
    metric = create("clip_score", backbone_checkpoint=file)
    pixels = torch.stack([BICUBIC(image) for image in images])
    features, texts = hugging_face_clip.features_of(model, pixels), hugging_face_clip.texts_of(model, PROMPTS)
    cosines = F.cosine_similarity(features, texts)
    torch.testing.assert_close(metric.score(images, PROMPTS), 100 * cosines.clamp(min=0), rtol=0, atol=1e-3)
    opposite = metric(
        photographs(64, 64)[:1], -F.normalize(metric.encode(metric.views(photographs(64, 64)[:1]))[0], dim=-1)
    )
    assert opposite.item() == 0
    assert cosines.std() > 1e-3


def test_clip_score_takes_another_clip_and_preferences_do_not():
    assert create_metric_spec("clip_score", backbone="ViT-B-32").encoder.architecture == "ViT-B-32"
    for name in ("hpsv2.1", "pickscore"):
        with pytest.raises(InvalidOptionError, match="has no option 'backbone'"):
            create_metric_spec(name, backbone="ViT-B-32")


def create_metric_spec(name, **options):
    from perceptmetrics.factory.options import apply_options

    return apply_options(metric_info(name), options)


def test_pickscore_is_the_logit_of_transformers(images, tmp_path):
    model = hugging_face_clip.small_model("gelu", seed=3)
    metric = create("pickscore", backbone_checkpoint=hugging_face_clip.write(model, tmp_path))
    pixels = torch.stack([BICUBIC(image) for image in images])
    features, texts = hugging_face_clip.features_of(model, pixels), hugging_face_clip.texts_of(model, PROMPTS)
    expected = model.logit_scale.exp() * F.cosine_similarity(features, texts)
    torch.testing.assert_close(metric.score(images, PROMPTS), expected, rtol=0, atol=1e-3)
    assert expected.std() > 1e-2


def long_side_224(image: Image.Image) -> Tensor:
    """HPSv2's view with torchvision: a tensor first, bicubic, black around it, then normalised."""
    pixels = tv.to_tensor(image)
    scale = 224 / max(pixels.shape[1:])
    size = [round(side * scale) for side in pixels.shape[1:]]
    pixels = tv.resize(pixels, size, InterpolationMode.BICUBIC, antialias=True)
    height, width = (224 - side for side in size)
    pixels = tv.pad(pixels, [width // 2, height // 2, width - width // 2, height - height // 2], fill=0)
    return tv.normalize(pixels, CLIP_MEAN, CLIP_STD)


def test_hpsv2_is_the_cosine_of_open_clip(images, tmp_path):
    model = small_clip.build(small_clip.VIT_224, quick_gelu=False, seed=4)
    halved = {name: tensor.half() for name, tensor in small_clip.state(model).items()}
    torch.save({"epoch": 1, "state_dict": halved}, tmp_path / "hps.pt")
    model.load_state_dict(halved)
    metric = create("hpsv2.1", backbone_checkpoint=tmp_path / "hps.pt")
    import open_clip

    features = model.encode_image(torch.stack([long_side_224(image) for image in images]))
    texts = model.encode_text(open_clip.get_tokenizer("ViT-H-14")(PROMPTS))
    expected = F.cosine_similarity(features, texts)
    torch.testing.assert_close(metric.score(images, PROMPTS), expected, rtol=0, atol=1e-5)
    assert expected.std() > 1e-3


def test_a_head_reads_views_side_by_side_only_of_a_metric_that_has_them():
    from perceptmetrics.errors import InvalidSpecError

    spec = metric_info("laion_aes")
    with pytest.raises(InvalidSpecError, match="reads 2 views of an image side by side, but there are 1"):
        replace(spec, head=replace(spec.head, joined_views=2))
