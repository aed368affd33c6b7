"""Reads thousands of damaged and hostile artefacts: an ArtifactError or the right content, and little memory.

    python tests/fuzz/fuzz_artifacts.py [--n 5000] [--seed 0]

Half of the mutants are *signed*: the hashes and sizes in the manifest are made right again, as an attacker
would, so that the checks behind the hashes are reached. Those may load, and then every tensor must be what
the manifest says and lie inside the file. All others must be refused or give the very content that was
saved. Each mutant is read three ways: whole, mapped, and mapped with its hash. The work is done in a child
process with a cap on its address space, so a crash is seen and a huge allocation fails.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from artifact_mutations import MB, SIGNED, UNSIGNED, Mutant

from gpurec.artifacts import Artifact, ids_from_tensors, ids_to_tensors, read_artifact, write_artifact
from gpurec.artifacts.layout import DTYPES
from gpurec.errors import ArtifactError
from gpurec.types import IdMap

KIND = "fuzzed"


def content(seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    generator = np.random.default_rng(seed)
    ids, ids_meta = ids_to_tensors("item_ids", IdMap([f"item {i}" for i in range(40)] + [1, ("a", None)]))
    tensors = {
        "factors": generator.standard_normal((7, 3)).astype(np.float32),
        "rows": generator.integers(0, 100, 5),
        "seen": generator.random(9) < 0.5,
        "scale": np.array(generator.random()),
        "codes": generator.integers(-127, 127, (6, 5)).astype(np.int8),
        "empty": np.zeros((0, 4), dtype=np.float16),
    }
    return {**tensors, **ids}, {"n_factors": 3, "rate": 0.05, "name": "mf ü", **ids_meta}


def check(artifact: Artifact, signed: bool, verified: bool, originals: list[tuple[dict, dict]]) -> None:
    """Whether what was loaded may have been loaded."""
    for tensor in artifact.tensors.values():
        assert tensor.dtype in DTYPES.values() and tensor.flags.aligned
        assert tensor.nbytes == math.prod(tensor.shape) * tensor.itemsize < MB
        assert tensor.tobytes() is not None
    if not signed:
        matches = [
            (tensors, meta)
            for tensors, meta in originals
            if artifact.meta == meta and artifact.tensors.keys() == tensors.keys()
        ]
        assert matches, "another content"
        equal = [
            all(
                tensor.dtype == artifact.tensors[name].dtype
                and tensor.shape == artifact.tensors[name].shape
                and (not verified or tensor.tobytes() == artifact.tensors[name].tobytes())
                for name, tensor in tensors.items()
            )
            for tensors, _ in matches
        ]
        assert any(equal), "other tensors"
    ids_from_tensors("item_ids", artifact.tensors, artifact.meta)


def fuzz(n: int, seed: int) -> dict[str, Any]:
    """Read `n` mutants in this process; counts of what happened."""
    address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (address_space + 512 * MB, resource.RLIM_INFINITY))
    outcomes: Counter[str] = Counter()
    worst = 0.0
    with tempfile.TemporaryDirectory() as base:
        originals = [content(1), content(2)]
        pristine = [Path(base) / "one", Path(base) / "two"]
        for folder, (tensors, meta) in zip(pristine, originals):
            write_artifact(folder, KIND, tensors, meta)
        tracemalloc.start()
        for number in range(n):
            pick = random.Random(f"{seed} {number}")
            mutate = pick.choice(UNSIGNED if number % 2 else SIGNED)
            folder = Path(base) / "mutant"
            shutil.copytree(pristine[0], folder)
            mutate(Mutant(folder, pristine[1], pick))
            stats = [entry.lstat() for entry in folder.iterdir()]
            on_disk = sum(min(stat.st_size, 512 * stat.st_blocks) for stat in stats)  # holes do not count
            allowed = 2 * on_disk + 64 * MB
            for options in ({}, {"mmap": True}, {"mmap": True, "verify": True}):
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                try:
                    artifact = read_artifact(folder, KIND, **options)
                    check(artifact, number % 2 == 0, options != {"mmap": True}, originals)
                    outcome = "loaded"
                    del artifact
                except ArtifactError as error:
                    assert str(error).startswith("[load] expected ") and len(str(error)) < 2000
                    outcome = "refused"
                except Exception as error:
                    raise AssertionError(f"mutant {number}: {mutate.__name__}, {options}") from error
                peak = tracemalloc.get_traced_memory()[1] - before
                assert peak <= allowed, f"mutant {number} ({mutate.__name__}) took {peak} bytes"
                worst = max(worst, peak)
                outcomes[f"{mutate.__name__} {outcome}"] += 1
            shutil.rmtree(folder)
    return {"mutants": n, "seed": seed, "worst_peak_mb": round(worst / MB, 1), "outcomes": dict(outcomes)}


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
        print(f"fuzz_artifacts: failed with status {child.returncode} (negative: killed by that signal)")
        return 1
    result = json.loads(child.stdout)
    for name, count in sorted(result["outcomes"].items()):
        print(f"{name:30} {count:6}")
    print(
        f"{result['mutants']} mutants (seed {result['seed']}), each read 3 ways: no crash, no wrong content;"
    )
    print(f"largest allocation {result['worst_peak_mb']} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
