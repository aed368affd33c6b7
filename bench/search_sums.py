"""The search for a weighted sum of models that ranks gowalla better than each of them, on its training part.

    python bench/search_sums.py                 # three draws of the split, 5,000 users each; about 15 minutes
    python bench/search_sums.py --draws 1 --users 500

The judging part is a run of a fifth of each user's list in the file's order, from a random place. Numbers
of items in the file follow their first appearance, so a run lies together, as items visited on one trip do;
models come out in the order that published figures on the test part have, which they do not where that fifth
is drawn one by one (docs/design/0016-beyond-graph-filters.md). The test part is not read.

The folder of the data sets: GPUREC_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from scipy.sparse import csr_array

from gpurec import Interactions, top_k
from gpurec.config import data_folder
from gpurec.evaluation import ranking_metrics
from gpurec.models import BSPM, SLIM, P3alpha, Recommender, UserKNN

K = 20
SHARE = 0.2
USERS_AT_ONCE = 384
# Of each model: what a twentieth place scores, by which its scores are divided before they are weighted.
MODELS: dict[str, tuple[Recommender, float]] = {
    "slim": (SLIM(l1=1, l2=40), 0.16),
    "p3alpha": (P3alpha(), 0.088),
    "user-knn": (UserKNN(), 0.99),
    "bspm 1.5": (BSPM(sharpening=1.5), 0.074),
    "bspm 2": (BSPM(sharpening=2.0), 0.067),
    "bspm 2.5": (BSPM(), 0.065),
}
FILTERS = [name for name in MODELS if name.startswith("bspm")]


def runs(records: Interactions, seed: int) -> tuple[Interactions, Interactions]:
    """What is learnt from, and a run of each user's list."""
    order = np.argsort(records.user_rows, kind="stable")
    counts = np.bincount(records.user_rows, minlength=records.n_users)
    n_held = np.floor(counts * SHARE).astype(np.int64)
    room = counts - n_held + 1
    first = np.floor(np.random.default_rng(seed).random(records.n_users) * room).astype(np.int64)
    place = np.arange(len(records)) - np.repeat(np.cumsum(counts) - counts, counts)
    owner = records.user_rows[order]
    held = np.empty(len(records), bool)
    held[order] = (place >= first[owner]) & (place < (first + n_held)[owner])
    return records.take(~held), records.take(held)


def sums(scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each model alone, and every sum of the search."""
    found = dict(scores)
    for with_slim, by, times, walks, users in product(
        (0, 1), FILTERS, (1.5, 2.5, 4), (0, 1, 2.5), (0, 0.5, 1)
    ):
        name = f"{with_slim} slim + {times} {by} + {walks} p3alpha + {users} user-knn"
        found[name] = (
            np.float32(with_slim) * scores["slim"]
            + np.float32(times) * scores[by]
            + np.float32(walks) * scores["p3alpha"]
            + np.float32(users) * scores["user-knn"]
        )
    return found


def judged(records: Interactions, seed: int, n_users: int) -> dict[str, np.ndarray]:
    """Recall and NDCG of every sum, the means over some users of one draw."""
    train, held = runs(records, seed)
    for model, _ in MODELS.values():
        model.fit(train)
    shape = (records.n_users, records.n_items)
    seen, relevant = (
        csr_array((np.ones(len(part), np.float32), (part.user_rows, part.item_rows)), shape=shape)
        for part in (train, held)
    )
    asked = np.random.default_rng(99).permutation(np.flatnonzero(np.diff(relevant.indptr)))[:n_users]
    totals: dict[str, np.ndarray] = {}
    for start in range(0, len(asked), USERS_AT_ONCE):
        users = np.sort(asked)[start : start + USERS_AT_ONCE]
        own = seen[users].tocoo()
        scores = {}
        for name, (model, divisor) in MODELS.items():
            rows = model._score_rows(users)
            scores[name] = np.where(np.isneginf(rows), 0, rows) / np.float32(divisor)
        for name, total in sums(scores).items():
            masked = total.copy()
            masked[own.row, own.col] = -np.inf
            metrics = ranking_metrics(top_k(masked, K).rows, relevant[users], k=K)
            figures = np.array([metrics[f"{metric}@{K}"].sum() for metric in ("recall", "ndcg")])
            totals[name] = totals.get(name, 0) + figures
    return {name: total / len(asked) for name, total in totals.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--users", type=int, default=5000, help="judged in each draw")
    arguments = parser.parse_args()
    records = Interactions.from_file(data_folder() / "gowalla" / "train.txt", format="adjacency")
    draws = [judged(records, 21 + draw, arguments.users) for draw in range(arguments.draws)]
    means = {name: np.mean([draw[name] for draw in draws], axis=0) for name in draws[0]}
    for name, (recall, ndcg) in sorted(means.items(), key=lambda named: -named[1].sum()):
        print(f"{name:48s} recall {recall:.5f} ndcg {ndcg:.5f}")


if __name__ == "__main__":
    main()
