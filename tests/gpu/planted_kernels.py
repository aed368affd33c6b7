"""Plants one defect at a time in the kernels, and shows which test finds it.

An emulated build (GPUREC_EMULATED and GPUREC_PLANTED_DEFECTS) holds every defect that csrc/cuda names by
`GPUREC_PLANTED(name)`, and the environment variable GPUREC_PLANTED_DEFECT chooses one; device compilers see
none of them. The build goes into an environment of its own below build/planted_kernels, unless --here says
that the running interpreter has one.

    python tests/gpu/planted_kernels.py --write docs/design/planted-kernels.md
    python tests/gpu/planted_kernels.py cuda_lane_order cuda_tail_tile
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
ENVIRONMENT = PROJECT / "build" / "planted_kernels"

HEAD = [
    "# Defects planted in kernels, and the tests that find them",
    "",
    "Each defect met one test of tests/gpu, emulated or traced, until three of its cases had failed.",
    "Made by `python tests/gpu/planted_kernels.py --write docs/design/planted-kernels.md`.",
    "",
]
COLUMNS = ["| defect | what | found by |", "| --- | --- | --- |"]

# What each defect is, and a test that must fail where it is planted.
DEFECTS = {
    "cuda_als_barrier_missing": (
        "tiles that are subtracted before they are solved",
        "kernels/test_als.py::test_rows_solve_their_equations",
    ),
    "cuda_als_weights_unawaited": (
        "weights of staged entries that are read before they are there",
        "kernels/test_als.py::test_rows_solve_their_equations",
    ),
    "cuda_bpr_rows_unawaited": (
        "a visit that does not wait for what the visit before it wrote",
        "kernels/test_bpr.py::test_an_epoch_has_the_bits_of_its_contract",
    ),
    "cuda_bpr_lengths_unawaited": (
        "the length of a row that other lanes are writing yet",
        "kernels/test_bpr.py::test_an_epoch_has_the_bits_of_its_contract",
    ),
    "cuda_bpr_blunt": (
        "margins without their sharpness",
        "kernels/test_bpr.py::test_an_epoch_has_the_bits_of_its_contract",
    ),
    "cuda_barrier_missing": ("a barrier left out", "kernels/test_searches.py::test_any_k"),
    "cuda_half_mask": ("a mask of 16 lanes", "kernels/test_kernels.py::test_a_table_is_what_numpy_makes"),
    "cuda_fence_missing": ("a fence left out", "kernels/test_traces.py::test_no_races"),
    "cuda_lane_order": (
        "lanes of the canonical sum in another order",
        "kernels/test_kernels.py::test_score_pairs",
    ),
    "cuda_threshold_leads": (
        "a threshold that leads",
        "kernels/test_searches.py::test_any_k",
    ),
    "cuda_count_not_atomic": (
        "a count that is not atomic",
        "kernels/test_searches.py::test_a_scan_lets_nothing_through",
    ),
    "cuda_past_shared": ("a write past shared memory", "kernels/test_searches.py::test_any_k"),
    "cuda_slot_unwritten": ("a slot that nobody wrote", "kernels/test_searches.py::test_plain"),
    "cuda_key_without_row": ("a key without its row", "kernels/test_searches.py::test_plain"),
    "cuda_tail_tile": ("the last tile of an odd number", "kernels/test_searches.py::test_plain"),
    "cuda_copy_not_awaited": (
        "copies that are not waited for",
        "kernels/test_kernels.py::test_scan_values_are_near_dots",
    ),
    "cuda_overflow_dropped": (
        "overflow dropped",
        "kernels/test_searches.py::test_a_full_list_is_not_an_answer",
    ),
    "cuda_filter_late": (
        "a filter asked after the threshold rose",
        "kernels/test_searches.py::test_what_is_denied_raises_no_threshold",
    ),
    "cuda_fragment_order": (
        "fragments of codes in another order",
        "kernels/test_kernels.py::test_scan_values_are_integer_dots",
    ),
    "cuda_status_stale": ("a status left from before", "kernels/test_searches.py::test_plain"),
    "cuda_near_above": ("NaN that does not come near", "kernels/test_searches.py::test_any"),
    "cuda_sample_unfiltered": ("a sample of what is denied", "kernels/test_searches.py::test_filters"),
    "cuda_supposition_trusted": (
        "a supposition not looked at",
        "kernels/test_searches.py::test_a_full_list_is_not_an_answer",
    ),
}


def defects_in_sources() -> set[str]:
    """Every defect that is named in the kernels."""
    texts = [path.read_text() for path in (PROJECT / "csrc" / "cuda").rglob("*.cuh")]
    return {name for text in texts for name in re.findall(r"GPUREC_PLANTED\((\w+)\)", text)}


def build() -> Path:
    """The Python of an environment with a planted build of its own."""
    venv.EnvBuilder(with_pip=False, clear=True).create(ENVIRONMENT)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(ENVIRONMENT)}))
    own = {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    (site / "packages_of_the_caller.pth").write_text("\n".join(sorted(own)) + "\n")
    options = [f"-Ccmake.define.GPUREC_{name}=ON" for name in ("EMULATED", "PLANTED_DEFECTS")]
    options += ["-C", f"build-dir={ENVIRONMENT / 'objects'}", "--target", str(site)]
    if importlib.util.find_spec("scikit_build_core") and importlib.util.find_spec("pybind11"):
        options.append("--no-build-isolation")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *options, str(PROJECT)], check=True
    )
    return ENVIRONMENT / "bin" / "python"


def run_test(python: str, test: str, defect: str = "") -> str:
    """Which parameters of a test failed, or how it ended otherwise; empty where it passed."""
    environment = os.environ | {"GPUREC_PLANTED_DEFECT": defect}
    for name in ("PYTHONPATH", *(["GPUREC_PLANTED_DEFECT"] if not defect else [])):
        environment.pop(name, None)
    pytest = [python, "-m", "pytest", "-q", "--tb=no", "-rfE", "--maxfail=3", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*pytest, f"tests/gpu/{test}"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    found = re.findall(r"^(?:FAILED|ERROR) \S*?(\w+\.py::\S+)", run.stdout, flags=re.MULTILINE)
    if run.returncode == 1 and found:
        return ", ".join(found)
    if run.returncode < 0:
        return f"ended by signal {-run.returncode}"
    if run.returncode != 0:
        raise RuntimeError(f"{test}: pytest itself failed\n{run.stdout[-500:]}{run.stderr[-500:]}")
    print(run.stdout[-500:], file=sys.stderr)
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("defects", nargs="*", help="names to plant; all by default")
    parser.add_argument("--here", action="store_true", help="this interpreter's gpurec is a planted build")
    parser.add_argument("--write", type=Path, metavar="FILE", help="where the table goes")
    arguments = parser.parse_args()
    if arguments.write and arguments.defects:
        parser.error("a table that is written has all defects")
    python = sys.executable if arguments.here else str(build())
    wanted = arguments.defects or sorted(DEFECTS)
    n_found, lines = 0, []
    for defect in wanted:
        found = run_test(python, DEFECTS[defect][1], defect)
        n_found += bool(found)
        lines.append(f"| {defect} | {DEFECTS[defect][0]} | {found or '**NOT FOUND**'} |")
        print(lines[-1], flush=True)
    told = f"{n_found} of {len(wanted)} found"
    if arguments.write:
        arguments.write.write_text("\n".join([*HEAD, f"{told}.", "", *COLUMNS, *lines]) + "\n")
    print(told)
    return 0 if n_found == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
