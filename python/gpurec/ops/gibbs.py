"""Op `gibbs`: one side of a Bayesian factorisation drawn anew, given the other side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import Backend, GibbsSide, SparseRows, select, strict_floats
from .sparse_arguments import as_sparse_rows

__all__ = ["GibbsDraw", "GibbsSide", "gibbs_half_sweep"]

_TABLES = ("own", "vectors", "means")


@dataclass(frozen=True)
class GibbsDraw:
    """Which numbers a half sweep draws.

    Attributes
    ----------
    seed : int
        0..2^64-1.
    sweep : int
        0..2^32-1; the same number draws the same, so that a stopped chain can go on.
    number : int
        0 for one side of the model, 1 for the other.
    random : bool
        False takes the mean of each distribution in place of a draw: alternating least squares.

    Examples
    --------
    >>> GibbsDraw(seed=1).sweep
    0
    """

    seed: int
    sweep: int = 0
    number: int = 0
    random: bool = True


@strict_floats()
def gibbs_half_sweep(
    ratings: Any,
    others: GibbsSide,
    side: GibbsSide,
    draw: GibbsDraw,
    *,
    backend: str | Backend | None = None,
) -> np.ndarray:
    """Draw one side's vectors from the normal distributions that ratings and priors leave for them.

    The model: a rating of row r with the other side's row o is v_r[0] + z_o[0] + sum over f >= 1 of
    v_r[f] z_o[f] plus normal noise of precision `side.precisions[r] * others.precisions[o]`. Here v_r is the
    row's own part plus x_uj w_j over the features j of its owner u, which is the row itself unless
    `side.owners` says another; own parts and weights w have normal priors of a diagonal precision. Weights
    are drawn one after another, component by component, then each row's own part as a whole: so one half
    sweep of Gibbs sampling.

    Parameters
    ----------
    ratings : sparse matrix, shape (n_rows, n_others)
        Ratings of this side's rows, less their mean; every stored entry is one.
    others : GibbsSide
        The other side, of whose tables `vectors` and `precisions` are read.
    side : GibbsSide
        `own`, `vectors`, `means` and `weights` are changed in place.
    draw : GibbsDraw
    backend : str or Backend, optional
        Devices have no kernel for it: "cuda" and "cupy" compute it on the host.

    Returns
    -------
    float64 array, shape (n_rows,)
        Sum of each row's squared errors after the draw, each times the other's precision.

    Raises
    ------
    ValueError
        If shapes disagree, a number is not finite or out of range, or a group has no prior.
    TypeError
        If a table is not a C-contiguous float64 array, writeable where it is changed.

    Notes
    -----
    Float64 in one fixed sequence of operations, without libm, so the bits depend on the input alone, not on
    threads or backend; normal numbers come from counters (Philox 4x32, ten rounds, of the seed, the sweep,
    the side and the row). Time: width^2 a rating, width an entry of the features, width^3 a row; so rows
    that share an owner cost its features once. Memory: with features 4 width^2 + 12 width bytes a row and
    16 width an owner (4 width^2 more where rows share owners), without them none to speak of.

    Source: Salakhutdinov and Mnih 2008, "Bayesian probabilistic matrix factorization using Markov chain
    Monte Carlo"; Rendle 2012, "Factorization machines with libFM", section 3.3, for features.

    Examples
    --------
    >>> users, items = GibbsSide.of(1, 3), GibbsSide.of(2, 3)
    >>> gibbs_half_sweep([[1.0, -1.0]], items, users, GibbsDraw(0, random=False)).tolist()
    [2.0]
    >>> users.precisions[:] = 8
    >>> errors = gibbs_half_sweep([[2.0, 1.0]], items, users, GibbsDraw(0, random=False))
    >>> round(float(users.vectors[0, 0]), 4)  # the bias, pulled from 1.5 to 0 by a prior of precision 1
    1.4118
    """
    op = "gibbs_half_sweep"
    rows = as_sparse_rows(ratings, "ratings", op)
    if not (isinstance(others, GibbsSide) and isinstance(side, GibbsSide) and isinstance(draw, GibbsDraw)):
        raise TypeError(f"[{op}] expected two of GibbsSide and one of GibbsDraw; do: GibbsSide.of(...)")
    _check_table("others.vectors", others.vectors, (rows.n_columns, None), writeable=False)
    width = others.vectors.shape[1]
    for precisions, n in ((others.precisions, rows.n_columns), (side.precisions, rows.n_rows)):
        _check_precisions(precisions, n)
    for name in _TABLES:
        _check_table(name, getattr(side, name), (rows.n_rows, width))
    _check_owners(side.features, side.owners, rows.n_rows)
    n_features = side.features.n_rows
    _check_table("weights", side.weights, (n_features, width))
    for name in ("prior_means", "prior_precisions"):
        _check_table(name, getattr(side, name), (len(side.prior_means), width), writeable=False)
    _check_groups(side.groups, n_features, len(side.prior_means))
    if not (side.prior_precisions > 0).all():
        raise ValueError(f"[{op}] expected prior precisions above 0, got {side.prior_precisions.min()}")
    tables = [getattr(side, name) for name in (*_TABLES, "weights")]
    if any(np.may_share_memory(a, b) for i, a in enumerate(tables) for b in (others.vectors, *tables[:i])):
        raise ValueError(f"[{op}] expected tables apart in memory, got overlapping ones; copy one")
    return select(backend).gibbs_half_sweep(rows, others, side, **_checked(draw))


def _check_table(name: str, table: Any, shape: tuple[int, int | None], writeable: bool = True) -> None:
    sound = isinstance(table, np.ndarray) and table.dtype == np.float64 and table.flags.c_contiguous
    if not sound or (writeable and not table.flags.writeable):
        got = f"{table.dtype}" if isinstance(table, np.ndarray) else type(table).__name__
        raise TypeError(
            f"[gibbs_half_sweep] expected {name} as a C-contiguous {'writeable ' * writeable}float64 array, "
            f"got {got}; do: np.array({name}, dtype=np.float64)"
        )
    if table.ndim != 2 or table.shape[0] != shape[0] or shape[1] not in (None, table.shape[1]):
        raise ValueError(f"[gibbs_half_sweep] expected {name} of shape {shape}, got {table.shape}")
    if table.shape[1] == 0:
        raise ValueError(f"[gibbs_half_sweep] expected a width of 1 or more in {name}, got 0")
    if not np.isfinite(table).all():
        raise ValueError(f"[gibbs_half_sweep] expected finite numbers in {name}, got others; draw anew")


def _check_precisions(precisions: Any, n: int) -> None:
    if not isinstance(precisions, np.ndarray) or precisions.dtype != np.float64 or precisions.shape != (n,):
        raise ValueError(f"[gibbs_half_sweep] expected precisions as a float64 array of {n} rows, one each")
    if not (np.isfinite(precisions) & (precisions > 0)).all():
        raise ValueError("[gibbs_half_sweep] expected precisions above 0 and finite, got others")


def _check_owners(features: Any, owners: Any, n_rows: int) -> None:
    if not isinstance(features, SparseRows) or (owners is None and features.n_columns != n_rows):
        raise ValueError(
            f"[gibbs_half_sweep] expected features as SparseRows of {n_rows} columns, a feature a row; "
            "see GibbsSide"
        )
    if owners is None:
        return
    if not isinstance(owners, np.ndarray) or owners.dtype != np.int32 or owners.shape != (n_rows,):
        raise ValueError(f"[gibbs_half_sweep] expected owners as an int32 array of {n_rows} rows, one each")
    if n_rows and not 0 <= owners.min() <= owners.max() < features.n_columns:
        raise ValueError(
            f"[gibbs_half_sweep] expected owners of 0..{features.n_columns - 1}, as features have columns, "
            f"got {owners.min()} to {owners.max()}"
        )


def _check_groups(groups: Any, n_features: int, n_groups: int) -> None:
    if not isinstance(groups, np.ndarray) or groups.dtype != np.int32 or groups.shape != (n_features,):
        raise ValueError(
            f"[gibbs_half_sweep] expected groups as an int32 array of {n_features} features, a group each"
        )
    if n_groups < 1 or (n_features and not 1 <= groups.min() <= groups.max() < n_groups):
        raise ValueError(
            f"[gibbs_half_sweep] expected groups of 1..{n_groups - 1}, which have a prior, got others"
        )


def _checked(draw: GibbsDraw) -> dict[str, Any]:
    if not isinstance(draw.random, bool):
        raise TypeError(f"[gibbs_half_sweep] expected random as True or False, got {draw.random!r}")
    found: dict[str, Any] = {"random": draw.random}
    for name, bound in (("seed", 1 << 64), ("sweep", 1 << 32), ("number", 2)):
        value = getattr(draw, name)
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"[gibbs_half_sweep] expected {name} as an integer, got {value!r}")
        if not 0 <= value < bound:
            raise ValueError(f"[gibbs_half_sweep] expected {name} in 0..{bound - 1}, got {value}")
        found[name] = int(value)
    return found
