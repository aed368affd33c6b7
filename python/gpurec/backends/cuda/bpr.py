"""Op `bpr` on a device: epochs are cut into blocks on the host, negatives drawn and rows moved by kernels."""

from __future__ import annotations

import math

import numpy as np

from ..ranking import BLOCKS, DRAWS, GOLDEN, RankingJob, epoch_key, mix, user_bounds, weights_among
from ..sparse_rows import SparseRows
from .launches import Launcher
from .params import RankingParams
from .search import Workspace, Workspaces

__all__ = ["RankingOnDevice"]

_DRAWING_THREADS, _ROUND_WARPS = 256, 4  # of blocks of `bpr_draws` and `bpr_round`
_NOT_VISITED = np.int32(-(1 << 31))  # added to a place


class RankingOnDevice:
    """Epochs of one call.

    Parameters
    ----------
    launcher : Launcher
    workspaces : Workspaces
    job : RankingJob
    """

    def __init__(self, launcher: Launcher, workspaces: Workspaces, job: RankingJob) -> None:
        self._launcher, self._workspaces, self._job = launcher, workspaces, job
        # Pulls and rows of a visit's negatives, for each warp.
        self._shared = 2 * 4 * -(-job.n_negatives // 4) * 4 * _ROUND_WARPS

    @property
    def can(self) -> bool:
        """Whether a block's shared memory holds a visit's negatives."""
        return self._shared <= self._launcher.properties["shared_per_block"]

    def run(
        self,
        positives: SparseRows,
        visited: np.ndarray | None,
        keys: np.ndarray | None,
        user_factors: np.ndarray,
        item_factors: np.ndarray,
        item_biases: np.ndarray,
        weights: np.ndarray | None,
        among: np.ndarray | None,
    ) -> tuple[float, int, int, int]:
        """As `Backend.bpr_epochs`. Tables of the caller change at the end alone."""
        job, launcher = self._job, self._launcher
        weights = weights_among(weights, among, positives.n_columns)
        if job.n_epochs == 0 or len(positives.columns) == 0:
            return 0.0, 0, 0, 0
        loss, counted = 0.0, np.zeros(3, np.int64)
        tables = {"users": user_factors, "items": item_factors, "biases": item_biases}
        once = dict(tables)
        if keys is not None:
            once["keys"] = keys
        if weights is not None and (weights > 1).any():  # else those that may be drawn are alike
            once["weights"] = weights
        arranged = _arranged(positives, visited, weights, job, job.first_epoch)
        n_tasks = job.n_item_blocks * job.n_user_blocks
        sizes = {name: array.nbytes for name, array in (once | arranged).items()}
        n_draws = job.n_negatives * job.n_candidates
        sizes |= {"negatives": 4 * len(positives.columns) * n_draws, "counts": 32 * n_tasks}
        sizes |= {"shifts": 8 * n_tasks, "fractions": 8 * n_tasks}
        with self._workspaces.own() as workspace:
            at = workspace.lay_out(sizes)
            for name, array in once.items():
                launcher.write(at[name], array, workspace.stream)
            params = RankingParams(
                **{name: at[name] for name in sizes},
                rate=np.float32(job.learning_rate),
                penalty=np.float32(job.regularisation),
                bias_rate=np.float32(job.bias_learning_rate),
                bias_penalty=np.float32(job.bias_regularisation),
                sharpness=np.float32(job.sharpness),
                n_positives=len(positives.columns),
                n_user_blocks=job.n_user_blocks,
                n_item_blocks=job.n_item_blocks,
                n_negatives=job.n_negatives,
                n_draws=n_draws,
                d=user_factors.shape[1],
                user_stride=user_factors.shape[1],
                item_stride=item_factors.shape[1],
                softmax=job.loss == "softmax",
                unit=job.unit,
                move_users=job.move_users,
                move_positives=job.move_positives,
                move_negatives=job.move_negatives,
            )
            for epoch in range(job.first_epoch, job.first_epoch + job.n_epochs):
                if epoch > job.first_epoch and job.n_item_blocks > 1:
                    arranged = _arranged(positives, visited, weights, job, epoch)
                if epoch == job.first_epoch or job.n_item_blocks > 1:
                    for name, array in arranged.items():
                        launcher.write(at[name], array, workspace.stream)
                params.draw_key = epoch_key(job.seed, epoch, DRAWS)
                of_epoch, n_of_epoch = self._epoch(params, workspace)
                loss += of_epoch
                counted += n_of_epoch
            for name, table in tables.items():
                if job.move_users if name == "users" else job.items_move:
                    launcher.read_into(at[name], table, workspace.stream)
            launcher.synchronise(workspace.stream)
        terms = job.n_negatives if job.loss == "bpr" else 1
        n_visits, n_right, n_skipped = counted.tolist()
        return loss / terms, n_visits, n_right, n_skipped

    def _epoch(self, params: RankingParams, workspace: Workspace) -> tuple[float, np.ndarray]:
        """Its losses added up; visits, negatives that scored less, and positives that were skipped."""
        launcher, stream = self._launcher, workspace.stream
        blocks = -(-params.n_positives // _DRAWING_THREADS)
        launcher.launch("bpr_draws", params, blocks=blocks, stream=stream)
        for turn in range(params.n_item_blocks):
            params.round = turn
            blocks = -(-params.n_user_blocks // _ROUND_WARPS)
            launcher.launch("bpr_round", params, blocks=blocks, shared=self._shared, stream=stream)
            launcher.synchronise(stream)  # so that Ctrl-C is heard between rounds
        n_tasks = params.n_item_blocks * params.n_user_blocks
        shifts, fractions = np.empty(n_tasks), np.empty(n_tasks)
        counts = np.empty((n_tasks, 4), np.int64)
        for address, array in (
            (params.shifts, shifts),
            (params.fractions, fractions),
            (params.counts, counts),
        ):
            launcher.read_into(address, array, stream)
        launcher.synchronise(stream)
        losses = shifts + np.log(fractions) + counts[:, 0] * math.log(2)
        return float(losses.sum()), counts[:, 1:].sum(axis=0)


def _arranged(
    positives: SparseRows, visited: np.ndarray | None, weights: np.ndarray | None, job: RankingJob, epoch: int
) -> dict[str, np.ndarray]:
    """Fields of `RankingParams` that say which items an epoch's blocks have, and in which order it visits."""
    n_items, n_blocks = positives.n_columns, job.n_item_blocks
    block = np.zeros(n_items, np.int64)
    if n_blocks > 1:
        block = _blocks_of_items(n_items, n_blocks, epoch_key(job.seed, epoch, BLOCKS))
    drawable = np.ones(n_items, bool) if weights is None else weights > 0
    item_of = np.lexsort((~drawable, block)).astype(np.int32)
    place_of = np.empty(n_items, np.int32)
    place_of[item_of] = np.arange(n_items, dtype=np.int32)
    sizes = np.bincount(block, minlength=n_blocks)
    # Positives come by user and item: runs of both blocks keep that order.
    positives_of = np.diff(positives.indptr[user_bounds(positives.indptr, job.n_user_blocks)])
    run = np.repeat(np.arange(job.n_user_blocks) * n_blocks, positives_of) + block[positives.columns]
    n_runs = job.n_user_blocks * n_blocks
    order = np.argsort(run.astype(np.min_scalar_type(n_runs)), kind="stable")  # by radix up to 2^16 runs
    places = place_of[positives.columns[order]]
    if visited is not None:
        places[~visited[order]] += _NOT_VISITED
    ends = np.cumsum(np.bincount(run, minlength=n_runs)).reshape(job.n_user_blocks, n_blocks)
    starts = np.r_[0, ends[:-1, -1]][:, np.newaxis]
    found = {
        "users_of": positives.owners[order].astype(np.int32),
        "places": places,
        "item_of": item_of,
        "block_of": block[item_of].astype(np.int32),
        "first_place": np.r_[0, np.cumsum(sizes)],
        "n_drawable": np.bincount(block[drawable], minlength=n_blocks),
        "first_visit": np.concatenate([starts, ends], axis=1),
    }
    if weights is not None and (weights > 1).any():
        ordered = weights[item_of].astype(np.uint64)
        sums = np.r_[np.uint64(0), np.cumsum(ordered, dtype=np.uint64)]
        first, last = found["first_place"][:-1], found["first_place"][1:]
        found["before"] = sums[:-1] - sums[first][found["block_of"]]
        found["totals"] = sums[last] - sums[first]
    return found


def _blocks_of_items(n_items: int, n_blocks: int, key: int) -> np.ndarray:
    """A block by chance for each item: the upper half of the product of its number and `n_blocks`."""
    z = mix(np.arange(n_items, dtype=np.uint64) * np.uint64(GOLDEN) + np.uint64(key))
    low, high = z & np.uint64(0xFFFFFFFF), z >> np.uint64(32)
    # Below 2^17 blocks neither product nor sum leaves 64 bits.
    product = high * np.uint64(n_blocks) + (low * np.uint64(n_blocks) >> np.uint64(32))
    return (product >> np.uint64(32)).astype(np.int64)
