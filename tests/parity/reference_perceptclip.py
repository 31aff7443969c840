"""PerceptCLIP as released, built from transformers, peft and torchvision; nothing of perceptmetrics takes part.

Zalcher et al., "Don't Judge Before You CLIP", TMLR 2025. Downloads nothing: the weights are the caller's.
"""

from __future__ import annotations

import warnings

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
LAYERS = 24
WIDTH = 1024
MLP_WIDTH = 4096
EMBEDDING = 768
RANK = 16
PATCH = 14
TOKENS = (224 // PATCH) ** 2 + 1
TENSORS = 542


class Head(nn.Module):
    """Three linear layers on the projected feature."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(EMBEDDING, 512)
        self.fc2 = nn.Linear(512, 256)
        self.fc3 = nn.Linear(256, outputs)
        self.dropout = nn.Dropout(0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Raw outputs (N, outputs) of features (N, 768)."""
        hidden = self.dropout(self.fc1(features).relu())
        return self.fc3(self.dropout(self.fc2(hidden).relu()))


class ReferencePerceptClip(nn.Module):
    """The vision tower with LoRA on queries, keys and values, the projection and the head."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.model = _tower_with_lora()
        self.proj = nn.Linear(WIDTH, EMBEDDING, bias=False)
        self.mlp = Head(outputs)

    def features(self, pixels: Tensor) -> Tensor:
        """Projected features (N, 768) of normalised pixels (N, 3, 224, 224)."""
        return self.proj(self.model(pixel_values=pixels).pooler_output)

    def forward(self, pixels: Tensor) -> Tensor:
        """Raw outputs (N, outputs) of normalised pixels (N, 3, 224, 224)."""
        return self.mlp(self.features(pixels))


def _tower_with_lora() -> nn.Module:
    from peft import LoraConfig, get_peft_model  # takes seconds, which tests of other methods need not wait
    from transformers import CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=MLP_WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=16,
        patch_size=PATCH,
        image_size=224,
        hidden_act="quick_gelu",
        projection_dim=EMBEDDING,
    )
    lora = LoraConfig(r=RANK, lora_alpha=8, lora_dropout=0.1, target_modules=["q_proj", "k_proj", "v_proj"])
    vision = CLIPVisionModel(config)
    with warnings.catch_warnings():
        # peft asks transformers 5.23 by a name that is deprecated there.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        # Up to transformers 4 the tower is one level further in.
        return get_peft_model(getattr(vision, "vision_model", vision), lora)


def released_shapes(outputs: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in a released file."""
    shapes: dict[str, tuple[int, ...]] = {"proj.weight": (EMBEDDING, WIDTH)}

    def linear(name: str, inputs: int, units: int) -> None:
        shapes.update({f"{name}.weight": (units, inputs), f"{name}.bias": (units,)})

    def norm(name: str) -> None:
        shapes.update({f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)})

    for number, (inputs, units) in enumerate([(EMBEDDING, 512), (512, 256), (256, outputs)], start=1):
        linear(f"mlp.fc{number}", inputs, units)
    tower = "model.base_model.model"
    shapes[f"{tower}.embeddings.class_embedding"] = (WIDTH,)
    shapes[f"{tower}.embeddings.patch_embedding.weight"] = (WIDTH, 3, PATCH, PATCH)
    shapes[f"{tower}.embeddings.position_embedding.weight"] = (TOKENS, WIDTH)
    norm(f"{tower}.pre_layrnorm")
    norm(f"{tower}.post_layernorm")
    for layer in (f"{tower}.encoder.layers.{number}" for number in range(LAYERS)):
        for projection in (f"{layer}.self_attn.{kind}_proj" for kind in "qkv"):
            linear(f"{projection}.base_layer", WIDTH, WIDTH)
            shapes[f"{projection}.lora_A.default.weight"] = (RANK, WIDTH)
            shapes[f"{projection}.lora_B.default.weight"] = (WIDTH, RANK)
        linear(f"{layer}.self_attn.out_proj", WIDTH, WIDTH)
        linear(f"{layer}.mlp.fc1", WIDTH, MLP_WIDTH)
        linear(f"{layer}.mlp.fc2", MLP_WIDTH, WIDTH)
        norm(f"{layer}.layer_norm1")
        norm(f"{layer}.layer_norm2")
    return shapes


def build_reference(outputs: int) -> ReferencePerceptClip:
    """The model without weights, on the meta device, in evaluation mode; `load_released` gives it weights.

    Raises:
        RuntimeError: The installed transformers or peft do not build the released layout.
    """
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        model = ReferencePerceptClip(outputs).eval().requires_grad_(False)
    expected = released_shapes(outputs)
    found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if found != expected or len(found) != TENSORS:
        odd = sorted(set(found.items()) ^ set(expected.items()))[:4]
        raise RuntimeError(f"Expected the {TENSORS} tensors of the release, got {len(found)}; differing: {odd}.")
    return model


def load_released(state: dict[str, Tensor]) -> ReferencePerceptClip:
    """The model with the given released weights, whose memory it shares."""
    model = build_reference(outputs=len(state["mlp.fc3.bias"]))
    model.load_state_dict(state, assign=True)
    # Not in the file, hence still on the meta device.
    for module in model.modules():
        if hasattr(module, "position_ids"):
            module.position_ids = torch.arange(TOKENS)[None]
    return model.requires_grad_(False)


_TO_PIXELS = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]


def preprocess_whole(image: Image.Image) -> Tensor:
    """Centre 224 x 224 of the image at short side 224 as normalised pixels (3, 224, 224)."""
    steps = [transforms.Resize(224), transforms.CenterCrop(224), *_TO_PIXELS]
    return transforms.Compose(steps)(image.convert("RGB"))


def preprocess_crops(image: Image.Image, count: int = 15, seed: int = 0) -> Tensor:
    """Random crops of the image resized to height 512 and width 384: normalised pixels (count, 3, 224, 224)."""
    resized = transforms.Resize((512, 384))(image.convert("RGB"))
    crop = transforms.Compose([transforms.RandomCrop(224), *_TO_PIXELS])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.stack([crop(resized) for _ in range(count)])


@torch.inference_mode()
def quality(model: ReferencePerceptClip, image: Image.Image, count: int = 15, seed: int = 0) -> Tensor:
    """Quality, about 0 to 1: a scalar."""
    return (model(preprocess_crops(image, count, seed)).mean() + 6.52) / 9.63


@torch.inference_mode()
def memorability(model: ReferencePerceptClip, image: Image.Image) -> Tensor:
    """Memorability: a scalar."""
    return model(preprocess_whole(image)[None])[0, 0]


@torch.inference_mode()
def emotion(model: ReferencePerceptClip, image: Image.Image) -> Tensor:
    """Probabilities (8,) in EmoSet's order."""
    return model(preprocess_whole(image)[None])[0].softmax(dim=0)
