"""Write the model card of an exported metric: what the Hugging Face Hub shows, and what a user should know."""

from __future__ import annotations

import json
import math
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perceptmetrics.spec import MetricSpec

__all__ = ["interval_sentence", "loading_line", "model_card", "with_plots", "with_source"]

# Licences that the Hub knows by name; the terms of others are written out.
_LICENCES = frozenset(
    {"apache-2.0", "mit", "bsd-3-clause", "gpl-3.0", "openrail", "cc0-1.0"}
    | {f"cc-by{terms}-4.0" for terms in ("", "-sa", "-nc", "-nc-sa")}
)
_HEADINGS = {
    "srcc": "SRCC",
    "plcc": "PLCC",
    "plcc_logistic4": "PLCC, 4 parameters",
    "plcc_logistic5": "PLCC, 5 parameters",
    "krcc": "KRCC",
    "rmse": "RMSE",
    "rmse_logistic4": "RMSE, 4 parameters",
    "mse": "MSE",
    "binary_accuracy": "binary accuracy",
    "mean_average_precision": "mAP",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}
_TASKS = {
    "quality": "how good people find the quality of an image",
    "memorability": "how well people remember an image",
    "emotion": "which emotions an image evokes in people",
    "attribute": "how strongly people see attributes in an image",
    "aesthetics": "how beautiful people find an image",
    "alignment": "how well an image goes with its text",
    "preference": "which image of a text people prefer",
}
_LOADING = re.compile(r'create_metric\("(?:[^"\\]|\\.)*"\)')


def model_card(
    spec: MetricSpec,
    *,
    source: str,
    results: Mapping[str, Mapping[str, float]] | None = None,
    datasets: Sequence[str] = (),
    recipe: str = "",
    headline: str = "",
) -> str:
    """Write the model card of a metric.

    Args:
        spec: The metric.
        source: Argument of `create_metric` that loads it: a folder, or `"hub:organisation/name"`.
        results: Its agreement with people: statistics (`"srcc"`, `"plcc"`, ...) by data set.
        datasets: Names of the data sets that it was trained on, for the Hub.
        recipe: How it was trained, in YAML or in words.
        headline: How good it is, in words.

    Returns:
        Markdown with a YAML header for the Hub.
    """
    results = results or {}
    sections = {
        "How to use": _usage(spec, source),
        "What it predicts": _prediction(spec),
        "How it was made": _making(spec, recipe),
        "Evaluation": "\n\n".join(filter(None, (headline, _evaluation(results), interval_sentence(spec)))),
        "Limits and bias": spec.card.limits.strip() or _GENERAL_LIMITS,
        "Licence": spec.card.licence.strip(),
        "Citation": f"{spec.card.paper.strip()}\n\n<{spec.card.paper_url.strip()}>",
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    head = _front_matter(spec, results, datasets)
    return f"{head}\n\n# {spec.name}\n\n{spec.card.summary.strip()}\n\n{body}\n"


def loading_line(source: str) -> str:
    """The line of Python that loads a metric."""
    return f"create_metric({json.dumps(source, ensure_ascii=False)})"


def with_plots(card: str, plots: Sequence[str]) -> str:
    """Show plots at the end of a card's evaluation; those that it shows already stay where they are.

    Args:
        card: The card.
        plots: Paths of the plots beside it.
    """
    new = [plot for plot in plots if f"]({plot})" not in card]
    shown = "\n\n".join(f"![{PurePosixPath(plot).stem.replace('_', ' ')}]({plot})" for plot in new)
    return card.replace("\n## Limits and bias\n", f"\n{shown}\n\n## Limits and bias\n", 1) if shown else card


def with_source(card: str, source: str) -> str:
    """Replace the source in a card, for example by the Hub repository to which the metric is published."""
    return _LOADING.sub(lambda _: loading_line(source), card)


_GENERAL_LIMITS = (
    "The score estimates how the raters of the training data would have rated an image. It carries the biases of those "
    "raters, of their images and of the encoder's training data, and is unreliable for other kinds of images. Check it "
    "on labelled images of your own before you rely on it."
)


def _front_matter(spec: MetricSpec, results: Mapping[str, Mapping[str, float]], datasets: Sequence[str]) -> str:
    """The YAML header; strings are written as JSON, which is valid YAML."""
    licence = spec.card.licence.strip()
    known = licence.lower() in _LICENCES
    fields: dict[str, object] = {"license": licence.lower() if known else "other"}
    if not known:
        fields["license_name"] = "see-model-card"
        fields["license_link"] = "README.md"
    # The Hub has no tag for image regression; this one has the right widget and search.
    fields |= {"library_name": "perceptmetrics", "pipeline_tag": "image-classification", "tags": _tags(spec)}
    fields |= _base_model(spec)
    if datasets:
        fields["datasets"] = list(datasets)
    if index := _model_index(spec, results):
        fields["model-index"] = index
    if statistics := sorted({statistic for values in results.values() for statistic in values}):
        fields["metrics"] = statistics
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _model_index(spec: MetricSpec, results: Mapping[str, Mapping[str, float]]) -> list[dict[str, object]]:
    """The figures in the form in which the Hub shows and compares them; empty where none was measured."""
    entries = []
    for name, values in results.items():
        figures = [
            {"type": key, "name": _HEADINGS.get(key, key), "value": round(value, 6)}
            for key, value in values.items()
            if math.isfinite(value)
        ]
        if figures:
            data_set = {"name": name, "type": name.partition(":")[0]}
            task = {"type": "image-classification", "name": f"Prediction of {spec.task}"}
            entries.append({"task": task, "dataset": data_set, "metrics": figures})
    return [{"name": spec.name, "results": entries}] if entries else []


def _tags(spec: MetricSpec) -> list[str]:
    kind = "image-quality-assessment" if spec.task == "quality" else spec.task
    encoder = "clip" if spec.encoder.reads_text else spec.encoder.library
    return ["perceptmetrics", "human-perception", kind, encoder, *(["lora"] if spec.encoder.lora else [])]


def _base_model(spec: MetricSpec) -> dict[str, object]:
    """The encoder's repository, and its relation to the metric."""
    repo = spec.encoder.weights.hub_repo
    if repo is None:
        return {}
    relation = "adapter" if spec.encoder.lora is not None else "finetune"
    return {"base_model": repo, "base_model_relation": relation}


def _usage(spec: MetricSpec, source: str) -> str:
    labelled = spec.score.map.gives_probabilities
    calls = ['metric.predict("photo.jpg")  # label and probabilities'] if labelled else []
    return "\n".join(
        [
            "```bash",
            "pip install perceptmetrics",
            "```",
            "",
            "```python",
            "from perceptmetrics import create_metric",
            "",
            f"metric = {loading_line(source)}",
            'metric.score(["photo.jpg", "other.jpg"])  # paths, PIL images, arrays; no gradients',
            *calls,
            "metric(images)  # tensor (N, 3, H, W) in [0, 1], differentiable: also usable as a loss",
            "```",
        ]
    )


def _prediction(spec: MetricSpec) -> str:
    score = spec.score
    direction = "higher is better" if score.higher_is_better else "lower is better"
    rows = [
        ("predicts", _TASKS[spec.task]),
        ("range", f"{score.range_text}{'' if score.strict_range else ' (of the training data, not a bound)'}"),
        ("direction", direction),
        *([("outputs", ", ".join(score.labels))] if score.labels else [("outputs", "one number per image")]),
    ]
    return _table(("", ""), rows)


def _making(spec: MetricSpec, recipe: str) -> str:
    rows = [
        ("encoder", f"{spec.encoder.architecture} ({spec.encoder.library})"),
        ("trained", _trained(spec)),
        ("training data", spec.card.training_data.strip() or "not recorded"),
    ]
    block = f"\n\n```yaml\n{recipe.strip()}\n```" if recipe.strip() else ""
    return _table(("", ""), rows) + block


def _trained(spec: MetricSpec) -> str:
    """What was trained, in words."""
    lora, head = spec.encoder.lora, spec.head.describe_training()
    regressor = "" if spec.pool.regressor is None else "a regressor on the outputs of the prompts"
    parts = [part for part in (head, regressor) if part]
    if lora is not None:
        attention = ", ".join(lora.targets)
        encoder = f"LoRA of rank {lora.rank}, alpha {lora.alpha:g} on {attention} of the encoder's attention"
        return " and ".join([encoder, *parts])
    if spec.encoder.in_trained_file:
        return " and ".join(["the encoder", *parts])
    return f"{' and '.join(parts)} on the frozen encoder" if parts else "nothing"


def _evaluation(results: Mapping[str, Mapping[str, float]]) -> str:
    if not results:
        return "No results were recorded with this export. `perceptmetrics benchmark` computes them on labelled images."
    keys = list(dict.fromkeys(key for values in results.values() for key in values))
    rows = [(name, *(_number(values.get(key, math.nan)) for key in keys)) for name, values in results.items()]
    return _table(("data set", *(_HEADINGS.get(key, key) for key in keys)), rows)


def interval_sentence(spec: MetricSpec) -> str:
    """What the interval of a prediction is; empty where there is none."""
    interval = spec.interval
    if interval is None:
        return ""
    widths = zip(spec.score.labels or ("",), interval.half_widths, strict=True)
    around = ", ".join(f"{width:.3f}{f' for {label}' if label else ''}" for label, width in widths)
    return (
        f"Of {interval.images} images that were held out, {interval.coverage * 100:.0f} % lie within a distance from "
        f"their scores of {around}. perceptmetrics score --interval prints these intervals; expect them to cover "
        "about this fraction of new images of the same kind, rated by the same people."
    )


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "not measured"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
