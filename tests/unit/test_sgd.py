"""Op `sgd_epoch`: every backend gives the bits of the NumPy reference, and bad input is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurec import backends
from gpurec.backends.cpu import CpuBackend, available_isas
from gpurec.ops.sgd import FactorTable, SgdRates, sgd_epoch

RATES = SgdRates(factor_rate=0.02, factor_penalty=0.3, bias_rate=0.01, bias_penalty=0.1)
NATIVE = [name for name, reason in backends.available().items() if reason is None and name != "reference"]
ON_EACH_ISA = [pytest.param(CpuBackend(isa=isa), id=f"cpu-{isa}") for isa in available_isas()]


def random_table(generator: np.random.Generator, n_rows: int, n_factors: int) -> FactorTable:
    return FactorTable(
        generator.normal(size=(n_rows, n_factors)).astype(np.float32),
        generator.normal(size=n_rows).astype(np.float32),
        generator.random(n_rows, dtype=np.float32),
    )


def random_ratings(generator: np.random.Generator, n: int, n_users: int, n_items: int) -> tuple:
    return (
        generator.integers(0, n_users, n),
        generator.integers(0, n_items, n),
        generator.normal(size=n).astype(np.float32),
    )


def copied(table: FactorTable) -> FactorTable:
    return FactorTable(*(array.copy() for array in vars(table).values()))


def bits(table: FactorTable) -> bytes:
    return table.factors.tobytes() + table.biases.tobytes()


@pytest.mark.parametrize("backend", [*(name for name in NATIVE if name != "cpu"), *ON_EACH_ISA])
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(0, 60),
    n_users=st.integers(1, 12),
    n_items=st.integers(1, 12),
    n_factors=st.integers(0, 35),
    scale=st.sampled_from([1e-25, 1e-3, 1.0, 30.0, 1e18]),
)
def test_native_bits_equal_the_reference(backend, seed, n, n_users, n_items, n_factors, scale):
    generator = np.random.default_rng(seed)
    users, items = random_table(generator, n_users, n_factors), random_table(generator, n_items, n_factors)
    users.factors[...] *= np.float32(scale)
    ratings = random_ratings(generator, n, n_users, n_items)

    users_2, items_2 = copied(users), copied(items)
    expected = sgd_epoch(*ratings, users, items, RATES, backend="reference")
    got = sgd_epoch(*ratings, users_2, items_2, RATES, backend=backend)

    assert got == expected or (math.isnan(got) and math.isnan(expected))
    # Which NaN a diverged descent holds is the processor's business; that it is one is ours.
    for mine, theirs in ((users, users_2), (items, items_2)):
        for a, b in ((mine.factors, theirs.factors), (mine.biases, theirs.biases)):
            np.testing.assert_array_equal(a, b)
            finite = np.isfinite(a)
            assert a[finite].tobytes() == b[finite].tobytes()


@pytest.mark.parametrize("backend", ["reference", *NATIVE])
def test_one_rating_by_hand(backend):
    users = FactorTable(np.float32([[2, 1]]), np.float32([0.5]), np.float32([0.5]))
    items = FactorTable(np.float32([[1, 3]]), np.float32([-0.5]), np.float32([0.25]))
    rates = SgdRates(factor_rate=0.5, factor_penalty=1, bias_rate=0.25, bias_penalty=2)
    row = np.zeros(1, np.int64)

    squared = sgd_epoch(row, row, np.float32([9]), users, items, rates, backend=backend)

    # error = 9 - (0.5 - 0.5 + 2 * 1 + 1 * 3) = 4; every number here is exact in float32
    assert squared == 16
    assert users.biases.tolist() == [0.5 + 0.25 * (4 - 2 * 0.5 * 0.5)]
    assert items.biases.tolist() == [-0.5 + 0.25 * (4 - 2 * 0.25 * -0.5)]
    assert users.factors.tolist() == [[2 + 0.5 * (4 * 1 - 0.5 * 2), 1 + 0.5 * (4 * 3 - 0.5 * 1)]]
    assert items.factors.tolist() == [[1 + 0.5 * (4 * 2 - 0.25 * 1), 3 + 0.5 * (4 * 1 - 0.25 * 3)]]


@pytest.mark.parametrize("backend", ["reference", *NATIVE])
@pytest.mark.parametrize("n_factors", [1, 7, 33])
def test_a_visit_goes_along_the_gradient(backend, n_factors):
    """Central differences of the loss in float64; steps of length 1, so that their rounding is small."""
    generator = np.random.default_rng(n_factors)
    users, items = random_table(generator, 4, n_factors), random_table(generator, 3, n_factors)
    rates = SgdRates(factor_rate=1, factor_penalty=0.3, bias_rate=1, bias_penalty=0.7)

    for user, item, rating in zip(*random_ratings(generator, 12, 4, 3)):
        shrinks = float(users.shrink[user]), float(items.shrink[item])

        def loss(x, shrinks=shrinks, rating=float(rating)):
            p, q = x[1 : n_factors + 1], x[n_factors + 2 :]
            error = rating - (x[0] + x[n_factors + 1] + p @ q)
            penalties = [
                shrink * (rates.bias_penalty * bias**2 + rates.factor_penalty * (factors @ factors))
                for shrink, bias, factors in zip(shrinks, (x[0], x[n_factors + 1]), (p, q))
            ]
            return (error**2 + sum(penalties)) / 2

        def unknowns(user=user, item=item):
            sides = ((users, user), (items, item))
            return np.concatenate([[t.biases[row], *t.factors[row]] for t, row in sides]).astype(np.float64)

        for table in (users, items):  # a long step would leave its neighbourhood at once
            table.factors[...] = generator.normal(size=table.factors.shape)
        before, h = unknowns(), 1e-5
        ends = [[loss(before + sign * h * unit) for unit in np.eye(len(before))] for sign in (1, -1)]
        one = [np.array([part]) for part in (user, item, rating)]
        sgd_epoch(*one, users, items, rates, backend=backend)
        np.testing.assert_allclose(
            before - unknowns(), (np.array(ends[0]) - ends[1]) / (2 * h), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("backend", ["reference", *NATIVE])
def test_pieces_of_an_epoch_are_the_epoch(backend):
    generator = np.random.default_rng(3)
    users, items = random_table(generator, 6, 11), random_table(generator, 5, 11)
    ratings = random_ratings(generator, 40, 6, 5)
    users_2, items_2 = copied(users), copied(items)

    sgd_epoch(*ratings, users, items, RATES, backend=backend)
    for start in (0, 13, 26):
        piece = [part[start : start + 13] if start < 26 else part[start:] for part in ratings]
        sgd_epoch(*map(np.ascontiguousarray, piece), users_2, items_2, RATES, backend=backend)

    assert bits(users) == bits(users_2) and bits(items) == bits(items_2)


@pytest.mark.skipif("cpu" not in NATIVE, reason="needs the native module")
@pytest.mark.parametrize("backend", ["reference", *NATIVE])
def test_flush_to_zero_in_the_caller_changes_nothing(backend):
    from gpurec._native import cpu as native

    generator = np.random.default_rng(4)
    users, items = random_table(generator, 4, 9), random_table(generator, 4, 9)
    users.factors[...] *= np.float32(1e-21)
    items.factors[...] *= np.float32(1e-21)  # products of about 1e-42, which flushing would make zero
    ratings = (*random_ratings(generator, 30, 4, 4)[:2], np.zeros(30, np.float32))
    users.biases[...] = items.biases[...] = 0
    users_2, items_2 = copied(users), copied(items)
    expected = sgd_epoch(*ratings, users, items, RATES, backend=backend)
    native.set_flush_denormal(True)
    try:
        got = sgd_epoch(*ratings, users_2, items_2, RATES, backend=backend)
    finally:
        native.set_flush_denormal(False)
    assert np.any(users.biases != 0), "the case is meant to live below float32's normal range"
    assert got == expected and bits(users) == bits(users_2) and bits(items) == bits(items_2)


def valid() -> dict:
    generator = np.random.default_rng(5)
    names = ("user_rows", "item_rows", "ratings")
    return {
        **dict(zip(names, random_ratings(generator, 8, 3, 4))),
        "users": random_table(generator, 3, 2),
        "items": random_table(generator, 4, 2),
        "rates": RATES,
    }


BAD = [
    ({"user_rows": np.full(8, 3)}, ValueError, "user_rows in 0..2"),
    ({"item_rows": np.full(8, -1)}, ValueError, "item_rows in 0..3"),
    ({"user_rows": np.zeros(8, np.int32)}, TypeError, "user_rows as a C-contiguous int64"),
    ({"ratings": np.zeros(8)}, TypeError, "ratings as a C-contiguous float32"),
    ({"ratings": [1.0] * 8}, TypeError, "got list"),
    ({"item_rows": np.zeros(7, np.int64)}, ValueError, "shape"),
    ({"user_rows": np.zeros(16, np.int64)[::2]}, TypeError, "C-contiguous"),
    ({"rates": replace(RATES, bias_rate=-1.0)}, ValueError, "bias_rate >= 0"),
    ({"rates": replace(RATES, factor_penalty=math.nan)}, ValueError, "factor_penalty >= 0"),
]


@pytest.mark.parametrize("backend", ["reference", *NATIVE])
@pytest.mark.parametrize(("change", "error", "text"), BAD)
def test_bad_input_is_refused_and_changes_nothing(backend, change, error, text):
    given = valid() | change
    before = bits(given["users"]), bits(given["items"])
    with pytest.raises(error, match=text) as caught:
        sgd_epoch(**given, backend=backend)
    assert str(caught.value).startswith("[sgd_epoch] expected ")
    assert (bits(given["users"]), bits(given["items"])) == before


def test_bad_tables_are_refused():
    given = valid()
    users, items = given["users"], given["items"]
    for table, text in [
        (replace(users, factors=np.zeros((3, 5), np.float32)), "equally many factors"),
        (replace(users, biases=np.zeros(2, np.float32)), "users.biases of shape"),
        (replace(users, shrink=np.zeros(2, np.float32)), "users.shrink of shape"),
        (FactorTable(items.factors, items.biases, items.shrink), "apart in memory"),
    ]:
        with pytest.raises(ValueError, match=text):
            sgd_epoch(**given | {"users": table})
    read_only = users.factors.copy()
    read_only.flags.writeable = False
    with pytest.raises(TypeError, match="writeable"):
        sgd_epoch(**given | {"users": replace(users, factors=read_only)})


@pytest.mark.skipif("cpu" not in NATIVE, reason="needs the native module")
def test_the_native_entry_never_leaves_its_tables():
    """The module itself refuses what would touch foreign memory, whoever calls it."""
    from gpurec._native import cpu as native

    given = valid()
    tables = [
        getattr(given[side], part) for part in ("factors", "biases", "shrink") for side in ("users", "items")
    ]
    ratings = [given[name] for name in ("user_rows", "item_rows", "ratings")]
    native.sgd_epoch(*ratings, *tables, **vars(RATES), isa="")
    for place, value in [
        (0, np.full(8, 3)),
        (1, np.full(8, 2**40)),
        (0, np.zeros(9, np.int64)),
        (4, np.zeros((4, 3), np.float32)),
        (5, np.zeros(2, np.float32)),
    ]:
        arrays = [*ratings, *tables]
        arrays[place] = value
        with pytest.raises(ValueError, match="expected"):
            native.sgd_epoch(*arrays, **vars(RATES), isa="")
    with pytest.raises(TypeError):  # a copy would be changed in the caller's place
        native.sgd_epoch(*ratings, tables[0].astype(np.float64), *tables[1:], **vars(RATES), isa="")
