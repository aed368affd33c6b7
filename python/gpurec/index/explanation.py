"""Why a search was slow: what was chosen, what was done for each query, and how long each phase took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import SearchReport
from ..tables import Tabular
from ..types import TopK

__all__ = ["SearchExplanation"]

_MOST_QUERIES_SHOWN = 12


@dataclass(frozen=True)
class SearchExplanation(Tabular):
    """A search's answer, and what it took to find it.

    Attributes
    ----------
    answer : TopK
        What `search` returns for the same arguments, bit for bit.
    backend : str
    total_seconds : float
        Of the whole call.
    seconds : dict of float
        Of each phase of it.
    thread_seconds : dict of float
        What the threads were busy with in the phase "search", added up over them; what is missing to that
        phase's seconds times the number of threads they have waited.
    choices : dict of object arrays, shape (n_queries,)
        What each query was searched with: `precision`, `isa`, ...
    counts : dict of int64 arrays, shape (n_queries,)
        What each query cost: `tiles_scanned`, `candidates`, `rescored`, ...
    thresholds : float32 array, shape (n_queries,)
        What ruled items out when the scan of a query ended; -inf where nothing did.

    Notes
    -----
    docs/explain_search.md says what each word means and what to do about a slow search. As a table
    (`to_dicts`, `to_polars`, `to_pandas`) an explanation has a row for each query.

    Examples
    --------
    >>> from gpurec import ItemIndex
    >>> explanation = ItemIndex([[3.0], [1.0], [5.0]]).explain_search([[1.0]], k=2)
    >>> explanation.answer.rows.tolist()
    [[2, 0]]
    >>> explanation.counts["candidates"].tolist()
    [3]
    """

    answer: TopK
    backend: str
    total_seconds: float
    seconds: dict[str, float]
    thread_seconds: dict[str, float]
    choices: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    thresholds: np.ndarray

    @classmethod
    def of(cls, answer: TopK, backend: str, total_seconds: float, report: SearchReport) -> SearchExplanation:
        """The explanation of an answer by the report of its search."""
        return cls(
            answer,
            backend,
            total_seconds,
            report.seconds,
            report.thread_seconds,
            report.choices,
            report.counts,
            report.thresholds,
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything but the answer in plain Python values; a threshold that is not finite is None.

        Examples
        --------
        >>> from gpurec import ItemIndex
        >>> plain = ItemIndex([[3.0], [1.0]]).explain_search([[1.0]], k=2).to_dict()
        >>> plain["queries"][0]["candidates"], plain["n_queries"], plain["k"]
        (2, 1, 2)
        """
        queries = self.to_dicts()
        for query in queries:
            if not np.isfinite(query["threshold"]):
                query["threshold"] = None
        return {
            "n_queries": len(self),
            "k": self.answer.rows.shape[1],
            "version": self.answer.version,
            "backend": self.backend,
            "total_seconds": self.total_seconds,
            "seconds": dict(self.seconds),
            "thread_seconds": dict(self.thread_seconds),
            "queries": queries,
        }

    def _table(self) -> dict[str, np.ndarray]:
        return {
            "query": np.arange(len(self)),
            **self.choices,
            **self.counts,
            "threshold": self.thresholds,
        }

    def __len__(self) -> int:
        return len(self.answer)

    def __str__(self) -> str:
        table = self._table()
        same = [name for name, column in self.choices.items() if len(set(column.tolist())) == 1]
        chosen = ", ".join(f"{name} {table.pop(name)[0]}" for name in same)
        for name, counts in self.counts.items():
            if not counts.any():
                del table[name]
        # Where there are many queries, those that cost most tell why all of them took so long.
        cost = sum(table[name] for name in ("items_scanned", "candidates", "rescored") if name in table)
        shown = np.sort(np.argsort(-np.broadcast_to(cost, len(self)), kind="stable")[:_MOST_QUERIES_SHOWN])
        rest = len(self) - len(shown)
        title = f"the best {self.answer.rows.shape[1]} for {len(self)} queries on {self.backend}: "
        title += f"{self.total_seconds * 1e3:.3f} ms"
        blocks = [f"{title}\n{chosen}" if chosen else title, _of_phases("phase", self.seconds)]
        if self.thread_seconds:
            blocks.append(_of_phases("search, all threads", self.thread_seconds))
        rows = [list(table), *zip(*(map(_text, column[shown].tolist()) for column in table.values()))]
        blocks.append(_aligned(rows) + (f"\n{rest} queries that cost less are not shown" if rest else ""))
        return "\n\n".join(blocks)


def _of_phases(title: str, seconds: dict[str, float]) -> str:
    return _aligned([[title, "ms"], *([phase, f"{value * 1e3:.3f}"] for phase, value in seconds.items())])


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _aligned(rows: list[Any]) -> str:
    """Cells as columns, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ("  ".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:])) for row in rows)
    return "\n".join(f"{row[0]:<{widths[0]}}  {line}".rstrip() for row, line in zip(rows, lines))
