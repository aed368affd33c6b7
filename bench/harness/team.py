"""Several contenders that hold the same items and answer the same queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import gpurec

from .contenders import CONTENDERS, OURS, REFERENCE
from .ours import Found
from .workers import Worker

__all__ = ["Team", "agreement"]

# Answers are compared on this many queries; float32 libraries may disagree where scores are an ulp apart.
_N_ANSWERS, _AGREEMENT = 64, 0.998
# The reference backend is slow: it answers this many.
_N_REFERENCE = 16
_MOST_CALLS = 400


class Team:
    """Starts the processes of the contenders and hands each the same files.

    Parameters
    ----------
    names : sequence of str
        gpurec comes first: the others are held to its answers, and it to those of the reference backend.
    n_threads : int
    folder : Path
        For answers on their way.
    **files : Path
        `items`, `queries` and, for jobs with filters, `filters`.
    """

    def __init__(self, names: Sequence[str], n_threads: int, folder: Path, **files: Path) -> None:
        self._folder, self._files = folder, files
        self._workers: dict[str, list[Worker]] = {}
        self.build_seconds: dict[str, float] = {}
        self._expected: dict[tuple[str, int], Found] = {}
        paths = {name: str(file) for name, file in files.items()}
        for name in names:
            self._workers[name] = [Worker(name, n_threads) for _ in range(CONTENDERS[name].processes)]
            self.build_seconds[name] = min(worker.ask("build", **paths) for worker in self._workers[name])
        self._reference = Worker(REFERENCE, n_threads)
        self._reference.ask("build", **paths)

    @property
    def versions(self) -> dict[str, str]:
        return {name: workers[0].version for name, workers in self._workers.items()}

    @property
    def n_bytes(self) -> dict[str, int]:
        """Memory of the indices of those contenders that tell."""
        held = {name: workers[0].ask("n_bytes") for name, workers in self._workers.items()}
        return {name: n_bytes for name, n_bytes in held.items() if n_bytes is not None}

    def prepare(
        self, job: str, n_queries: int, k: int, turn_seconds: float, only: Sequence[str] | None = None
    ) -> tuple[dict[str, Callable[[], float]], dict[str, dict[str, Any]]]:
        """Tune every contender that can do the job, or those named, and check their answers.

        Returns
        -------
        turns : dict
            One function a process, for `take_turns`; `seconds` reads its figures.
        notes : dict
            Of each contender its setting and `agreement`, the share of places of its answer that are right;
            of gpurec also `recall`, the share of places with row and score of the reference backend.

        Raises
        ------
        RuntimeError
            If an answer is another one, of gpurec's in any bit: nobody is timed on a wrong answer.
        """
        size: dict[str, Any] = {"job": job, "n_queries": n_queries, "k": k}
        turns: dict[str, Callable[[], float]] = {}
        notes: dict[str, dict[str, Any]] = {}
        ours: Found | None = None
        for name, workers in self._workers.items():
            if (only is not None and name not in only) or not workers[0].ask("can", job=job):
                continue
            for i, worker in enumerate(workers):
                tuned = worker.ask("tune", **size)
                n_calls = min(_MOST_CALLS, max(1, round(turn_seconds / tuned["seconds"])))
                turns[f"{job}/{name}/{i}"] = partial(worker.ask, "turn", n_calls=n_calls, **size)
            found = self._answer(workers[0], _N_ANSWERS, **size)
            ours = found if ours is None else ours
            notes[name] = {"setting": tuned["setting"]} | self._check(name, found, ours, size)
        return turns, notes

    def seconds(self, job: str, figures: Mapping[str, list[float]]) -> dict[str, list[float]]:
        """Of each contender that did the job, the rounds of its fastest process."""
        found: dict[str, list[list[float]]] = {}
        for turn, rounds in figures.items():
            if turn.startswith(f"{job}/"):
                found.setdefault(turn.split("/")[1], []).append(rounds)
        return {name: min(processes, key=median) for name, processes in found.items()}

    def close(self) -> None:
        for workers in [*self._workers.values(), [self._reference]]:
            for worker in workers:
                worker.close()

    def _check(self, name: str, found: Found, ours: Found, size: dict[str, Any]) -> dict[str, float]:
        notes = {}
        if CONTENDERS[name].package == OURS:
            agreed = _equal_places(found, ours)
            notes["recall"] = _equal_places(found, self._right_answer(size["job"], size["k"]))
            least = min(agreed, notes["recall"])
            bound = 1.0
        else:
            items, queries = (np.load(self._files[name], mmap_mode="r") for name in ("items", "queries"))
            agreed = least = agreement(found[0], ours, queries, items)
            bound = _AGREEMENT
        if least < bound:
            raise RuntimeError(f"[bench] {least:.4f} of the places of {name} are right in {size}")
        return {"agreement": agreed, **notes}

    def _right_answer(self, job: str, k: int) -> Found:
        """What the reference backend answers to the first queries."""
        if (job, k) not in self._expected:
            self._expected[job, k] = self._answer(self._reference, _N_REFERENCE, job, _N_REFERENCE, k)
        return self._expected[job, k]

    def _answer(self, worker: Worker, n_answers: int, job: str, n_queries: int, k: int) -> Found:
        file = self._folder / "answer.npz"
        worker.ask("answer", job=job, n_queries=n_queries, k=k, n_answers=n_answers, file=str(file))
        with np.load(file) as found:
            return found["rows"][:n_answers], found["scores"][:n_answers]


def _equal_places(found: Found, expected: Found) -> float:
    """Share of places with the expected row and the bits of the expected score."""
    n = min(len(found[0]), len(expected[0]))
    scores, others = (np.ascontiguousarray(x[1][:n], np.float32).view(np.uint32) for x in (found, expected))
    return float(((found[0][:n] == expected[0][:n]) & (scores == others)).mean())


def agreement(rows: np.ndarray, ours: Found, queries: np.ndarray, items: np.ndarray) -> float:
    """Share of the places of another library's answer that are right.

    Parameters
    ----------
    rows : int64 array, shape (n, k)
        Its rows for the first n queries.
    ours : tuple of arrays
        Rows and canonical scores of gpurec, likewise.
    queries : float32 array, shape (at least n, d)
    items : float32 array, shape (n_items, d)

    Returns
    -------
    float
        A row is right that is one of ours or scores what our last place scores, for only gpurec promises
        which of equal ones it returns; a row that an answer repeats counts once.

    Examples
    --------
    >>> items = np.float32([[3], [1], [1], [0]])
    >>> ours = np.array([[0, 1]]), np.float32([[3, 1]])
    >>> query = np.float32([[1]])
    >>> [agreement(np.array([rows]), ours, query, items) for rows in ([2, 0], [0, 3], [0, 0])]
    [1.0, 0.5, 0.5]
    """
    right = 0
    for i in range(len(rows)):
        found = np.unique(rows[i])
        others = found[~np.isin(found, ours[0][i])]
        right += len(found) - len(others)
        if len(others) > 0:
            query = np.broadcast_to(queries[i], (len(others), queries.shape[1]))
            right += int((gpurec.score_pairs(query, items[others]) == ours[1][i, -1]).sum())
    return right / rows.size
