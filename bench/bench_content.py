"""What features are good for: items and users whom the training part lacks, on citeulike-a and ml-100k.

    python bench/bench_content.py            writes bench/results/content.*
    python bench/bench_content.py --quick    one small part of ml-100k; writes nothing

Needs citeulike-a and ml-100k in the folder of the data sets (GPUREC_DATA, else ../shared/data). Weights of
blocks are learnt on items held out of the training part, never on the test part; other settings are the
defaults.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness.tables import RESULTS, keep, table, where_measured
from harness.timing import machine

from gpurec import ContentBased, IdMap, Interactions, Popularity
from gpurec.config import data_folder
from gpurec.evaluation.bootstrap import bootstrap_interval
from gpurec.features import Categorical, FeatureTable, MultiLabel, Numeric, Text

_K = 20
_SHARE = 10  # one of so many items, or users, is held out
_SEED = 0
_GIVEN = 5  # liked items of a cold user that are told


@dataclass(frozen=True)
class Data:
    """Pairs of user and item, and what is known of both."""

    name: str
    users: np.ndarray
    items: np.ndarray
    item_features: FeatureTable
    user_features: FeatureTable | None


def citeulike() -> Data:
    """Articles by the tags that readers gave them and by the articles that they cite or are cited by."""
    folder = data_folder() / "citeulike-a"

    def rows(file: str) -> list[list[int]]:
        return [list(map(int, line.split()))[1:] for line in (folder / file).read_text().splitlines()]

    libraries, tags, cited = rows("users.dat"), rows("item-tag.dat"), rows("citations.dat")
    linked = [set(of) for of in cited]
    for article, of in enumerate(cited):
        for other in of:
            linked[other].add(article)
    schema = {"tags": MultiLabel(), "citations": MultiLabel()}
    columns = {"tags": tags, "citations": [sorted(of) for of in linked]}
    users = np.repeat(np.arange(len(libraries)), [len(of) for of in libraries])
    features = FeatureTable(range(len(tags)), columns, schema)
    return Data("citeulike-a", users, np.concatenate([np.array(of, int) for of in libraries]), features, None)


def movielens() -> Data:
    """Films by genres, title and year; people by age, sex, job and region."""
    folder = data_folder() / "ml-100k"

    def lines(file: str) -> list[list[str]]:
        return [
            line.split("|") for line in (folder / file).read_text(encoding="latin-1").splitlines() if line
        ]

    genres = [line[0] for line in lines("u.genre")]
    films, people = lines("u.item"), lines("u.user")
    ratings = np.loadtxt(folder / "u.data", dtype=np.int64)
    columns = {
        "genres": [[genre for genre, flag in zip(genres, film[5:]) if flag == "1"] for film in films],
        "title": [film[1].rpartition(" (")[0] for film in films],
        "year": [film[2][-4:] for film in films],
    }
    schema = {"genres": MultiLabel(), "title": Text(), "year": Numeric(n_knots=8)}
    of_users = {
        "age": [int(person[1]) for person in people],
        "sex": [person[2] for person in people],
        "job": [person[3] for person in people],
        "region": [person[4][:1] for person in people],
    }
    user_schema = {
        "age": Numeric(n_knots=5),
        "sex": Categorical(),
        "job": Categorical(),
        "region": Categorical(),
    }
    return Data(
        "ml-100k",
        ratings[:, 0],
        ratings[:, 1],
        FeatureTable([int(film[0]) for film in films], columns, schema),
        FeatureTable([int(person[0]) for person in people], of_users, user_schema),
    )


def held_out(ids: np.ndarray, seed: int) -> np.ndarray:
    """A tenth of the ids."""
    distinct = np.unique(ids)
    return np.random.default_rng(seed).permutation(distinct)[: len(distinct) // _SHARE]


def figures(lists: np.ndarray, truth: dict[Any, set[Any]], users: np.ndarray) -> dict[str, Any]:
    """recall@K of users with its interval: hits among an array (n, K) of ids / items of the user."""
    recalls = np.array(
        [len(truth[user] & set(of)) / len(truth[user]) for user, of in zip(users.tolist(), lists.tolist())]
    )
    interval = bootstrap_interval(recalls)
    return {
        "recall": float(recalls.mean()),
        "interval": [interval.low, interval.high],
        "n": len(recalls),
    }


def ids_of(rows: np.ndarray, item_map: IdMap) -> np.ndarray:
    """Ids of rows; -1, which is no id here, where there is no row."""
    return np.where(rows >= 0, item_map.ids(np.maximum(rows, 0)), -1)


def truths(users: np.ndarray, items: np.ndarray) -> dict[Any, set[Any]]:
    found: dict[Any, set[Any]] = {}
    for user, item in zip(users.tolist(), items.tolist()):
        found.setdefault(user, set()).add(item)
    return found


def cold_items(data: Data) -> dict[str, Any]:
    """Items held out completely: lists among them alone, and among all unseen items."""
    cold = held_out(data.items, _SEED)
    is_cold = np.isin(data.items, cold)
    # Rows in an order that says nothing: items of which a model knows nothing tie, and go by their rows.
    order = np.random.default_rng(_SEED).permutation(data.item_features.id_map.ids())
    train = Interactions.from_arrays(data.users[~is_cold], data.items[~is_cold], item_map=IdMap(order))
    warm = held_out(train.item_ids(), _SEED + 1)
    inner = np.isin(train.item_ids(), warm)
    truth = truths(data.users[is_cold], data.items[is_cold])
    asked = np.array(sorted(set(truth) & set(train.user_map)))
    columns = list(data.item_features.schema)

    def content(**more: Any) -> ContentBased:
        return ContentBased(**more).fit(train, item_features=data.item_features)

    def learnt() -> ContentBased:
        small = ContentBased().fit(
            train.take(~inner), item_features=data.item_features, validation=train.take(inner)
        )
        weights = {
            block.name: float(weight) for block, weight in zip(small.blocks.blocks, small.blocks.weights)
        }
        return content(block_weights=weights)

    models: dict[str, Callable[[], Any]] = {"popularity": lambda: Popularity().fit(train)}
    for column in columns:
        models[f"content, {column} alone"] = lambda column=column: content(blocks={column: [column]})
    models["content, equal weights"] = content
    models["content, learnt weights"] = learnt
    found: dict[str, Any] = {}
    for name, make in models.items():
        model = make()
        rows = model.user_map.rows(asked)
        among = {"cold": model.item_map.rows(cold), "all": None}
        found[name] = {
            which: figures(
                ids_of(model.recommend_rows(rows, _K, allow=allow).rows, model.item_map), truth, asked
            )
            for which, allow in among.items()
        }
        if isinstance(model, ContentBased):
            found[name]["weights"] = model.blocks.weights.round(3).tolist()
            found[name]["d"] = model.blocks.d
    drawn = np.random.default_rng(_SEED).permuted(np.tile(cold, (len(asked), 1)), axis=1)[:, :_K]
    found["random among the held out"] = {"cold": figures(drawn, truth, asked)}
    return {"n_cold": len(cold), "n_items": len(order), "n_test": int(is_cold.sum()), "models": found}


def cold_users(data: Data) -> dict[str, Any]:
    """Users held out completely: by their registration, and by five of their items."""
    cold = held_out(data.users, _SEED)
    is_cold = np.isin(data.users, cold)
    train = Interactions.from_arrays(data.users[~is_cold], data.items[~is_cold])
    rng = np.random.default_rng(_SEED)
    given, truth = {}, {}
    for user, items in truths(data.users[is_cold], data.items[is_cold]).items():
        drawn = rng.permutation(sorted(items)).tolist()
        given[user], truth[user] = drawn[:_GIVEN], set(drawn[_GIVEN:])
    asked = np.array(sorted(user for user in truth if truth[user]))
    denied = [given[user] for user in asked.tolist()]
    model = ContentBased().fit(train, item_features=data.item_features, user_features=data.user_features)
    likings = ContentBased().fit(train, user_features=data.user_features)
    people = data.user_features.take(data.user_features.id_map.rows(asked))
    histories = {user: given[user] for user in asked.tolist()}

    def lists(found: Any) -> np.ndarray:
        of = dict(found)
        return np.array([[item for item, _ in of[user]] for user in asked.tolist()])

    def by_registration(model: ContentBased) -> Any:
        return model.recommend_new(features=people, k=_K, deny=denied)

    answers = {
        "popularity": lambda: Popularity().fit(train).recommend(asked, _K, deny=denied, unknown="popularity"),
        "content of films, by registration": lambda: by_registration(model),
        f"content of films, by {_GIVEN} items": lambda: model.recommend_new(histories, k=_K),
        "content of films, by both": lambda: model.recommend_new(histories, k=_K, features=people),
        "items by their users, by registration": lambda: by_registration(likings),
        f"items by their users, by {_GIVEN} items": lambda: likings.recommend_new(histories, k=_K),
        "items by their users, by both": lambda: likings.recommend_new(histories, k=_K, features=people),
    }
    found = {name: figures(lists(ask()), truth, asked) for name, ask in answers.items()}
    return {"n_cold": len(cold), "given": _GIVEN, "answers": found}


def run(quick: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"machine": machine(len(os.sched_getaffinity(0))), "k": _K}
    films = movielens()
    if quick:
        few = films.users <= 120
        return result | {
            "cold_items": {
                "ml-100k": cold_items(
                    Data("ml-100k", films.users[few], films.items[few], films.item_features, None)
                )
            }
        }
    articles = citeulike()
    result["cold_items"] = {data.name: cold_items(data) for data in (articles, films)}
    result["cold_users"] = {films.name: cold_users(films)}
    return result


def markdown(result: dict[str, Any]) -> str:
    """The tables of a result."""
    parts = ["# Features: new items and new users", where_measured(result["machine"])]
    parts.append(
        f"recall@{result['k']}: hits / test items of the user, mean over users with a test item, with 95 % "
        "intervals (bootstrap over users). One draw each; made by `python bench/bench_content.py`."
    )
    for name, found in result["cold_items"].items():
        parts.append(f"## {name}: items held out completely")
        parts.append(
            f"{found['n_cold']} of {found['n_items']} items have no training interaction "
            f"({found['n_test']} test pairs). Popularity knows nothing of them: among them alone its lists "
            "are as random, and among all items it never names one. Weights, in the order of the models of "
            "one block, are learnt on other items held out of the training part."
        )
        rows = [
            [
                model,
                recall_text(of["cold"]),
                recall_text(of["all"]) if "all" in of else "-",
                ", ".join(map(str, of["weights"])) if len(of.get("weights", ())) > 1 else "-",
                str(of.get("d", "-")),
            ]
            for model, of in found["models"].items()
        ]
        parts.append(table(["model", "among the held out", "among all unseen", "weights", "d"], rows))
    for name, found in result.get("cold_users", {}).items():
        parts.append(f"## {name}: users held out completely")
        parts.append(
            f"{found['n_cold']} users without a training interaction; {found['given']} of their items are "
            "told or not, and judged by the others. Registration: age, sex, job, first digit of the zip code."
        )
        rows = [[how, recall_text(of)] for how, of in found["answers"].items()]
        parts.append(table(["answer", "recall"], rows))
    return "\n\n".join(parts) + "\n"


def recall_text(found: dict[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['recall']:.4f} [{low:.4f}-{high:.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small; writes nothing")
    parser.add_argument("--out", type=Path, help="folder of the results; bench/results, with --quick none")
    arguments = parser.parse_args()
    result = run(arguments.quick)
    text = markdown(result)
    keep(arguments.out or (None if arguments.quick else RESULTS), "content", result, text)
    print(text)


if __name__ == "__main__":
    main()
