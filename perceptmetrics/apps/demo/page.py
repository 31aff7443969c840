"""The page in the browser: Gradio components around a `Studio`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perceptmetrics._util.version import __version__
from perceptmetrics.errors import MissingExtraError

try:
    import gradio
except ImportError as error:
    raise MissingExtraError("The web demo", "demo") from error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perceptmetrics.apps.demo.studio import Studio

__all__ = ["SYSTEM_FONTS", "build_page", "theme"]

SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_MONOSPACED = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace")
_KEEP_SECONDS = 3600  # uploads


def theme() -> Any:
    """Colours and fonts; no font is downloaded."""
    return gradio.themes.Default(primary_hue="blue", font=SYSTEM_FONTS, font_mono=_MONOSPACED).set(
        # Gradio's own greys are too faint to read.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )


def build_page(studio: Studio, examples: Sequence[tuple[Path, str]] = ()) -> Any:
    """Build the page.

    Args:
        studio: Scores, explains and compares the uploads.
        examples: Example images to click, with their captions.

    Returns:
        `gradio.Blocks`.
    """
    page = gradio.Blocks(
        title="perceptmetrics", analytics_enabled=False, delete_cache=(_KEEP_SECONDS, _KEEP_SECONDS), fill_width=False
    )
    with page:
        gradio.Markdown("# perceptmetrics\nScores of how people perceive images, and explanations of them.")
        if not studio.ready:
            gradio.HTML(studio.scores(["none"], []))
        with gradio.Tab("Score"):
            _score_tab(studio, examples)
        with gradio.Tab("Explain"):
            _explain_tab(studio)
        with gradio.Tab("Compare"):
            _compare_tab(studio)
        with gradio.Tab("Metrics"):
            gradio.HTML(studio.catalogue())
        gradio.Markdown(f"perceptmetrics {__version__}. Uploaded images stay on this machine.")
    return page


def _score_tab(studio: Studio, examples: Sequence[tuple[Path, str]]) -> None:
    chosen = _metrics(studio)
    files = _file_input(label="Images", file_count="multiple", elem_id="score-files", height=160)
    if examples:
        shown = [(str(path), label) for path, label in examples]
        gradio.Markdown("Or choose an example:")
        gallery = gradio.Gallery(
            shown,
            show_label=False,
            columns=len(shown),
            height="auto",
            allow_preview=False,
            object_fit="cover",
            elem_id="examples",
            interactive=False,
            buttons=[],
        )

        def choose(event: gradio.SelectData) -> list[str]:
            return [shown[event.index][0]]

        gallery.select(choose, None, files, api_visibility="private")
    answer = gradio.HTML(elem_id="scores")
    for changed in (files, chosen):
        changed.change(studio.scores, [files, chosen], answer, api_visibility="private", show_progress="minimal")


def _explain_tab(studio: Studio) -> None:
    metric = gradio.Dropdown(
        studio.ready, value=next(iter(studio.ready), None), label="Metric", elem_id="explain-metric"
    )
    file = _file_input(label="Image", elem_id="explain-file", height=160)
    answer = gradio.HTML(elem_id="explanation")
    for changed in (file, metric):
        changed.change(studio.explanation, [file, metric], answer, api_visibility="private", show_progress="minimal")


def _compare_tab(studio: Studio) -> None:
    chosen = _metrics(studio)
    with gradio.Row():
        first = _file_input(label="First image", elem_id="first-file", height=160)
        second = _file_input(label="Second image", elem_id="second-file", height=160)
    answer = gradio.HTML(elem_id="comparison")
    for changed in (first, second, chosen):
        changed.change(
            studio.comparison, [first, second, chosen], answer, api_visibility="private", show_progress="minimal"
        )


def _metrics(studio: Studio) -> Any:
    return gradio.CheckboxGroup(
        studio.ready,
        value=studio.suggested,
        label="Metrics",
        info="Metrics whose weights are on this machine. The tab Metrics lists the others.",
    )


def _file_input(**options: Any) -> Any:
    """An input for files that visitors upload. Gradio's own would also download the addresses that a request names."""
    file: Any = gradio.File(**options)
    store = file.async_move_resource_to_block_cache

    async def store_upload(path: Any) -> Any:
        if "://" in str(path):
            raise gradio.Error("Upload the image; the demo downloads nothing.")
        return await store(path)

    file.async_move_resource_to_block_cache = store_upload  # a class of our own would make Gradio write a stub file
    return file
