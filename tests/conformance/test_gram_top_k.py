"""`gram_top_k` on every member against the reference, and the reference against a plain double loop."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import scipy.sparse

import gpurec
from gpurec._native import cpu as native
from gpurec.backends import Filters, RowSets, host_gram
from gpurec.backends.cpu import CpuBackend
from gpurec.backends.reference import ReferenceBackend

from .cases import SEED
from .cases.disguises import disguise_one_set, disguise_sets
from .cases.gram_loops import centred, loop_score
from .cases.sparse_cases import SPARSE_KINDS, disguise_sparse, sparse_matrix
from .members import ISAS, MEMBERS, assert_same_answer, chunks, member_backend

METRICS = importlib.import_module("gpurec.ops.gram_top_k").GRAM_METRICS


# With sums of codes, on tiles of so many rows, or without them.
WAYS = (("always", 16), ("auto", 1 << 16), ("always", 50), ("never", 1 << 16))


def drawn_arguments(rng: np.random.Generator, number: int) -> dict:
    """A metric and its settings; each metric meets each kind of matrix."""
    metric = METRICS[number // len(SPARSE_KINDS) % len(METRICS)]
    arguments: dict = {"metric": metric}
    if metric in ("tversky", "asymmetric_cosine"):
        arguments["alpha"] = float(rng.choice([0.0, 0.3, 0.5, 1.0]))
    if metric == "tversky":
        arguments["beta"] = float(rng.choice([0.0, 0.25, 2.0]))
    if rng.random() < 0.4:
        arguments["shrinkage"] = float(rng.choice([1.0, 10.0, 0.1]))
    if rng.random() < 0.3:
        arguments["min_overlap"] = int(rng.choice([2, 3, 7]))
    return arguments


def gram_case(number: int):
    """A matrix, the op's arguments, and which rows each row asked about may be given."""
    rng = np.random.default_rng([SEED, 11, number])
    n = int(rng.choice([0, 1, 2, 17, 64, 65, 130, 300]))
    m = int(rng.choice([1, 2, 15, 64, 200]))
    matrix, kind = sparse_matrix(rng, number, n, m, float(rng.choice([0.02, 0.1, 0.5])))
    arguments = drawn_arguments(rng, number)
    arguments["k"] = int(rng.choice([1, 3, 10, max(n - 1, 1), n + 2]))
    if arguments["metric"] != "adjusted_cosine" and (matrix.data >= 0).all() and rng.random() < 0.3:
        arguments["weighting"] = str(rng.choice(["bm25", "tf-idf"]))
    asked = np.arange(n)
    if rng.random() < 0.3 and n:
        asked = rng.integers(0, n, int(rng.choice([0, 1, 5, 40])))
        arguments["rows"] = asked.astype(rng.choice([np.int32, np.int64, np.uint16]))
    allowed = np.ones((len(asked), n), np.bool_)
    if rng.random() < 0.3:
        arguments["include_self"] = True
    else:
        allowed[np.arange(len(asked)), asked] = False
    if rng.random() < 0.3:
        sets = [np.flatnonzero(rng.random(n) < 0.3) for _ in asked]
        arguments["exclude"] = disguise_sets(rng, sets, n, which=None, forms=("list", "pair", "csr"))
        for i, rows in enumerate(sets):
            allowed[i, rows] = False
    for name in ("allow", "deny"):
        share = float(rng.choice([0.02, 0.5, 0.95]))
        form = rng.choice(["none", "shared", "per_query"], p=[0.7, 0.15, 0.15])
        if form == "shared":
            rows = np.flatnonzero(rng.random(n) < share)
            arguments[name] = disguise_one_set(rng, rows, n)
            chosen = [rows] * len(asked)
        elif form == "per_query":
            chosen = [np.flatnonzero(rng.random(n) < share) for _ in asked]
            arguments[name] = disguise_sets(rng, chosen, n, which=None, forms=("list", "pair", "csr"))
        else:
            continue
        within = np.zeros_like(allowed)
        for i, rows in enumerate(chosen):
            within[i, rows] = True
        allowed &= within if name == "allow" else ~within
    name = f"gram_case({number}) of {kind}, {matrix.shape}, {matrix.nnz} entries, {arguments}"
    return disguise_sparse(rng, matrix), matrix, arguments, asked, allowed, name


class CapturingBackend(ReferenceBackend):
    """The reference, told what the op would have told another backend."""

    def gram_top_k(self, *arguments):
        self.told = arguments
        return super().gram_top_k(*arguments)


def expected(matrix, arguments, allowed):
    """The reference's answer, asked of rows that may be given one by one."""
    backend = CapturingBackend()
    plain = {name: a for name, a in arguments.items() if name not in ("exclude", "allow", "deny")}
    gpurec.gram_top_k(matrix, **plain | {"rows": np.asarray(arguments.get("rows", []), int)}, backend=backend)
    x, k, how, _, _, _ = backend.told
    asked = arguments.get("rows", np.arange(len(allowed))).astype(np.int64)
    indptr = np.concatenate([[0], np.cumsum(allowed.sum(axis=1))]).astype(np.int64)
    sets = RowSets(indptr, np.nonzero(allowed)[1].astype(np.int64))
    return ReferenceBackend().gram_top_k(x, k, how, asked, True, Filters(allow=sets))


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_answers_equal_the_reference(numbers, member, monkeypatch):
    for number in numbers:
        given, matrix, arguments, _, allowed, name = gram_case(number)
        codes, tile_rows = WAYS[number // 3 % len(WAYS)]
        monkeypatch.setattr(host_gram, "_CODES", codes)
        monkeypatch.setattr(host_gram, "_TILE_ROWS", tile_rows)
        got = gpurec.gram_top_k(given, **arguments, backend=member_backend(member))
        assert_same_answer(got, expected(matrix, arguments, allowed), f"{member}: {name}")


@pytest.mark.parametrize("number", range(len(SPARSE_KINDS) * len(METRICS)))
def test_the_reference_is_a_plain_double_loop(number):
    rng = np.random.default_rng([SEED, 12, number])
    matrix, _ = sparse_matrix(rng, number, int(rng.choice([5, 23])), int(rng.choice([4, 30])), 0.4)
    how = drawn_arguments(rng, number)
    if how["metric"] == "asymmetric_cosine":
        how["alpha"] = float(rng.choice([0.0, 0.5, 1.0]))  # whose powers every library has exactly
    plain = [
        dict(zip(*(part.tolist() for part in (row.indices, row.data))))
        for row in (matrix[i] for i in range(matrix.shape[0]))
    ]
    if how["metric"] in ("pearson_centred", "adjusted_cosine"):
        try:
            plain = centred(plain, how["metric"] == "adjusted_cosine")
        except OverflowError:
            pytest.skip("values that float32 does not hold when centred")
        if any(not math.isfinite(v) for row in plain for v in row.values()):
            pytest.skip("values that float32 does not hold when centred")
    got = gpurec.gram_top_k(matrix, len(plain) + 1, **how, backend="reference")
    for i, row in enumerate(plain):
        found = []
        for j, other in enumerate(plain):
            score = None if i == j else loop_score(row, other, how)
            with np.errstate(over="ignore"):
                if score is not None and np.isfinite(np.float32(score)):
                    found.append((-(np.float32(score) + np.float32(0)), j))
        found.sort()
        missing = len(plain) + 1 - len(found)
        assert got.rows[i].tolist() == [j for _, j in found] + [-1] * missing
        assert got.scores[i].tolist() == [float(-s) for s, _ in found] + [-np.inf] * missing


@pytest.mark.parametrize("member", MEMBERS)
def test_pearson_of_movielens_is_a_plain_double_loop(member, data_folder):
    """Of a sample of users and of items with all others, over what both were rated, to the last bit."""
    # Not by `Interactions.from_file`: polars crashes under the thread sanitizer.
    users, items, stars, _ = np.loadtxt(data_folder / "ml-100k" / "u1.base", dtype=np.int64).T
    ratings = np.zeros((users.max(), items.max()), np.float32)
    ratings[users - 1, items - 1] = stars
    for table in (ratings, ratings.T):
        sample = np.random.default_rng(SEED).permutation(len(table))[:12]
        found = gpurec.gram_top_k(
            table, len(table), metric="pearson", rows=sample, backend=member_backend(member)
        )
        for a, rows, scores in zip(sample, found.rows, found.scores):
            got = dict(zip(rows[rows >= 0].tolist(), scores[rows >= 0].tolist()))
            wanted = {}
            for b in range(len(table)):
                both = (table[a] > 0) & (table[b] > 0)
                if a == b or not both.any():
                    continue
                x, y, n = table[a, both].astype(np.float64), table[b, both].astype(np.float64), both.sum()
                variances = (n * (x * x).sum() - x.sum() ** 2) * (n * (y * y).sum() - y.sum() ** 2)
                covariance = n * (x * y).sum() - x.sum() * y.sum()
                wanted[b] = float(np.float32(covariance / np.sqrt(variances))) if variances > 0 else 0.0
            assert got == wanted


@pytest.mark.parametrize("isa", ISAS)
def test_threads_do_not_change_an_answer(isa):
    rng = np.random.default_rng(SEED)
    for number, metric in enumerate(METRICS):
        matrix, _ = sparse_matrix(rng, 2 + 7 * (number % 2), 500, 120, 0.1)
        backends = [CpuBackend(isa=isa, n_threads=n) for n in (1, 2, 7)]
        first, *others = [gpurec.gram_top_k(matrix, 9, metric=metric, backend=b) for b in backends]
        for other in others:
            assert_same_answer(other, (first.rows, first.scores), f"{isa}, {metric}")


@pytest.mark.parametrize("member", MEMBERS)
def test_rows_without_a_common_column_are_no_pair(member):
    matrix = scipy.sparse.csr_matrix(np.float32([[1, 0, 0], [0, 2, 0], [3, 0, 0], [0, 0, 0]]))
    got = gpurec.gram_top_k(matrix, 3, backend=member_backend(member))
    assert got.rows.tolist() == [[2, -1, -1], [-1, -1, -1], [0, -1, -1], [-1, -1, -1]]
    itself = gpurec.gram_top_k(matrix, 2, include_self=True, backend=member_backend(member))
    assert itself.rows.tolist() == [[0, 2], [1, -1], [0, 2], [-1, -1]]


@pytest.mark.parametrize("member", MEMBERS)
def test_a_stored_zero_is_an_entry(member):
    """It makes pairs, counts in overlaps and sets, and has the score 0 of a zero norm."""
    matrix = scipy.sparse.csr_matrix((np.float32([0, 2, 3]), [0, 0, 0], [0, 1, 2, 3]), shape=(3, 1))
    got = gpurec.gram_top_k(matrix, 2, backend=member_backend(member))
    assert got.rows.tolist() == [[1, 2], [2, 0], [1, 0]]
    assert got.scores.tolist() == [[0, 0], [1, 0], [1, 0]]
    sets = gpurec.gram_top_k(matrix, 2, metric="jaccard", backend=member_backend(member))
    assert (sets.scores == 1).all()


@pytest.mark.parametrize("member", MEMBERS)
def test_what_tversky_and_asymmetric_cosine_are_at_their_ends(member):
    rng = np.random.default_rng(SEED)
    matrix, _ = sparse_matrix(rng, 1, 60, 30, 0.2)
    backend = member_backend(member)

    def answer(**arguments):
        found = gpurec.gram_top_k(matrix, 5, backend=backend, **arguments)
        return found.rows, found.scores

    for one, other in (
        ({"metric": "tversky"}, {"metric": "jaccard"}),
        ({"metric": "asymmetric_cosine", "alpha": 0.5}, {"metric": "cosine"}),
    ):
        for got, wanted in zip(answer(**one), answer(**other)):
            assert np.array_equal(got, wanted)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"metric": "euclidean"}, ValueError, "expected metric"),
        ({"metric": ["cosine"]}, ValueError, "expected metric"),
        ({"weighting": "idf"}, ValueError, "expected weighting"),
        ({"alpha": 0.5}, ValueError, "expected no alpha"),
        ({"metric": "asymmetric_cosine", "alpha": 1.5}, ValueError, "alpha in 0..1"),
        ({"metric": "tversky", "beta": -1.0}, ValueError, "expected beta"),
        ({"shrinkage": math.nan}, ValueError, "expected shrinkage"),
        ({"shrinkage": "1"}, TypeError, "expected a number as shrinkage"),
        ({"min_overlap": 0}, ValueError, "min_overlap >= 1"),
        ({"k": 0}, ValueError, "k >= 1"),
        ({"rows": [3]}, ValueError, "expected rows"),
    ],
)
def test_arguments_that_are_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        gpurec.gram_top_k(np.eye(3), **{"k": 1} | arguments)


def broken(**parts):
    """A CSR matrix of 3 rows and 4 columns whose arrays were changed behind its back."""
    matrix = scipy.sparse.csr_matrix(np.float32([[1, 2, 0, 0], [0, 3, 0, 4], [5, 0, 0, 0]]))
    for name, value in parts.items():
        setattr(matrix, name, np.asarray(value))
    return matrix


@pytest.mark.parametrize(
    ("matrix", "error", "text"),
    [
        (broken(indices=[0, 9, 1, 3, 0]), ValueError, "indices of X in 0..3, got 9"),
        (broken(indices=[0, 1, -1, 3, 0]), ValueError, "indices of X in 0..3, got -1"),
        (broken(indptr=[0, 4, 2, 5]), ValueError, "indptr"),
        (broken(indptr=[0, 2, 4, 50]), ValueError, "indptr"),
        (broken(indptr=[1, 2, 4, 5]), ValueError, "indptr"),
        (broken(indptr=[0, 2, 5]), ValueError, "indptr"),
        (broken(indices=[0.0, 1, 1, 3, 0]), TypeError, "integers"),
        (broken(data=np.float32([1, 2])), ValueError, "indptr"),
        (broken(data=np.float32([1, 2, 3, np.nan, 5])), ValueError, "in row 1 of X"),
        (broken(data=[1, 2, 3, 4, 1e39]), ValueError, "in row 2 of X"),
        (broken(data=np.array([1, 0, 1, 1, 1], bool)), TypeError, "float or integer"),
        (np.array([[1.0, np.inf]]), ValueError, "in row 0 of X"),
    ],
)
@pytest.mark.parametrize("member", MEMBERS)
def test_matrices_that_are_refused(matrix, error, text, member):
    with pytest.raises(error, match=text):
        gpurec.gram_top_k(matrix, 2, backend=member_backend(member))


def test_negative_values_have_no_weighting():
    with pytest.raises(ValueError, match="negative one in row 1"):
        gpurec.gram_top_k(np.float32([[1, 2], [3, -1]]), 1, weighting="bm25")


@pytest.mark.parametrize("member", MEMBERS)
def test_the_result_is_refused_before_it_is_made(member, monkeypatch):
    monkeypatch.setenv("GPUREC_MAX_RESULT_BYTES", "100000")
    with pytest.raises(ValueError, match="at most 100000 bytes"):
        gpurec.gram_top_k(np.eye(100), 99, backend=member_backend(member))
    assert len(gpurec.gram_top_k(np.eye(100), 99, rows=[3], backend=member_backend(member))) == 1


@pytest.mark.parametrize("member", MEMBERS)
def test_columns_without_entries_cost_nothing(member):
    places = (np.array([0, 1, 1, 2]), np.array([7, 7, 2**31 - 2, 2**31 - 2]))
    wide = scipy.sparse.coo_matrix((np.float32([1, 2, 3, 4]), places), shape=(3, 2**31 - 1))
    got = gpurec.gram_top_k(wide, 2, metric="dot", backend=member_backend(member))
    assert got.rows.tolist() == [[1, -1], [2, 0], [1, -1]]
    assert got.scores.tolist() == [[2, -np.inf], [12, 2], [12, -np.inf]]


def test_a_tensor_of_torch_is_a_matrix():
    torch = pytest.importorskip("torch")
    dense = np.float32([[1, 2, 0], [0, 3, 4], [5, 0, 0]])
    for tensor in (torch.tensor(dense).to_sparse(), torch.tensor(dense).to_sparse_csr()):
        got, wanted = gpurec.gram_top_k(tensor, 2), gpurec.gram_top_k(dense, 2)
        assert_same_answer(got, (wanted.rows, wanted.scores), "torch")


@pytest.mark.parametrize("codes", ["always", "never"])
@pytest.mark.parametrize("member", MEMBERS)
def test_scores_that_only_float32_makes_equal(member, codes, monkeypatch):
    """Codes are exact here, and sums in float64 descend by row, but all scores round to the same float32."""
    monkeypatch.setattr(host_gram, "_CODES", codes)
    n = 400
    matrix = np.zeros((n + 2, 2), np.float32)
    matrix[:n, 0], matrix[:n, 1] = 30000, 1 + np.arange(n) % 5
    matrix[n], matrix[n + 1] = (30000, 1), (32000, 0)  # the row asked about, and one as long as codes are
    got = gpurec.gram_top_k(matrix, 3, metric="dot", rows=[n], deny=[n + 1], backend=member_backend(member))
    assert got.rows.tolist() == [[0, 1, 2]]
    assert (got.scores == np.float32(9e8)).all()


@pytest.mark.parametrize("member", MEMBERS)
def test_codes_that_rank_rows_wrongly(member, monkeypatch):
    """Values differ by less than codes do, so that most of their order is rounding."""
    monkeypatch.setattr(host_gram, "_CODES", "always")
    rng = np.random.default_rng(SEED)
    for _ in range(5):
        matrix = np.float32(1 + 1e-4 * rng.random((300, 40)))
        got = gpurec.gram_top_k(matrix, 5, metric="dot", backend=member_backend(member))
        assert_same_answer(got, expected(matrix, {"k": 5, "metric": "dot"}, ~np.eye(300, dtype=bool)), member)


@pytest.mark.parametrize("member", MEMBERS)
def test_values_that_do_not_vary_where_both_have_one(member):
    """Sums of a number that is no short fraction leave a variance above zero, and no correlation."""
    matrix = np.zeros((65, 8), np.float32)
    matrix[:64, 0] = 0.7
    matrix[:64, 1:] = 1e-3 * np.random.default_rng(SEED).random((64, 1))
    matrix[64, 1:] = np.random.default_rng(SEED + 1).random(7)
    got = gpurec.gram_top_k(matrix, 64, metric="pearson", rows=[64], backend=member_backend(member))
    assert got.rows.tolist() == [list(range(64))] and (got.scores == 0).all()


def of_native(x: scipy.sparse.csr_matrix, k: int, isa: str, how: tuple, **limits):
    """What the native module answers and counts of all rows."""
    rows = native.GramRows(x.indptr.astype(np.int64), x.indices, x.data, x.shape[1])
    way = {"codes": "always", "tile_rows": 1 << 16} | limits
    asked = np.arange(x.shape[0])
    return rows.top_k(*how, asked, k, False, None, None, [], way["codes"], way["tile_rows"], isa, 2)


@pytest.mark.parametrize("isa", ISAS)
def test_shortcuts_are_taken(isa):
    """Sums of codes answer where rows meet many others, and say so where they do not tell."""
    rng = np.random.default_rng(SEED)
    matrix, _ = sparse_matrix(rng, 2, 600, 80, 0.2)
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1), np.float64).ravel())
    how = ("products", norms, norms, 1.0, 1.0, 0.0, 1)
    rows, scores, counts = of_native(matrix, 5, isa, how)
    assert counts["coded"] > 400
    other_rows, other_scores, others = of_native(matrix, 5, isa, how, codes="never")
    assert others["coded"] == others["uncertain"] == 0 and 100 < others["dense"] < 500
    assert np.array_equal(rows, other_rows) and np.array_equal(scores, other_scores)
    assert of_native(matrix, 599, isa, how)[2]["uncertain"] > 400
    half, _ = sparse_matrix(rng, 2, 600, 80, 0.5)
    dot = ("products", None, None, 1.0, 1.0, 0.0, 1)
    rows, scores, counts = of_native(half, 5, isa, dot, codes="never")
    assert counts["dense"] > 500
    want = expected(half, {"k": 5, "metric": "dot"}, ~np.eye(600, dtype=bool))
    assert_same_answer(gpurec.TopK(rows, scores), want, "rows of which most are met")
    in_pairs = np.float32(rng.random(2000)), (np.arange(2000), np.arange(2000) // 2)
    sparse = scipy.sparse.csr_matrix(in_pairs, shape=(2000, 1000))
    norms = np.ones(2000)
    assert (
        of_native(sparse, 5, isa, ("products", norms, norms, 1.0, 1.0, 0.0, 1), codes="auto")[2]["coded"] == 0
    )


@pytest.mark.parametrize(
    "parts",
    [
        ([0, 2, 3], [0, 0, 1], 3),
        ([0, 2, 3], [1, 0, 1], 3),
        ([0, 2, 3], [0, 3, 1], 3),
        ([0, 2, 3], [0, -1, 1], 3),
        ([0, 2], [0, 1, 2], 3),
        ([0, 3, 2], [0, 1, 2], 3),
        ([1, 2, 3], [0, 1, 2], 3),
    ],
)
def test_the_native_module_refuses_what_would_leave_its_arrays(parts):
    indptr, columns, n_columns = parts
    with pytest.raises(ValueError, match="expected"):
        native.GramRows(np.array(indptr), np.int32(columns), np.ones(3, np.float32), n_columns)
