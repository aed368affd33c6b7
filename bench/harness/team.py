"""Several contenders that hold the same items and answer the same queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from .contenders import CONTENDERS
from .workers import Worker

__all__ = ["OURS", "Team"]

OURS = "gpurec"
# Answers are compared on this many queries; float32 libraries may disagree where scores are an ulp apart.
_N_ANSWERS, _AGREEMENT = 64, 0.998
_MOST_CALLS = 400


class Team:
    """Starts the processes of the contenders and hands each the same files.

    Parameters
    ----------
    names : sequence of str
        gpurec comes first: the others are held to its answers.
    n_threads : int
    folder : Path
        For answers on their way.
    **files : Path
        `items`, `queries` and, for jobs with filters, `filters`.
    """

    def __init__(self, names: Sequence[str], n_threads: int, folder: Path, **files: Path) -> None:
        self._folder = folder
        self._workers: dict[str, list[Worker]] = {}
        self.build_seconds: dict[str, float] = {}
        paths = {name: str(file) for name, file in files.items()}
        for name in names:
            self._workers[name] = [Worker(name, n_threads) for _ in range(CONTENDERS[name].processes)]
            self.build_seconds[name] = min(worker.ask("build", **paths) for worker in self._workers[name])

    @property
    def versions(self) -> dict[str, str]:
        return {name: workers[0].version for name, workers in self._workers.items()}

    def prepare(
        self, job: str, n_queries: int, k: int, turn_seconds: float, only: str | None = None
    ) -> tuple[dict[str, Callable[[], float]], dict[str, dict[str, Any]]]:
        """Tune every contender that can do the job, or the one named, and compare its answers with ours.

        Returns
        -------
        turns : dict
            One function a process, for `take_turns`; `seconds` reads its figures.
        notes : dict
            Of each contender, its setting and the share of our rows that it found.

        Raises
        ------
        RuntimeError
            If a contender's answer is another one: nobody is timed on a wrong answer.
        """
        size: dict[str, Any] = {"job": job, "n_queries": n_queries, "k": k}
        turns: dict[str, Callable[[], float]] = {}
        notes: dict[str, dict[str, Any]] = {}
        ours: np.ndarray | None = None
        for name, workers in self._workers.items():
            if only not in (None, name) or not workers[0].ask("can", job=job):
                continue
            for i, worker in enumerate(workers):
                tuned = worker.ask("tune", **size)
                n_calls = min(_MOST_CALLS, max(1, round(turn_seconds / tuned["seconds"])))
                turns[f"{job}/{name}/{i}"] = partial(worker.ask, "turn", n_calls=n_calls, **size)
            file = self._folder / "rows.npy"
            workers[0].ask("answer", n_answers=_N_ANSWERS, rows=str(file), **size)
            rows = np.load(file)
            ours = rows if ours is None else ours
            share = float(np.mean([len(np.intersect1d(a, b)) for a, b in zip(ours, rows)]) / k)
            if share < _AGREEMENT:
                raise RuntimeError(f"[bench] {name} and {OURS} agree on {share:.4f} of rows in {size}")
            notes[name] = {"agreement": share, "setting": tuned["setting"]}
        return turns, notes

    def seconds(self, job: str, figures: Mapping[str, list[float]]) -> dict[str, list[float]]:
        """Of each contender that did the job, the rounds of its fastest process."""
        found: dict[str, list[list[float]]] = {}
        for turn, rounds in figures.items():
            if turn.startswith(f"{job}/"):
                found.setdefault(turn.split("/")[1], []).append(rounds)
        return {name: min(processes, key=median) for name, processes in found.items()}

    def close(self) -> None:
        for workers in self._workers.values():
            for worker in workers:
                worker.close()
