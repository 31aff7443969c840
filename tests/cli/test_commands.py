"""All commands together: the same thing has the same name everywhere, and `python -m perceptmetrics` is the command."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from perceptmetrics.apps.cli import options
from perceptmetrics.apps.cli.app import COMMANDS, GROUPS, app
from perceptmetrics.export import convert, publish


def all_parameters() -> Iterator[tuple[str, Any]]:
    """Every argument and option of every command, with the name of its command."""
    root = typer.main.get_command(app)
    for name, command in root.commands.items():
        for inner, leaf in getattr(command, "commands", {"": command}).items():
            for parameter in leaf.params:
                yield f"{name} {inner}".strip(), parameter


def test_an_option_has_one_short_form_and_a_short_form_one_option() -> None:
    shorts: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    longs: dict[str, set[str]] = defaultdict(set)
    for _, parameter in all_parameters():
        if parameter.param_type_name == "option":
            names = [name for name in parameter.opts if name.startswith("--")]
            short = tuple(name for name in parameter.opts if not name.startswith("--"))
            for name in names:
                shorts[name].add(short)
            for name in short:
                longs[name].update(names)
    assert {name: found for name, found in longs.items() if len(found) > 1} == {}
    assert {name: found for name, found in shorts.items() if len(found) > 1} == {}
    assert longs["-o"] == {"--output"}
    assert longs["-m"] == {"--metric"}


def test_every_command_has_an_example_and_a_short_way_to_help() -> None:
    for panel in COMMANDS.values():
        for name, command in panel.items():
            for inner, leaf in (command if isinstance(command, dict) else {"": command}).items():
                assert f"`perceptmetrics {name} {inner}".strip() in inspect.getdoc(leaf), (name, inner)
    shown = CliRunner().invoke(app, ["study", "make", "-h"])
    assert (shown.exit_code, "Usage: " in shown.output) == (0, True)


def test_commands_are_shown_in_groups() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    places = [shown.index(f" {panel} ") for panel in COMMANDS]
    assert places == sorted(places)


def test_every_output_says_whether_it_is_a_file_or_a_folder() -> None:
    outputs = {command: parameter.help for command, parameter in all_parameters() if "--output" in parameter.opts}
    assert len(outputs) >= 12
    assert [command for command, text in outputs.items() if not {"file", "folder"} & set(text.lower().split())] == []


def test_a_format_is_chosen_by_format() -> None:
    names = {name for _, parameter in all_parameters() for name in parameter.opts}
    assert "--format" in names
    assert "--form" not in names


def test_a_command_and_its_function_have_one_name() -> None:
    names = {name for panel in COMMANDS.values() for name in panel}
    assert {"convert", "export", "publish", "finetune", "benchmark", "explain"} <= names
    assert set(GROUPS) == {name for panel in COMMANDS.values() for name in panel if isinstance(panel[name], dict)}
    assert convert.convert.__name__ == "convert"
    assert publish.publish.__name__ == "publish"
    assert "push" not in names


def test_fields_of_a_dataclass_become_options() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Base:
        device: Annotated[str, typer.Option(help="Device.")] = "auto"

    @dataclass(frozen=True, kw_only=True)
    class Own(Base):
        size: Annotated[int, typer.Option(min=1)] = 8

    seen = []

    def measure(name: str, *, own: Own) -> int:
        seen.append((name, own))
        return 3

    measure.__annotations__.update(own=Own)
    made = options.command(measure)
    assert list(inspect.signature(made).parameters) == ["name", "size", "device"]
    small = typer.Typer()
    small.command()(made)
    assert CliRunner().invoke(small, ["photo", "--size", "2"]).exit_code == 3
    assert seen == [("photo", Own(size=2))]
    assert CliRunner().invoke(small, ["photo", "--size", "0"]).exit_code == 2


def test_ctrl_c_ends_every_command_with_status_130() -> None:
    @options.command
    def waits() -> None:
        raise KeyboardInterrupt

    small = typer.Typer()
    small.command()(waits)
    result = CliRunner().invoke(small, [])
    assert result.exit_code == 130
    assert "Interrupted." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "out", "error"),
    [
        (["--help"], 0, "Usage: perceptmetrics [OPTIONS] COMMAND", ""),
        (["list", "lite*"], 0, "lite_iqa", ""),
        (["dataset", "check", "csv"], 2, "", "Usage: perceptmetrics dataset check"),
    ],
)
def test_python_m_perceptmetrics_is_the_command(arguments: list[str], status: int, out: str, error: str) -> None:
    result = python_m_perceptmetrics(*arguments)
    assert result.returncode == status
    assert out in result.stdout
    assert error in result.stderr


def test_a_refusal_is_one_line_of_a_real_process() -> None:
    result = python_m_perceptmetrics("score", "--samples", "-m", "lite_iqua")
    assert result.returncode == 2
    assert result.stdout == ""
    assert re.fullmatch(r"Error: No metric is named 'lite_iqua'\. Did you mean 'lite_iqa'.*\n", result.stderr)


def python_m_perceptmetrics(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "perceptmetrics", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
