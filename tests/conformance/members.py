"""Who takes part in the conformance suite, and how a difference is reported.

A backend joins by a line in `_ALL_MEMBERS`; every test of the suite then runs on it.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gpurec._native import device_module
from gpurec.backends import get
from gpurec.backends.base import Backend, Filters, RowSets
from gpurec.backends.cpu import CpuBackend, available_isas
from gpurec.backends.cuda import EmulatedCudaBackend
from gpurec.backends.cupy import CupyBackend
from gpurec.backends.reference import ReferenceBackend
from gpurec.backends.report import SearchReport
from gpurec.errors import BackendUnavailableError

from .cases import KINDS


def _works(name: str) -> bool:
    try:
        get(name)
    except BackendUnavailableError:
        return False
    return True


def _emulated() -> Backend:
    """The kernels on the emulator, whose schedule begins with the seed that the environment gives."""
    device_module("_cuda_emulated").set_seed(int(os.environ.get("GPUREC_EMULATED_SEED", "1")))
    return EmulatedCudaBackend()


_ALL_MEMBERS: dict[str, Callable[[], Backend]] = {
    "reference": ReferenceBackend,
    **{f"cpu-{isa}": partial(CpuBackend, isa=isa, n_threads=2) for isa in available_isas()},
    # What CuPy would be asked to do, done by NumPy, in pieces so small that there are several.
    "cupy-numpy": partial(CupyBackend, np, pairs_at_once=1 << 12),
    **({"cuda_emulated": _emulated} if device_module("_cuda_emulated") is not None else {}),
    **{name: partial(get, name) for name in ("cuda", "cupy") if _works(name)},
}
# A part of them, by names or as "few" those that share no code, "native" without the reference, where
# GPUREC_CONFORMANCE_MEMBERS says so.
_CHOSEN = os.environ.get("GPUREC_CONFORMANCE_MEMBERS", "")
if _CHOSEN in ("few", "native"):
    _FEW = tuple(f"cpu-{isa}" for isa in (*available_isas()[:1], "avx2", "serial"))
    _FEW = (*["reference"] * (_CHOSEN == "few"), *_FEW)
    _CHOSEN = ",".join(name for name in dict.fromkeys(_FEW) if name in _ALL_MEMBERS)
MEMBERS = {name: _ALL_MEMBERS[name] for name in (_CHOSEN.split(",") if _CHOSEN else _ALL_MEMBERS)}

# Instruction sets of the chosen members.
ISAS = tuple(name.removeprefix("cpu-") for name in MEMBERS if name.startswith("cpu-"))

# Six cases of each kind in the ordinary run; .ci/full asks for 10,000.
EXAMPLES = int(os.environ.get("GPUREC_CONFORMANCE_EXAMPLES", 6 * len(KINDS)))
CASES_PER_TEST = len(KINDS)
# Processes that divide the cases among themselves: "1/2" takes the first of two shares.
SHARE, N_SHARES = map(int, os.environ.get("GPUREC_CONFORMANCE_SHARE", "1/1").split("/"))

# What the searches of each member did, summed over all tests that went through `member_backend`.
COUNTS: dict[str, Counter[str]] = defaultdict(Counter)

# Precision and pruning of the indices that each search is made on, and others in turn.
_WAYS = (
    ("fp32", "auto"),
    ("int8", "auto"),
    ("int4", "auto"),
    ("bf16", "auto"),
    ("int8", ("head", "norms", "directions")),
)
_DRAWN_WAYS = itertools.cycle(
    itertools.product(
        ("int8", "fp32", "int4", "bf16"),
        ((), ("head",), ("norms",), ("directions",), ("norms", "directions")),
    )
)


class CountingBackend:
    """A backend that adds what each search reports about itself to `COUNTS`.

    A search of items that come with it is made in all the ways there are: as the backend would, which may be
    without an index, on an index, and for the first query alone. All must agree.
    """

    def __init__(self, member: str, backend: Backend) -> None:
        self._member, self._backend = member, backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def search(
        self,
        index: Any,
        queries: np.ndarray,
        k: int,
        filters: Filters,
        hint: RowSets | None = None,
        report: SearchReport | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        report = report or SearchReport()
        answer = self._backend.search(index, queries, k, filters, hint, report)
        COUNTS[self._member].update({name: int(counts.sum()) for name, counts in report.counts.items()})
        return answer

    def score_top_k(
        self,
        queries: np.ndarray,
        items: np.ndarray,
        k: int,
        metric: str,
        filters: Filters,
        hint: RowSets | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        rows, scores = self._backend.score_top_k(queries, items, k, metric, filters, hint)
        for precision, pruning in (*_WAYS, next(_DRAWN_WAYS)):
            index = self._backend.build_index(items, metric, precision=precision, pruning=pruning)
            indexed = self.search(index, queries, k, filters, hint)
            way = f"without and with an index in {precision}, pruning {pruning}"
            assert np.array_equal(rows, indexed[0]), f"the rows differ {way}"
            assert_same_bits(scores, indexed[1], way)
        if len(queries) > 1:
            alone = self._backend.score_top_k(queries[:1], items, k, metric, _of_first_query(filters))
            assert np.array_equal(rows[:1], alone[0]), "the rows differ for a query alone"
            assert_same_bits(scores[:1], alone[1], "for a query alone")
        return rows, scores


def _of_first_query(filters: Filters) -> Filters:
    def first(sets: RowSets) -> RowSets:
        rows = sets.of(0)
        return RowSets(np.array([0, len(rows)], np.int64), np.ascontiguousarray(rows))

    allow = None if filters.allow is None else first(filters.allow)
    return Filters(filters.mask, allow, tuple(first(sets) for sets in filters.deny))


def member_backend(member: str) -> Backend:
    """The backend of a member, with its searches counted."""
    return CountingBackend(member, MEMBERS[member]())


def chunks(count: int = EXAMPLES) -> list[range]:
    """Case numbers 0..count-1, a few for each test; of the share where they are divided."""
    every = [range(i, min(i + CASES_PER_TEST, count)) for i in range(0, count, CASES_PER_TEST)]
    return every[SHARE - 1 :: N_SHARES]


def assert_same_bits(got: np.ndarray, expected: np.ndarray, context: object) -> None:
    """Compare float32 arrays bit for bit, so that -0 differs from +0."""
    got = np.asarray(got)
    assert got.dtype == np.float32 and got.shape == expected.shape, (
        f"expected float32 {expected.shape}, got {got.dtype} {got.shape}\n{context}"
    )
    wrong = np.argwhere(np.ascontiguousarray(got).view(np.uint32) != expected.view(np.uint32))
    if len(wrong):
        at = tuple(wrong[0].tolist())
        raise AssertionError(
            f"{len(wrong)} of {got.size} scores differ, first at {at}: "
            f"got {got[at]!r}, expected {expected[at]!r}\n{context}"
        )


def assert_same_answer(got: Any, expected: tuple[np.ndarray, np.ndarray], context: object) -> None:
    """Compare a `TopK` with the reference's rows and scores, bit for bit."""
    rows, scores = expected
    got_rows = np.asarray(got.rows)
    assert got_rows.dtype == np.int64 and got_rows.shape == rows.shape, (
        f"expected int64 {rows.shape}, got {got_rows.dtype} {got_rows.shape}\n{context}"
    )
    wrong = np.argwhere(got_rows != rows)
    if len(wrong):
        query, place = wrong[0].tolist()
        around = slice(max(place - 1, 0), place + 3)
        raise AssertionError(
            f"{len(wrong)} of {rows.size} rows differ, first at query {query}, place {place}: "
            f"got {got_rows[query, around].tolist()} with {np.asarray(got.scores)[query, around].tolist()}, "
            f"expected {rows[query, around].tolist()} with {scores[query, around].tolist()}\n{context}"
        )
    assert_same_bits(got.scores, scores, context)
