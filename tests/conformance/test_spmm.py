"""`spmm` and `score(in_order=True)`: the bits of float32 sums in a fixed order, on every member."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import gpurec

from .cases import SEED
from .members import ISAS, MEMBERS, assert_same_bits, chunks, member_backend

# Around vectors, what registers hold, and strips that are copied.
WIDTHS = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100, 127, 128, 129, 144, 257, 1100)


def sparse_case(number: int):
    """A matrix with empty, short and long rows, a dense one, and maybe something to add."""
    rng = np.random.default_rng([SEED, 14, number])
    n_rows, n_inner = int(rng.choice([1, 2, 5, 40])), int(rng.choice([1, 3, 60, 400]))
    width = int(rng.choice(WIDTHS))
    counts = np.minimum(rng.choice([0, 1, 2, 9, 200], n_rows), n_inner)
    columns = [np.sort(rng.choice(n_inner, count, replace=False)) for count in counts]
    values = (rng.standard_normal(counts.sum()) * 10.0 ** rng.integers(-3, 4)).astype(np.float32)
    values[rng.random(len(values)) < 0.1] = 0  # stored all the same
    indptr = np.concatenate([[0], np.cumsum(counts)])
    matrix = scipy.sparse.csr_array((values, np.concatenate(columns), indptr), shape=(n_rows, n_inner))
    dense = rng.standard_normal((n_inner, width), np.float32)
    add = rng.standard_normal((n_rows, width), np.float32) if rng.random() < 0.5 else None
    return matrix, dense, add, float(rng.choice([1.0, -0.3, 1e-3]))


def sums_in_order(matrix, dense, add, weight) -> np.ndarray:
    """Element by element, as the contract says."""
    result = np.empty((matrix.shape[0], dense.shape[1]), np.float32)
    for i in range(len(result)):
        total = np.zeros(dense.shape[1], np.float32)
        for entry in range(matrix.indptr[i], matrix.indptr[i + 1]):
            total = total + matrix.data[entry] * dense[matrix.indices[entry]]
        result[i] = total if add is None else total + np.float32(weight) * add[i]
    return result


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_sums_are_added_in_order(numbers, member):
    for number in numbers:
        matrix, dense, add, weight = sparse_case(number)
        got = gpurec.spmm(matrix, dense, add=add, weight=weight, backend=member_backend(member))
        assert_same_bits(got, sums_in_order(matrix, dense, add, weight), f"{member}: case {number}")


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_scores_in_order_are_sums_of_components(numbers, member):
    for number in numbers:
        rng = np.random.default_rng([SEED, 15, number])
        d = int(rng.choice([1, 2, 5, 33, 130]))
        queries, items = (
            rng.standard_normal((int(rng.choice(sizes)), d), np.float32)
            for sizes in ([1, 2, 3, 7, 30], [1, 2, 17, 64, 65, 200])
        )
        want = np.zeros((len(queries), len(items)), np.float32)
        for component in range(d):
            want = want + queries[:, component, np.newaxis] * items[:, component]
        got = gpurec.score(queries, items, in_order=True, backend=member_backend(member))
        assert_same_bits(got, want, f"{member}: case {number}")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_neither_threads_nor_strips_show(isa, n_threads):
    """Many entries for each row of the dense matrix, so that strips of it are copied, in several tasks."""
    rng = np.random.default_rng(SEED)
    matrix = scipy.sparse.random_array((3000, 9000), density=0.002, rng=rng, dtype=np.float32, format="csr")
    dense = rng.standard_normal((9000, 100), np.float32)
    backend = gpurec.backends.cpu.CpuBackend(isa=isa, n_threads=n_threads)
    add = rng.standard_normal((3000, 100), np.float32)
    together = gpurec.spmm(matrix, dense, add=add, weight=0.3, backend=backend)
    columns = [np.ascontiguousarray(dense[:, j : j + 1]) for j in range(100)]
    alone = [
        gpurec.spmm(matrix[:7], column, add=add[:7, j : j + 1], weight=0.3)
        for j, column in enumerate(columns)
    ]
    assert_same_bits(together[:7], np.hstack(alone), isa)
    assert np.abs(together - (matrix @ dense + np.float32(0.3) * add)).max() < 1e-5


@pytest.mark.parametrize("member", MEMBERS)
def test_entries_of_one_place_are_added_and_columns_sorted(member):
    twice = scipy.sparse.coo_array((np.float32([1, 2, 4]), ([0, 0, 0], [1, 0, 1])), shape=(2, 2))
    got = gpurec.spmm(twice, [[1.0], [10.0]], backend=member_backend(member))
    assert got.tolist() == [[52.0], [0.0]]


@pytest.mark.parametrize("member", MEMBERS)
def test_nothing_to_add_gives_plus_zero(member):
    empty = scipy.sparse.csr_array((3, 4), dtype=np.float32)
    got = gpurec.spmm(empty, np.full((4, 2), -1.0), backend=member_backend(member))
    assert got.tobytes() == np.zeros((3, 2), np.float32).tobytes()
    nobody = gpurec.spmm(empty[:0], np.ones((4, 2)), backend=member_backend(member))
    assert nobody.shape == (0, 2)


MATRIX = scipy.sparse.csr_array(np.float32([[0, 1], [2, 0]]))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"matrix": MATRIX.astype(bool)}, TypeError, "dtype"),
        (
            {"matrix": scipy.sparse.csr_array(np.float32([[0, np.nan], [1, 0]]))},
            ValueError,
            "row 0 of matrix",
        ),
        ({"dense": np.ones((3, 1))}, ValueError, "2 rows"),
        ({"dense": [[np.inf], [1.0]]}, ValueError, "row 0 of dense"),
        ({"add": np.ones((3, 1))}, ValueError, "add of shape"),
        ({"add": np.ones((2, 2))}, ValueError, "components"),
        ({"weight": np.inf}, ValueError, "finite weight"),
        ({"out": np.ones((2, 2), np.float32)}, ValueError, "out of shape"),
        ({"out": np.ones((2, 1))}, TypeError, "float32"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=rf"\[spmm\].*{words}"):
        gpurec.spmm(**{"matrix": MATRIX, "dense": np.ones((2, 1)), **arguments})


def test_broken_parts_are_refused():
    broken = MATRIX.copy()
    broken.indices[0] = 7
    with pytest.raises(ValueError, match=r"\[spmm\].*indices of matrix"):
        gpurec.spmm(broken, np.ones((2, 1)))


def test_out_is_written_in_place_and_apart_from_its_inputs():
    dense = np.ones((2, 2), np.float32)
    out = np.empty((2, 2), np.float32)
    assert gpurec.spmm(MATRIX, dense, out=out) is out and out.tolist() == [[1, 1], [2, 2]]
    with pytest.raises(ValueError, match="apart"):
        gpurec.spmm(MATRIX, dense, out=dense)
