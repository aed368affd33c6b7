"""Lists for users of whom nothing or little is known, beside popularity and beside the model alone.

    python bench/bench_cold_start.py            writes bench/results/cold_start.*
    python bench/bench_cold_start.py --quick    two folds of each data set; writes nothing

Needs lastfm-hetrec, filmtrust and ml-100k in the folder of the data sets (GPUREC_DATA, else ../shared/data).
Users are cut into ten parts by a seed, of which each in turn is cold. Variants are shown on the users of the
first five, where the defaults of `shrink` and `strength` were chosen; all figures are of the other five.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from harness.tables import RESULTS, keep, table, where_measured
from harness.timing import machine
from scipy.sparse import csr_array

from gpurec import GFCF, Interactions, Popularity, Social
from gpurec.config import data_folder
from gpurec.data import resolve_duplicates
from gpurec.evaluation import bootstrap_interval, ranking_metrics
from gpurec.models import Answers, ColdStart, FriendsVotes, Links, Registration, Segments

_K = 10
_FOLDS = 10
_METRICS = (f"recall@{_K}", f"ndcg@{_K}")
_KEPT = (1, 3, 5)
_STRENGTHS = (0.05, 0.1, 0.2, 0.5, 2.0)
_SHRINKS = (0.0, 1.0, 3.0, 10.0, 30.0)
_BASE = ("gf-cf", {"n_vectors": 64})
Figures = dict[str, dict[str, list[np.ndarray]]]


def lastfm() -> tuple[Interactions, Links]:
    """Plays of artists, and friends (each pair stands twice)."""
    folder = data_folder() / "lastfm-hetrec"
    columns = {"user": 0, "item": 1, "weight": 2}
    plays = Interactions.from_file(folder / "user_artists.dat", format="movielens", columns=columns)
    return resolve_duplicates(plays, "last")[0], Links.from_file(folder / "user_friends.dat")


def filmtrust() -> tuple[Interactions, Links]:
    """Ratings of films, every one counting, and whom users trust."""
    folder = data_folder() / "filmtrust"
    ratings = Interactions.from_file(folder / "ratings_qrec.txt")
    return resolve_duplicates(ratings, "last")[0], Links.from_file(folder / "trust_qrec.txt")


def movielens() -> tuple[Interactions, Answers]:
    """Ratings of films, every one counting, and what users said of themselves."""
    folder = data_folder() / "ml-100k"
    rows = [line.split("|") for line in (folder / "u.user").read_text(encoding="latin-1").splitlines()]
    users, ages, sexes, jobs, _ = zip(*rows)
    bands = [min(int(age) // 10, 6) for age in ages]
    answers = Answers(map(int, users), {"age": bands, "sex": sexes, "job": jobs})
    return Interactions.from_file(folder / "u.data"), answers


def folds(data: Interactions, kept: int, chosen: range) -> Iterator[tuple[Interactions, Interactions]]:
    """Training and test parts: of each tenth of the users all interactions but `kept` drawn ones are tested.

    Users with no more than `kept` interactions are never cold.
    """
    rng = np.random.default_rng(0)
    counts = np.bincount(data.user_rows, minlength=data.n_users)
    fold = rng.permutation(data.n_users) % _FOLDS
    order = np.lexsort((rng.random(len(data)), data.user_rows))
    place = np.empty(len(data), np.int64)  # of each interaction among its user's
    place[order] = np.arange(len(data)) - np.repeat(np.cumsum(counts) - counts, counts)
    for number in chosen:
        cold = (fold == number) & (counts > kept)
        held = cold[data.user_rows] & (place >= kept)
        yield data.take(~held), data.take(held)


def judge(figures: Figures, name: str, answers: Any, test: Interactions, users: np.ndarray) -> None:
    """Add the metrics of lists, `answers` being Recommendations of all test users, for some of them."""
    rows = np.full((len(answers), _K), -1)
    items = test.item_map.rows(answers.item_ids)
    for user, (first, end) in enumerate(zip(answers.indptr[:-1], answers.indptr[1:])):
        rows[user, : end - first] = items[first:end]
    relevant = csr_array(test.user_items[test.user_map.rows(answers.user_ids)] != 0).astype(np.float64)
    metrics = ranking_metrics(rows, relevant, k=_K)
    for metric in _METRICS:
        figures.setdefault(name, {}).setdefault(metric, []).append(metrics[metric][users])


def differences(figures: Figures, baseline: str) -> dict[str, Any]:
    """Means, and their differences from a baseline with 95 % intervals over users."""
    result = {}
    for name, metrics in figures.items():
        own: dict[str, Any] = {}
        for metric, parts in metrics.items():
            values, base = np.concatenate(parts), np.concatenate(figures[baseline][metric])
            change = bootstrap_interval(values, minus=base)
            own[metric] = {"mean": float(values.mean()), "n_users": len(values)}
            own[metric] |= {"change": change.estimate, "low": change.low, "high": change.high}
        result[name] = own
    return result


def cold_social(data: Interactions, links: Links, shrinks: Sequence[float], chosen: range) -> dict[str, Any]:
    """Users without history: friends' votes beside popularity, for those who have friends and for all."""
    with_friends: Figures = {}
    everyone: Figures = {}
    shares = []
    for train, test in folds(data, 0, chosen):
        model = GFCF(**_BASE[1]).fit(train)
        cold = test.user_map.ids(np.unique(test.user_rows))
        answers = {"popularity": Popularity().fit(train).recommend(cold, _K, unknown="popularity")}
        for shrink in shrinks:
            policy = ColdStart([FriendsVotes(links, shrink=shrink)])
            answers[f"friends, shrink {shrink:g}"] = model.recommend(cold, _K, unknown=policy)
            asked = answers[f"friends, shrink {shrink:g}"].sources == "social"
        shares.append(asked.mean())
        for name, found in answers.items():
            judge(with_friends, name, found, test, asked)
            judge(everyone, name, found, test, np.ones(len(cold), dtype=bool))
    return {
        "share_with_friends": float(np.mean(shares)),
        "with_friends": differences(with_friends, "popularity"),
        "everyone": differences(everyone, "popularity"),
    }


def few_social(
    data: Interactions, links: Links, kept: int, strengths: Sequence[float], chosen: range
) -> dict[str, Any]:
    """Users with few interactions who have friends: smoothing of gf-cf beside gf-cf."""
    figures: Figures = {}
    for train, test in folds(data, kept, chosen):
        model = Social(links, base=_BASE).fit(train)
        few = test.user_map.ids(np.unique(test.user_rows))
        asked = np.diff(model.friends.indptr)[model.user_map.rows(few)] > 0
        judge(figures, "popularity", Popularity().fit(train).recommend(few, _K), test, asked)
        judge(figures, "gf-cf", model.base.recommend(few, _K), test, asked)
        for strength in strengths:
            # The strength plays no part in fitting, which takes nearly all of the time.
            model.settings["strength"] = strength
            model._use(model.friends)
            judge(figures, f"social, strength {strength:g}", model.recommend(few, _K), test, asked)
    return differences(figures, "gf-cf")


def cold_registration(data: Interactions, answers: Answers, chosen: range) -> dict[str, Any]:
    """Users without history who answered questions: registration and segments beside popularity."""
    figures: Figures = {}
    for train, test in folds(data, 0, chosen):
        model = Popularity().fit(train)
        cold = test.user_map.ids(np.unique(test.user_rows))
        all_of_them = np.ones(len(cold), dtype=bool)
        judge(figures, "popularity", model.recommend(cold, _K, unknown="popularity"), test, all_of_them)
        for name, source in (("registration", Registration(answers)), ("segment", Segments(answers))):
            judge(figures, name, model.recommend(cold, _K, unknown=ColdStart([source])), test, all_of_them)
    return differences(figures, "popularity")


def run(first: range, second: range) -> dict[str, Any]:
    """All figures: variants on the first folds, the defaults on the second."""
    result: dict[str, Any] = {"machine": machine(len(os.sched_getaffinity(0))), "k": _K}
    result |= {"folds": [*second], "folds_of_variants": [*first]}
    shrink, strength = FriendsVotes(Links.from_arrays([], [])).shrink, Social().settings["strength"]
    began = perf_counter()
    for name, load in (("lastfm-hetrec", lastfm), ("filmtrust", filmtrust)):
        data, links = load()
        result[name] = {
            "cold": cold_social(data, links, [shrink], second),
            "few": {kept: few_social(data, links, kept, [strength], second) for kept in _KEPT},
            "variants": {
                "cold": cold_social(data, links, _SHRINKS, first),
                "few": {kept: few_social(data, links, kept, _STRENGTHS, first) for kept in _KEPT},
            },
        }
    data, answers = movielens()
    result["ml-100k"] = {"cold": cold_registration(data, answers, range(first.start, second.stop))}
    return result | {"seconds": perf_counter() - began}


def markdown(result: dict[str, Any]) -> str:
    """The tables of a result."""
    parts = [
        "# Users of whom nothing or little is known",
        where_measured(result["machine"]),
        "Users are cut into ten parts; of each tenth in turn all interactions, or all but a few drawn ones, "
        f"are held back and judged by; every one is relevant. Lists of {result['k']}; friends vote through "
        f"`gf-cf` with {_BASE[1]['n_vectors']} vectors. In brackets 95 % intervals, over users, of the "
        "difference from popularity, or from `gf-cf` for users with a few interactions. Figures are of "
        f"{len(result['folds'])} of the parts with default settings, variants of "
        f"{len(result['folds_of_variants'])} others.",
    ]
    for name in ("lastfm-hetrec", "filmtrust"):
        cold = result[name]["cold"]
        share = f"{cold['share_with_friends']:.0%} of the cold users have a friend with interactions"
        parts += [f"## {name}: no interactions", f"{share}; the others get popularity."]
        parts += ["Those with friends:", _table(cold["with_friends"]), "All:", _table(cold["everyone"])]
        for kept, figures in result[name]["few"].items():
            parts += [f"## {name}: {kept} interactions left, users with friends", _table(figures)]
    parts += ["## ml-100k: no interactions, but age band, sex and job", _table(result["ml-100k"]["cold"])]
    for name in ("lastfm-hetrec", "filmtrust"):
        variants = result[name]["variants"]
        parts += [f"## {name}: variants, no interactions, users with friends"]
        parts += [_table(variants["cold"]["with_friends"])]
        for kept, figures in variants["few"].items():
            parts += [f"## {name}: variants, {kept} interactions left", _table(figures)]
    return "\n\n".join(parts) + "\n"


def _table(figures: dict[str, Any]) -> str:
    rows = []
    for name, metrics in figures.items():
        cells = [name, str(metrics[_METRICS[0]]["n_users"])]
        for metric in _METRICS:
            found = metrics[metric]
            text = f"{found['mean']:.4f}"
            if found["low"] or found["high"]:
                text += f" ({found['change']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}])"
            cells.append(text)
        rows.append(cells)
    return table(["lists by", "users", *_METRICS], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two folds; writes nothing")
    parser.add_argument("--out", type=Path, help="folder of the results; bench/results, with --quick none")
    arguments = parser.parse_args()
    half = 1 if arguments.quick else _FOLDS // 2
    result = run(range(half), range(half, 2 * half))
    text = markdown(result)
    keep(arguments.out or (None if arguments.quick else RESULTS), "cold_start", result, text)
    print(text)


if __name__ == "__main__":
    main()
