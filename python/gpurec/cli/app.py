"""The commands and their options, parsed by typer; nothing is computed here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
import typer.main

from .commands import demo, doctor, evaluate, explain, fit, recommend, similar, tune
from .output import is_terminal, say

__all__ = ["run_command"]

_COMMANDS = (demo, fit, recommend, similar, explain, evaluate, tune, doctor)


def run_command(arguments: list[str]) -> int:
    """Run one command; errors of the options and of the command come out as they are.

    Parameters
    ----------
    arguments : list of str
        What stands after `gpurec`; nothing at all asks for the help.

    Returns
    -------
    int
        0, or the exit code that the command chose.
    """
    # The plain help is wrapped as well, so without a terminal it gets all the room that it could want.
    terminal = is_terminal(sys.stdout)
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode="rich" if terminal else None,
        context_settings={"help_option_names": ["-h", "--help"]}
        | ({} if terminal else {"terminal_width": 10_000, "max_content_width": 10_000}),
    )
    app.callback()(_gpurec)
    for command in _COMMANDS:
        app.command()(command)
    root = typer.main.get_command(app)
    try:
        # Typer's own way of running prints errors in boxes and turns Ctrl-C into one of them.
        with root.make_context("gpurec", arguments or ["--help"]) as context:
            root.invoke(context)
    except typer.Exit as finished:
        return finished.exit_code
    return 0


def _print_version(asked: bool) -> None:
    if asked:
        from .. import __version__

        say(f"gpurec {__version__}")
        raise typer.Exit


def _gpurec(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Exact, certified top-k scoring and a real-time recommender.

    `--debug`, anywhere, shows the trace of an error.
    """
