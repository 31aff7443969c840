"""The private and internal parts of dependencies that the package uses, all in this one list.

No version promises them. When a dependency moves one, the test of that line fails and says which module needs it.
"""

from __future__ import annotations

import importlib
import tarfile

import PIL.Image
import pytest
import torch
from torch import nn

# (What is used, as "module:attribute.attribute"; the module of the package that uses it).
PRIVATE = [
    ("torch:Tensor._version", "models.shared_tensors"),
    ("torch:UntypedStorage._cdata", "finetune.plan"),
    ("torch:_check", "functional.image"),
    ("torch.nn.modules.batchnorm:_BatchNorm", "finetune.model.learner, models.encoders.timm_networks"),
    (
        "torch.nn:Module._apply",
        "models.closed, models.encoders.base, models.losses, models.prompt_learner, integrations.torchmetrics",
    ),
    ("torch.nn:Module._load_from_state_dict", "models.closed, models.losses"),
    ("torch.nn:Module._replicate_for_data_parallel", "models.closed, models.losses"),
    ("torch:_C._functorch.peek_interpreter_stack", "_util.modules"),
    ("torch:ops.aten.silu_backward", "models.encoders.clip_vit"),
    ("torch._utils:_rebuild_tensor_v2", "weights.tensor_files"),
    ("torch._utils:_rebuild_parameter", "weights.tensor_files"),
    ("open_clip.transformer:QuickGELU", "models.encoders.clip_vit, models.encoders.build"),
    ("open_clip.transformer:ResidualAttentionBlock", "models.encoders.clip_vit"),
    (
        "open_clip.modified_resnet:ModifiedResNet",
        "models.encoders.clip_resnet, models.encoders.fold, models.encoders.strips",
    ),
    ("open_clip.modified_resnet:Bottleneck", "models.encoders.fold, models.encoders.strips"),
    ("open_clip.constants:HF_SAFE_WEIGHTS_NAME", "models.encoders.open_clip_tags"),
    ("timm.models.vision_transformer:Attention", "models.encoders.transformer"),
    ("timm.models.vision_transformer:Block", "models.encoders.transformer"),
    ("timm.models.vision_transformer:VisionTransformer._pos_embed", "models.encoders.transformer"),
    ("timm.models.efficientnet:EfficientNet", "models.encoders.fold"),
    ("timm.models.efficientnet:EfficientNetFeatures", "models.encoders.fold"),
    ("timm.models._efficientnet_blocks:DepthwiseSeparableConv", "models.encoders.fold"),
    ("timm.models._efficientnet_blocks:InvertedResidual", "models.encoders.fold"),
    ("timm.layers:Conv2dSame", "export.programs.tracing"),
    ("PIL.Image:OPEN", "images.opening, images.formats"),
    ("PIL.ImageFile:LOAD_TRUNCATED_IMAGES", "images.pillow"),
    ("PIL.ImageFile:ImageFile.load", "images.pillow"),
    ("PIL.TiffImagePlugin:TiffImageFile.load_prepare", "images.opening"),
    ("PIL.TiffImagePlugin:TiffImageFile.load_end", "images.opening"),
    ("tarfile:EOFHeaderError", "images.sources.tar"),
    ("uvicorn.protocols.http.h11_impl:H11Protocol.on_response_complete", "apps.connections"),
    ("accelerate.state:AcceleratorState._shared_state", "finetune.processes"),
    ("accelerate.state:PartialState._shared_state", "finetune.processes"),
    ("accelerate.state:GradientState._shared_state", "finetune.processes"),
    ("torchmetrics:Metric._wrap_compute", "integrations.torchmetrics"),
    ("torchmetrics:Metric._apply", "integrations.torchmetrics"),
    ("torchmetrics:Metric._plot", "integrations.torchmetrics"),
]


def find(path):
    """The object that a path names; None where it is gone."""
    module, _, attributes = path.partition(":")
    found = importlib.import_module(module)
    for name in attributes.split("."):
        found = getattr(found, name, None)
        if found is None:
            return None
    return found


def sentence(path, user):
    library = path.partition(":")[0].partition(".")[0]
    version = getattr(importlib.import_module(library), "__version__", "of this Python")
    return f"{path} is gone from {library} {version}. perceptmetrics.{user} uses it: adapt it, or cap the version."


@pytest.mark.parametrize(("path", "user"), PRIVATE, ids=[path for path, _ in PRIVATE])
def test_is_where_it_was(path, user):
    pytest.importorskip(path.partition(":")[0].partition(".")[0])
    assert find(path) is not None, sentence(path, user)


def test_what_is_gone_is_named():
    assert find("torch:Tensor._gone") is None
    assert sentence("torch:Tensor._gone", "metric") == (
        f"torch:Tensor._gone is gone from torch {torch.__version__}. perceptmetrics.metric uses it: adapt it, or cap "
        "the version."
    )


@pytest.mark.parametrize("user", sorted({user for _, users in PRIVATE for user in users.split(", ")}))
def test_the_users_exist(user):
    assert importlib.util.find_spec(f"perceptmetrics.{user}"), f"perceptmetrics.{user} has moved: correct the list."


def test_the_blocks_of_open_clip_have_their_parts():
    """models.encoders.clip_vit replaces `attn` and `mlp.gelu`, and refuses blocks with a `ls_1` of weight."""
    transformer = importlib.import_module("open_clip.transformer")
    block = transformer.ResidualAttentionBlock(8, 2, act_layer=transformer.QuickGELU)
    assert isinstance(block.attn, nn.MultiheadAttention), "open_clip's attention is no longer PyTorch's."
    assert isinstance(block.ls_1, nn.Identity), "open_clip's blocks have another ls_1."
    assert isinstance(block.mlp.gelu, transformer.QuickGELU), "open_clip's blocks keep their activation elsewhere."


def test_timms_transformers_have_their_parts():
    """models.encoders.transformer takes the steps of `forward_features` one by one."""
    timm = importlib.import_module("timm")
    network = timm.create_model("vit_tiny_patch16_224", img_size=32)
    for name in ("patch_embed", "_pos_embed", "patch_drop", "norm_pre", "blocks", "norm"):
        assert hasattr(network, name), f"timm's VisionTransformer has no {name} any more: models.encoders.transformer."


def test_torchmetrics_has_its_state():
    """integrations.torchmetrics sets `_forward_cache` and changes `_defaults`."""
    torchmetrics = pytest.importorskip("torchmetrics")
    metric = torchmetrics.MeanMetric()
    for name in ("_forward_cache", "_defaults"):
        assert hasattr(metric, name), f"torchmetrics' Metric has no {name} any more: integrations.torchmetrics."


def test_an_archive_keeps_its_headers_in_a_list(tmp_path):
    """images.sources.tar empties `members`, so that a long archive does not fill the memory."""
    with tarfile.open(tmp_path / "empty.tar", "w") as archive:
        assert archive.members == [], "tarfile keeps its headers elsewhere: images.sources.tar."


def test_pillow_describes_how_it_decodes(tmp_path):
    """images.sixteen_bits and images.tiff set the raw mode in `image.tile`."""
    PIL.Image.new("RGB", (2, 2)).save(tmp_path / "image.png")
    with PIL.Image.open(tmp_path / "image.png") as image:
        codec, extents, _, raw_mode = image.tile[0]
    assert (codec, extents, raw_mode) == ("zip", (0, 0, 2, 2), "RGB"), (
        "Pillow's tiles have changed: images.sixteen_bits."
    )
