"""The journal of a tuning: a line of JSON for what is tuned, and one for each finished trial.

A line is written whole and made durable before the next trial begins, so whatever ends the process, no
finished trial is lost; a line that has no end was being written, and its trial is run again. Optuna has
storages too, but in those a trial that was running when the process died stays behind, and its number with
it; here the trial that is repeated is the same one, so a search that was stopped ends as one that was not.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ArtifactError
from .space import Space
from .trial import Trial

__all__ = ["KIND", "Journal"]

KIND = "gpurec tuning 1"

_MAX_BYTES = 1 << 28
_HEADER = json.dumps({"kind": KIND}).encode()[:-1]  # how every journal begins


class Journal:
    """The finished trials of a task, in memory or in a file too.

    Parameters
    ----------
    task : dict
        What is tuned, on which data; JSON can hold it. A file that is there must be of the same task.
    space : Space
        Where settings of trials lie.
    path : path, optional
        The file; it stays locked until `close`.

    Attributes
    ----------
    trials : list of Trial

    Raises
    ------
    ArtifactError
        If the file is of another task, damaged, no journal, or in use by another process.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> journal = Journal({"model": "ease"}, Space())
    >>> journal.append(Trial(0, "complete", {}, value=0.5))
    >>> len(journal.trials)
    1
    """

    def __init__(
        self, task: dict[str, Any], space: Space, path: str | os.PathLike[str] | None = None
    ) -> None:
        self.trials: list[Trial] = []
        self._file: int | None = None
        if path is None:
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._file = os.open(path, flags, 0o666)
        try:
            self._read(Path(path), json.loads(json.dumps(task)), space)
        except BaseException:
            self.close()
            raise

    def append(self, trial: Trial) -> None:
        """Add a trial; when this returns, it is on the disk."""
        if self._file is not None:
            self._write(trial.to_dict())
        self.trials.append(trial)

    def close(self) -> None:
        """Give the file free; harmless when it is so already."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, value: dict[str, Any]) -> None:
        assert self._file is not None
        line = memoryview(json.dumps(value, allow_nan=False).encode() + b"\n")
        while line:
            line = line[os.write(self._file, line) :]
        os.fsync(self._file)

    def _read(self, path: Path, task: dict[str, Any], space: Space) -> None:
        assert self._file is not None
        about = os.fstat(self._file)
        if not stat.S_ISREG(about.st_mode) or about.st_size > _MAX_BYTES:
            raise ArtifactError(f"[tune] expected a journal of at most {_MAX_BYTES} bytes at {path}")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArtifactError(
                f"[tune] expected a journal that no other process writes, got {path}; wait until it ends"
            ) from error
        with os.fdopen(os.dup(self._file), "rb") as stream:
            whole, _, torn = stream.read(_MAX_BYTES + 1).rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        if not lines:
            if not _HEADER.startswith(torn[: len(_HEADER)]):
                raise _foreign(path)
            os.ftruncate(self._file, 0)
            self._write({"kind": KIND, "task": task})
            _make_name_durable(path)
            return
        _compare(path, _line(path, 1, lines[0]), task)
        for number, line in enumerate(lines[1:]):
            try:
                self.trials.append(Trial.from_dict(_line(path, number + 2, line), number, space.ranges))
            except ValueError as error:
                _damaged(path, number + 2, str(error))
        if torn:
            os.ftruncate(self._file, about.st_size - len(torn))


def _line(path: Path, number: int, line: bytes) -> Any:
    def refuse(word: str) -> NoReturn:
        raise ValueError(word)

    try:
        return json.loads(line.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        _damaged(path, number, "JSON")


def _damaged(path: Path, number: int, expected: str) -> NoReturn:
    raise ArtifactError(
        f"[tune] expected {expected} in line {number} of {path}, got something else: the journal is damaged; "
        "do: remove the line and those after it, or choose a new folder"
    ) from None


def _foreign(path: Path) -> ArtifactError:
    return ArtifactError(f"[tune] expected a journal at {path}, got another file; choose a new path")


def _compare(path: Path, header: Any, task: dict[str, Any]) -> None:
    """Raise unless the header is of this task."""
    if not isinstance(header, dict) or header.get("kind") != KIND or not isinstance(header.get("task"), dict):
        raise _foreign(path)
    there = header["task"]
    for name in {**task, **there}:
        if there.get(name) != task.get(name):
            raise ArtifactError(
                f"[tune] expected to go on with the {name} of {path}, {there.get(name)!r:.80}, got "
                f"{task.get(name)!r:.80}; do: give the same one, or a new folder"
            )


def _make_name_durable(path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
