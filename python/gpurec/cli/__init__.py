"""The command line: `gpurec demo | fit | recommend | similar | evaluate | tune | doctor`."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from ..errors import GpurecError, import_extra

__all__ = ["main"]

_BAD_INPUT = 2
_INTERRUPTED = 128 + 2  # what a shell reports for a program that SIGINT has ended
_NO_READER = 128 + 13  # the same for SIGPIPE

# What bad input raises; any other error is ours, and its line says its type.
_EXPECTED = (GpurecError, ValueError, TypeError, OSError)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands after `gpurec`; those of the process when None.

    Raises
    ------
    SystemExit
        Always: 0 where all went well, 1 where `doctor` found something wrong, 2 for bad input (one line on
        stderr, the trace too with `--debug`), 130 after Ctrl-C, 141 where nobody reads the output any more.

    Notes
    -----
    Needs the extra `cli`. Nothing of it is imported before `main` runs, so that its absence is one line too.

    Examples
    --------
    >>> main(["--version"])
    Traceback (most recent call last):
    SystemExit: 0
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug, given = _take_debug(given)
    sys.exit(_exit_code(given, debug))


def _exit_code(arguments: list[str], debug: bool) -> int:
    try:
        import_extra("typer", "cli")
        import_extra("rich", "cli")
        from .app import run_command

        code = run_command(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk must show here, not while the interpreter shuts down
        return code
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BrokenPipeError:
        code = _NO_READER
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"gpurec: {_one_line(error)}", file=sys.stderr)
        code = _BAD_INPUT
    _discard_if_stuck()
    return code


def _take_debug(arguments: list[str]) -> tuple[bool, list[str]]:
    """Whether `--debug` stands anywhere before a lone `--`, and the other arguments."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    others = [argument for argument in options if argument != "--debug"]
    return len(others) < len(options), others + arguments[len(options) :]


def _one_line(error: Exception) -> str:
    if hasattr(error, "format_message"):  # typer's usage errors, whose class depends on its version
        text = error.format_message()
    elif isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.strerror}: {error.filename}"
    elif isinstance(error, _EXPECTED):
        text = str(error)
    else:
        text = f"unexpected {type(error).__name__}: {error}; do: --debug for the trace"
    return " ".join(text.split()) or type(error).__name__


def _discard_if_stuck() -> None:
    """Throw away output that cannot be written, so that the interpreter does not fail on it at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
