"""Write the reference of the command line, which comes from the commands themselves, into commands.md.

python docs/command_reference.py
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from perceptmetrics.apps.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

PAGE = Path(__file__).parent / "commands.md"
HEAD = """# Reference of the command line

Written by `python docs/command_reference.py` from the commands; `perceptmetrics COMMAND --help` says the same. What the
commands are for is on the page [Command line](cli.md).
"""


def page() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    return "\n".join([HEAD, *(section(name, command) for name, command in commands(root, "perceptmetrics"))])


def commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    """All commands by their full names, in the order of `--help`."""
    for name in group.list_commands(None):  # type: ignore[arg-type] - these groups ask nothing of the context
        command = group.commands[name]
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def section(name: str, command: click.Command) -> str:
    """One command: what it does, arguments, options."""
    rows = [row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    usage = " ".join(metavar(part) for part in command.params if part.param_type_name == "argument")
    table = ["| | | without it |", "|---|---|---|", *rows] if rows else []
    said = inspect.cleandoc(command.help or "").replace("\x0c", "")
    title = name.removeprefix("perceptmetrics ")
    return "\n".join([f"## {title}", "", "`" + f"{name} {usage}".strip() + "`", "", said, "", *table, ""])


def metavar(argument: click.Parameter) -> str:
    """How an argument is written in the usage."""
    name = argument.metavar or argument.name.upper()
    several = "..." if argument.nargs == -1 else ""
    return f"{name}{several}" if argument.required else f"[{name}]{several}"


def row(parameter: click.Parameter) -> str:
    """One argument or option."""
    said = " ".join((getattr(parameter, "help", "") or "").split()).replace("|", "\\|")
    if parameter.param_type_name == "argument":
        return f"| `{metavar(parameter)}` | {said} | {'must be given' if parameter.required else ''} |"
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    return f"| {names} | {said} | {default(parameter)} |"


def default(option: click.Parameter) -> str:
    """What counts when an option is left out, where its text does not say it."""
    value = option.default
    if option.required:
        return "must be given"
    if value is None or value == [] or callable(value) or not getattr(option, "show_default", True):
        return ""
    if isinstance(value, bool):
        return "on" if value else ""
    return f"`{getattr(value, 'value', value)}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
