"""The search for settings of `bpr` on gowalla, on a split of the training part alone, and their measurement.

    python bench/search_bpr.py split --set loss=softmax --set n_negatives=64 ...   # one setting on the split
    python bench/search_bpr.py search bpr --trials 12 --seed 1    # random settings on the split, best first
    python bench/search_bpr.py search softmax --trials 8 --seed 1
    python bench/search_bpr.py test --set ...                     # the published test part: once, when chosen

A run of a fifth of each user's training items is held out, which ranks models as the published test part does
(bench/search_sums.py); settings are judged by recall@20 and NDCG@20 of 3,000 users after every few epochs, so
the number of epochs is chosen there too.
The folder of the data sets: GPUREC_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from typing import Any

import numpy as np
from search_sums import runs

from gpurec import BPR, Interactions
from gpurec.config import data_folder
from gpurec.ops.sparse_arguments import as_sparse_rows

SEED, N_JUDGED, K = 21, 3000, 20
# Low, high, and whether the logarithm is uniform.
RANGES = {
    "bpr": {"learning_rate": (0.02, 0.2), "regularisation": (0.002, 0.03), "init_scale": (0.02, 0.2)},
    "softmax": {"learning_rate": (0.02, 0.3), "regularisation": (0.001, 0.03), "init_scale": (0.02, 0.2)},
}
CHOICES = {
    "bpr": {"negatives": ["uniform", "hard", "popularity"], "bias_learning_rate": [None, 0.0]},
    "softmax": {"n_negatives": [16, 64], "bias_learning_rate": [None, 0.0]},
}
EPOCHS = {"bpr": (320, 40), "softmax": (60, 10)}


def gowalla(part: str) -> Interactions:
    return Interactions.from_file(data_folder() / "gowalla" / f"{part}.txt", format="adjacency")


class Judge:
    """Recall and NDCG of a model's lists for some users with held-out items."""

    def __init__(self, model_maps: Interactions, held_out: Interactions, n_users: int | None) -> None:
        users = model_maps.user_map.rows(held_out.user_map.ids(), unknown="ignore")[held_out.user_rows]
        items = model_maps.item_map.rows(held_out.item_map.ids(), unknown="ignore")[held_out.item_rows]
        self.wanted: dict[int, set[int]] = {}
        for user, item in zip(users.tolist(), items.tolist()):
            self.wanted.setdefault(user, set()).add(item)
        self.users = np.array(sorted(user for user in self.wanted if user >= 0))
        if n_users is not None and n_users < len(self.users):
            self.users = np.sort(np.random.default_rng(SEED).permutation(self.users)[:n_users])

    def __call__(self, model: BPR) -> tuple[float, float]:
        found = model.recommend_rows(self.users, K).rows
        discounts = 1 / np.log2(np.arange(2, K + 2))
        recall, ndcg = 0.0, 0.0
        for user, rows in zip(self.users.tolist(), found.tolist()):
            wanted = self.wanted[user]
            hits = np.array([row in wanted for row in rows])
            recall += hits.sum() / len(wanted)
            ndcg += (hits * discounts).sum() / discounts[: min(len(wanted), K)].sum()
        return recall / len(self.users), ndcg / len(self.users)


def follow(settings: dict[str, Any], train: Interactions, judge: Judge, every: int) -> list[tuple]:
    """(recall, ndcg, epoch, seconds of epochs alone) every few epochs; stops where it got worse twice."""
    reached: list[tuple] = []
    began, judging = time.perf_counter(), 0.0

    def watch(epoch: int, model: BPR, metrics: dict[str, Any]) -> bool:
        nonlocal judging
        if epoch % every and epoch != settings["n_epochs"]:
            return False
        start = time.perf_counter()
        figures = judge(model)
        judging += time.perf_counter() - start
        reached.append((*figures, epoch, start - began - judging + time.perf_counter() - start))
        print(
            f"    epoch {epoch}: recall {figures[0]:.4f} ndcg {figures[1]:.4f}  loss {metrics['loss']:.4f}  "
            f"{reached[-1][3]:.1f} s",
            flush=True,
        )
        best = max(range(len(reached)), key=lambda i: sum(reached[i][:2]))
        return len(reached) - 1 - best >= 2

    try:
        BPR(**settings).fit(train, callback=watch, progress=False)
    except ValueError as error:
        print(f"    {error}")
    return reached


def draw(loss: str, generator: np.random.Generator) -> dict[str, Any]:
    """One random setting, rounded so that it can be written down."""
    drawn: dict[str, Any] = {
        name: float(f"{math.exp(generator.uniform(math.log(low), math.log(high))):.2g}")
        for name, (low, high) in RANGES[loss].items()
    }
    for name, choices in CHOICES[loss].items():
        drawn[name] = choices[int(generator.integers(len(choices)))]
    return {"loss": loss, **drawn, "n_epochs": EPOCHS[loss][0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("task", choices=("search", "split", "test"))
    parser.add_argument("loss", nargs="?", default="bpr", choices=tuple(RANGES))
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--every", type=int, help="epochs between two judgements")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON")
    arguments = parser.parse_args()
    fixed: dict[str, Any] = {}
    for pair in arguments.set:
        name, _, value = pair.partition("=")
        try:
            fixed[name] = json.loads(value)
        except json.JSONDecodeError:
            fixed[name] = value
    whole = gowalla("train")
    if arguments.task == "test":
        model = BPR(**fixed)
        began = time.perf_counter()
        model.fit(whole, progress=False)
        seconds = time.perf_counter() - began
        recall, ndcg = Judge(whole, gowalla("test"), None)(model)
        print(f"test: recall {recall:.4f} ndcg {ndcg:.4f}  {seconds:.1f} s  {json.dumps(fixed)}")
        return
    train, held_out = runs(whole, SEED)
    as_sparse_rows(train.user_items, "interactions", "search")
    judge = Judge(train, held_out, N_JUDGED)
    generator = np.random.default_rng(arguments.seed)
    results = []
    for _ in range(arguments.trials if arguments.task == "search" else 1):
        settings = (draw(arguments.loss, generator) if arguments.task == "search" else {}) | fixed
        print(json.dumps(settings), flush=True)
        every = arguments.every or EPOCHS[settings.get("loss", "bpr")][1]
        reached = follow({"n_epochs": 100, **settings}, train, judge, every)
        if reached:
            results.append((max(reached, key=lambda r: r[0] + r[1]), settings))
    for (recall, ndcg, epoch, seconds), settings in sorted(results, key=lambda r: -(r[0][0] + r[0][1])):
        print(f"{recall:.4f} {ndcg:.4f} after {epoch} epochs, {seconds:.1f} s: {json.dumps(settings)}")


if __name__ == "__main__":
    main()
