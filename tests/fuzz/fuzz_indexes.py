"""Loads and uses thousands of saved indexes with nonsense in them: an ArtifactError or rows of the index.

    python tests/fuzz/fuzz_indexes.py [--n 5000] [--seed 0]

The nonsense is in the tensors and settings of `gpurec.item_index`, with all hashes right. What loads is
searched, changed, compacted and saved again; answers may be wrong, their rows may not lie outside the index
or stand twice. The work is done in a child process with a cap on its address space, so a crash is seen and a
huge allocation fails.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import gpurec
from gpurec.artifacts import read_artifact, write_artifact
from gpurec.errors import ArtifactError

KIND = "gpurec.item_index"
MB = 1 << 20
VALUES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3e38, -1.0, 1e20]
SETTINGS: dict[str, list[Any]] = {
    "n_rows": [0, 1, 599, 600, 601, 2**20, 2**24, 2**32 - 2, 2**32, -1, True, None, 1.0],
    "version": [0, 2**62, 2**80, -1, None],
    "boosted": [True, False, 0, None],
    "metric": ["dot", "cosine", "pearson", "euclidean", "", None],
    "precision": ["auto", "fp32", "", 3],
    "ids": [{}, {"ids": {}}, {"ids": {"encoding": "int64"}}, [], None],
}
Content = tuple[dict[str, np.ndarray], dict[str, Any]]


def change_values(rng: np.random.Generator, tensors: dict[str, np.ndarray], name: str) -> np.ndarray:
    array = tensors[name].copy()
    flat = array.reshape(-1)
    at = rng.random(flat.size) < rng.choice([0.002, 0.1, 1.0])
    if array.dtype == np.float32:
        flat[at] = rng.choice(VALUES, int(at.sum())).astype(np.float32)
    else:
        flat[at] = rng.integers(0, rng.choice([2, 600, 700, 2**31]), int(at.sum())).astype(array.dtype)
    return array


def change_shape(rng: np.random.Generator, tensors: dict[str, np.ndarray], name: str) -> np.ndarray:
    array = tensors[name]
    ways = [
        array[: int(rng.integers(0, len(array) + 1))],
        np.concatenate([array, array[: int(rng.integers(0, len(array) + 1))]]),
        array[..., np.newaxis],
        array.reshape(-1),
        array[..., :0],
        array.T,
        array.astype(rng.choice([np.float64, np.float16, np.int32, np.uint32, np.float32])),
        array[rng.permutation(len(array))],
    ]
    with np.errstate(all="ignore"):
        return ways[int(rng.integers(0, len(ways)))]


def mutate(rng: np.random.Generator, content: Content, other: Content) -> Content:
    """One to three changes of values, shapes and settings, or tensors of another index."""
    tensors, meta = dict(content[0]), dict(content[1])
    for _ in range(int(rng.integers(1, 4))):
        name = str(rng.choice(list(tensors))) if tensors else "row_of"
        way = rng.choice(["values", "values", "shape", "settings", "drop", "other"])
        with np.errstate(all="ignore"):
            if way == "values" and name in tensors:
                tensors[name] = change_values(rng, tensors, name)
            elif way == "shape" and name in tensors:
                tensors[name] = change_shape(rng, tensors, name) if tensors[name].ndim else tensors[name]
        if way == "settings":
            setting = str(rng.choice(list(SETTINGS)))
            meta[setting] = SETTINGS[setting][int(rng.integers(0, len(SETTINGS[setting])))]
        elif way == "drop":
            tensors.pop(name, None)
        elif way == "other":
            tensors.update({name: other[0][name] for name in other[0] if rng.random() < 0.5})
    return tensors, meta


def use(rng: np.random.Generator, index: gpurec.ItemIndex, folder: Path) -> None:
    """What serving code does with an index; nothing of it may leave the index's arrays."""
    for turn in range(2):
        queries = rng.standard_normal((int(rng.choice([1, 3, 60])), index.d)).astype(np.float32)
        for k in (1, 10, 200):
            check(index.search(queries, k).rows, index.n_items)
        above = index.search_above(queries[:1], float(rng.choice([-np.inf, 0.0, 1.0])))
        check(above.rows[np.newaxis], index.n_items)
        if turn == 0 and index.n_items < 2**31:
            index.append(
                queries, ids=[f"new {i}" for i in range(len(queries))] if index.ids is not None else None
            )
            index.update([0], queries[:1])
            index.remove([0, index.n_items - 1])
            index.save(folder)
            index.compact()


def check(rows: np.ndarray, n_items: int) -> None:
    assert rows.min(initial=0) >= -1 and rows.max(initial=-1) < n_items
    for found in rows:
        assert len(np.unique(found[found >= 0])) == np.count_nonzero(found >= 0), "a row twice"


def contents() -> list[Content]:
    rng = np.random.default_rng(0)
    found = []
    for metric, backend in (("dot", "cpu"), ("euclidean", "cpu"), ("cosine", "cpu"), ("dot", "reference")):
        with tempfile.TemporaryDirectory() as folder:
            index = gpurec.ItemIndex(
                rng.standard_normal((600, 3)),
                metric=metric,
                ids=[f"item {i}" for i in range(600)] if metric == "cosine" else None,
                backend=backend,
            )
            index.remove([5, 599])
            index.save(folder)
            artifact = read_artifact(folder, KIND)
            found.append((artifact.tensors, artifact.meta))
    return found


def fuzz(n: int, seed: int) -> dict[str, Any]:
    """Load and use `n` mutants in this process; counts of what happened."""
    originals = contents()
    address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (address_space + 2048 * MB, resource.RLIM_INFINITY))
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as base:
        for number in range(n):
            rng = np.random.default_rng([seed, number])
            tensors, meta = mutate(rng, originals[number % 4], originals[int(rng.integers(0, 4))])
            write_artifact(Path(base) / "mutant", KIND, tensors, meta)
            try:
                index = gpurec.ItemIndex.load(
                    Path(base) / "mutant", mmap=bool(number // 4 % 2), backend="cpu"
                )
            except ArtifactError as error:
                assert str(error).startswith("[load] expected ") and len(str(error)) < 2000
                outcomes["refused"] += 1
                continue
            except Exception as error:
                raise AssertionError(f"mutant {number}") from error
            try:
                use(rng, index, Path(base) / "again")
            except Exception as error:
                raise AssertionError(f"mutant {number}: {index}") from error
            outcomes["used"] += 1
    return {"mutants": n, "seed": seed, "outcomes": dict(outcomes)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(fuzz(arguments.n, arguments.seed)))
        return 0
    command = [sys.executable, __file__, "--child", "--n", str(arguments.n), "--seed", str(arguments.seed)]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if child.returncode:
        print(f"fuzz_indexes: failed with status {child.returncode} (negative: killed by that signal)")
        return 1
    result = json.loads(child.stdout)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(result["outcomes"].items()))
    print(f"{result['mutants']} mutants (seed {result['seed']}): {counts}; no crash, no row outside an index")
    return 0


if __name__ == "__main__":
    sys.exit(main())
