"""Write the tables of recipes and settings, generated from the package, into finetune.md.

python docs/finetune_tables.py
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, get_origin, get_type_hints

from perceptmetrics.finetune import recipe_groups
from perceptmetrics.finetune.recipe import (
    AugmentationRecipe,
    DataRecipe,
    EncoderRecipe,
    HeadRecipe,
    OptimizerRecipe,
    PromptsRecipe,
    Recipe,
    ReportRecipe,
    SplitRecipe,
)
from perceptmetrics.spec import CentreCropView, CropsView, FragmentsView, LoraSpec, SalientView, WholeView

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PAGE = Path(__file__).parent / "finetune.md"
SECTIONS: dict[str, type[DataclassInstance]] = {
    "data": DataRecipe,
    "encoder": EncoderRecipe,
    "lora": LoraSpec,
    "head": HeadRecipe,
    "prompts": PromptsRecipe,
    "augmentation": AugmentationRecipe,
    "optimizer": OptimizerRecipe,
    "splits": SplitRecipe,
    "report": ReportRecipe,
}
VIEWS = (WholeView, CentreCropView, CropsView, SalientView, FragmentsView)


def recipe_tables() -> str:
    """The recipes by group, in Markdown."""
    lines = []
    for title, recipes in recipe_groups().items():
        lines += [f"**{title}**", "", "| recipe | what it is | trains | encoder | data |", "|---|---|---|---|---|"]
        for recipe in recipes:
            data = ", ".join(f"`{entry.name}`" for entry in recipe.data)
            lines.append(f"| `{recipe.name}` | {recipe.summary} | {recipe.train} | {recipe.starts_from} | {data} |")
        lines.append("")
    return "\n".join(lines)


def setting_tables() -> str:
    """Every key of a recipe with its meaning, from the docstrings, in Markdown."""
    parts = [_table("", Recipe)]
    parts += [f"`{name}:`\n\n{_table(f'{name}.', section)}" for name, section in SECTIONS.items()]
    lines = ["`views:`, a list of any of these", "", "| kind | keys |", "|---|---|"]
    for view in VIEWS:
        keys = " ".join(f"`{key}`: {meaning}" for key, meaning in meanings(view).items())
        lines.append(f"| `{view.kind}` | {_cell(f'{_summary(view)} {keys}')} |")
    return "\n".join([*parts, *lines, ""])


def meanings(section: type[DataclassInstance]) -> dict[str, str]:
    """The description of each field in the docstring."""
    listed = inspect.getdoc(section).partition("Attributes:\n")[2]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8,}.*)*)", listed, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _table(prefix: str, section: type[DataclassInstance]) -> str:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    texts, hints = meanings(section), get_type_hints(section)
    lines += [
        f"| `{prefix}{field.name}` | {_default(field)} | {_cell(texts[field.name] + _choices(hints[field.name]))} |"
        for field in dataclasses.fields(section)
    ]
    return "\n".join(lines) + "\n"


def _choices(hint: object) -> str:
    """The values that a field takes, if its type lists them."""
    members = [member for member in (hint, *get_args(hint)) if get_origin(member) is Literal]
    return f" One of {', '.join(f'`{choice}`' for choice in get_args(members[0]))}." if members else ""


def _default(field: dataclasses.Field[object]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return "`{}`" if field.default_factory is dict else "see below"
    if field.default is dataclasses.MISSING:
        return "required"
    value = field.default
    if value is None or isinstance(value, bool):
        return f"`{str(value).lower().replace('none', 'null')}`"
    return f"`[{', '.join(map(str, value))}]`" if isinstance(value, tuple) else f"`{value}`"


def _summary(section: type[object]) -> str:
    return inspect.getdoc(section).partition("\n")[0]


def _cell(text: str) -> str:
    text = re.sub(r"`([^`]*\|[^`]*)`", r"<code>\1</code>", text)  # a backslash in front of | is shown inside backticks
    return re.sub(r"\bNone\b", "null", text.replace("|", "&#124;"))


TABLES = {"recipes": recipe_tables, "settings": setting_tables}


def with_tables(text: str) -> str:
    """Insert the tables between their markers in a document."""
    for name, table in TABLES.items():
        start, end = f"<!-- {name}:start -->\n", f"<!-- {name}:end -->"
        before, rest = text.split(start)
        text = before + start + table() + end + rest.split(end)[1]
    return text


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
