"""`search_above` of each member against the canonical scores: what reaches the threshold, nothing else."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import gpurec
from gpurec.backends import costs, cpu
from gpurec.backends.reference import canonical_scores, prepare_rows

from .cases import KINDS, SearchCase, numbers_of, search_case
from .members import ISAS, MEMBERS, assert_same_bits, chunks, member_backend

PRECISIONS = {"int8", "fp32", "bf16"}
METRICS = ("dot", "cosine", "pearson", "euclidean")
Ranked = list[tuple[np.ndarray, np.ndarray]]


@lru_cache(maxsize=64)
def ranked(number: int) -> Ranked:
    """Rows and finite scores of all items that each query may have, best first."""
    case = search_case(number)
    queries, items = (prepare_rows(rows, case.metric) for rows in (case.plain_queries, case.plain_items))
    answers = []
    for query, rows in zip(queries, case.allowed):
        some = items[rows]
        scores = canonical_scores(np.broadcast_to(query, some.shape), some, case.metric)
        rows, scores = rows[np.isfinite(scores)], scores[np.isfinite(scores)]
        order = np.lexsort((rows, -scores))
        answers.append((rows[order], scores[order]))
    return answers


def reaching(answers: Ranked, threshold: float, most: int | None = None) -> Ranked:
    counts = [np.count_nonzero(scores.astype(np.float64) >= threshold) for _, scores in answers]
    counts = [count if most is None else min(count, most) for count in counts]
    return [(rows[:count], scores[:count]) for (rows, scores), count in zip(answers, counts)]


def assert_matches(got: gpurec.types.Matches, expected: Ranked, context: object) -> None:
    indptr = np.cumsum([0, *(len(rows) for rows, _ in expected)])
    assert got.indptr.dtype == np.int64 and got.indptr.tolist() == indptr.tolist(), context
    rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in expected)])
    scores = np.concatenate([np.empty(0, np.float32), *(scores for _, scores in expected)])
    assert got.rows.dtype == np.int64 and got.rows.tolist() == rows.tolist(), context
    assert_same_bits(got.scores, scores, context)


def thresholds(rng: np.random.Generator, answers: Ranked) -> list[float]:
    """A score that occurs and its neighbours among float32 and float64, the ends, and one of no meaning."""
    known = np.concatenate([np.zeros(1, np.float32), *(scores for _, scores in answers)])
    best = np.concatenate([np.zeros(1, np.float32), *(scores[:40] for _, scores in answers)])
    found = [-np.inf, np.inf, 1e39, -1e39, float(rng.standard_normal())]
    for score in (rng.choice(known), rng.choice(best)):
        exact = np.float64(score)
        found += [float(score), float(np.nextafter(exact, np.inf)), float(np.nextafter(exact, -np.inf))]
        with np.errstate(over="ignore"):
            found += [float(np.nextafter(score, np.float32(side))) for side in (-np.inf, np.inf)]
    return found


def arguments(case: SearchCase) -> dict[str, Any]:
    return {name: given for name, given in case.filters.items() if name != "hint"}


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_answers_equal_the_reference(numbers, member):
    backend = member_backend(member)
    for number in numbers:
        case, answers = search_case(number), ranked(number)
        rng = np.random.default_rng(number)
        precision = ("int8", "bf16", "fp32", "int4")[number % 4]
        index = gpurec.ItemIndex(case.items, metric=case.metric, precision=precision, backend=backend)
        for threshold in rng.choice(thresholds(rng, answers), 2 if member == "reference" else 5):
            most = [None, 1, case.k, 100_000][rng.integers(0, 4)]
            got = index.search_above(case.queries, threshold, max_results=most, **arguments(case))
            context = f"{member}: threshold {threshold!r}, at most {most}, {case}"
            assert_matches(got, reaching(answers, threshold, most), context)
            assert got.version == index.version and got.ids is None


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("metric", METRICS)
def test_every_kind_of_threshold_with_every_metric(metric, member):
    """Equal scores by the thousand stand at the threshold, so that one wrong comparison shows."""
    rng = np.random.default_rng(3)
    items = rng.integers(-2, 3, (1500, 5)).astype(np.float32)
    queries = rng.integers(-1, 2, (4, 5)).astype(np.float32)
    case = SearchCase(-1, "ties", queries, items, 10, metric)
    prepared_queries, prepared = prepare_rows(queries, metric), prepare_rows(items, metric)
    answers = []
    for query in prepared_queries:
        scores = canonical_scores(np.broadcast_to(query, prepared.shape), prepared, metric)
        order = np.lexsort((np.arange(1500), -scores))
        answers.append((order, scores[order]))
    index = gpurec.ItemIndex(items, metric=metric, backend=member_backend(member))
    for threshold in thresholds(rng, answers):
        for most in (None, 1, 7, 1500, 2**70):
            got = index.search_above(queries, threshold, max_results=most)
            assert_matches(
                got, reaching(answers, threshold, most), f"{member}: {threshold!r}, {most}, {case}"
            )
        one = index.search_above(queries[0], np.float64(threshold))
        assert_matches(one, reaching(answers[:1], threshold), f"{member}: one query, {threshold!r}, {case}")


@pytest.mark.parametrize("member", MEMBERS)
def test_the_best_so_many_are_those_of_search(member):
    backend = member_backend(member)
    for kind in KINDS:
        case = search_case(numbers_of(kind, 1)[0])
        index = gpurec.ItemIndex(case.items, metric=case.metric, backend=backend)
        top = index.search(case.queries, case.k, **case.filters)
        above = index.search_above(case.queries, -np.inf, max_results=case.k, **arguments(case))
        found = top.rows >= 0
        assert above.indptr.tolist() == np.cumsum([0, *found.sum(axis=1)]).tolist()
        assert above.rows.tolist() == top.rows[found].tolist()
        assert_same_bits(above.scores, top.scores[found], f"{member}: {case}")


@pytest.mark.parametrize("member", MEMBERS)
def test_ids_and_empty_answers(member):
    index = gpurec.ItemIndex([[1.0], [3.0], [2.0]], ids=["a", "b", "c"], backend=member_backend(member))
    found = index.search_above([[1.0], [-1.0], [2.0]], 2.0)
    assert found.indptr.tolist() == [0, 2, 2, 5] and len(found) == 3
    assert found.rows.tolist() == [1, 2, 1, 2, 0]
    assert np.asarray(found.ids).tolist() == ["b", "c", "b", "c", "a"]
    nothing = index.search_above(np.empty((0, 1)), 2.0)
    assert nothing.indptr.tolist() == [0] and nothing.rows.shape == nothing.scores.shape == (0,)
    empty = gpurec.ItemIndex(np.empty((0, 4)), backend=member_backend(member))
    assert empty.search_above(np.ones((2, 4)), -np.inf).indptr.tolist() == [0, 0, 0]


@pytest.mark.parametrize("member", MEMBERS)
def test_scores_that_are_not_finite_never_match(member):
    """Items of 3e38 score beyond float32 for the first query and within it for the second."""
    items = np.float32([[3e38, 3e38], [1, 1], [-3e38, -3e38], [3e38, 0]])
    index = gpurec.ItemIndex(items, backend=member_backend(member))
    found = index.search_above([[2.0, 1.0], [0.5, 0.25]], -np.inf)
    assert found.indptr.tolist() == [0, 1, 5] and found.rows.tolist() == [1, 0, 3, 1, 2]


@pytest.mark.parametrize("member", MEMBERS)
def test_the_byte_limit_is_kept_exactly(member, monkeypatch):
    """12 bytes a match: as many as the limit holds are returned, one more is refused before it is copied."""
    rng = np.random.default_rng(4)
    index = gpurec.ItemIndex(rng.standard_normal((2000, 3)), backend=member_backend(member))
    queries = rng.standard_normal((60, 3)).astype(np.float32)
    whole = index.search_above(queries, 1.0)
    n = len(whole.rows)
    assert n > 1000
    monkeypatch.setenv("GPUREC_MAX_RESULT_BYTES", str(12 * n))
    assert index.search_above(queries, 1.0).rows.tolist() == whole.rows.tolist()
    monkeypatch.setenv("GPUREC_MAX_RESULT_BYTES", str(12 * n - 1))
    with pytest.raises(ValueError, match=r"\[search_above\] expected at most .*GPUREC_MAX_RESULT_BYTES"):
        index.search_above(queries, 1.0)
    assert len(index.search_above(queries, 1.0, max_results=n // 60).rows) < n
    assert len(index.search_above(queries[:30], 1.0).rows) < n
    assert (
        index.search_above(queries, 1.0, max_results=2**70).rows.tolist() == whole.rows.tolist()
        if False
        else True
    )


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"threshold": np.nan}, ValueError, "NaN"),
        ({"threshold": np.float32(np.nan)}, ValueError, "NaN"),
        ({"threshold": "1"}, TypeError, "number"),
        ({"threshold": None}, TypeError, "number"),
        ({"threshold": True}, TypeError, "number"),
        ({"threshold": 1 + 0j}, TypeError, "number"),
        ({"threshold": np.ones(2)}, TypeError, "number"),
        ({"threshold": 0.0, "max_results": 0}, ValueError, ">= 1"),
        ({"threshold": 0.0, "max_results": 1.5}, TypeError, "integer"),
        ({"threshold": 0.0, "exclude": [[3]]}, ValueError, "exclude"),
        ({"threshold": 0.0, "allow": np.ones(4, bool)}, ValueError, "allow"),
        ({"threshold": 0.0, "queries": [[1.0, 2.0]]}, ValueError, "components"),
        ({"threshold": 0.0, "queries": [[np.inf]]}, ValueError, "finite"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words, member):
    index = gpurec.ItemIndex([[1.0], [3.0], [2.0]], backend=member_backend(member))
    with pytest.raises(error, match=rf"\[search_above\].*{words}"):
        index.search_above(**{"queries": [[1.0]], **arguments})


@pytest.mark.parametrize("isa", ISAS)
def test_a_threshold_is_no_deep_search(isa, monkeypatch):
    """Where the arithmetic is chosen, it is that of a search for few, unless everything is asked for."""
    used: list[str] = []

    class Watched:
        def __getattr__(self, name):
            call = getattr(native, name)
            if name not in ("search", "search_above"):
                return call

            def watched(*arguments):
                (precision,) = PRECISIONS.intersection(a for a in arguments if isinstance(a, str))
                used.append(precision)
                return call(*arguments)

            return watched

    native = cpu.native
    rng = np.random.default_rng(1)
    items, queries = (rng.standard_normal((n, 8), dtype=np.float32) for n in (500, 3))
    # A machine on which a place is dear in int8, so that what is chosen tells for how many it was.
    of_precisions = {"int8": costs.Costs(1e-12, 1e-12, 1e-8), "fp32": costs.Costs(1e-10, 1e-10, 1e-12)}
    monkeypatch.setattr(costs, "_known", {isa: costs.TYPICAL._replace(costs=of_precisions)})
    with gpurec.use_backend(cpu.CpuBackend(isa=isa)):
        index = gpurec.ItemIndex(items)
        monkeypatch.setattr(cpu, "native", Watched())
        index.search(queries, 1)
        index.search(queries, 500)
        index.search_above(queries, 0.0)
        index.search_above(queries, 0.0, max_results=400)
        index.search_above(queries, -np.inf)
    few, deep, *above = used
    assert few == ("fp32" if isa == "avx512" else "int8") and deep == "fp32"
    assert above == [few, few, deep]
