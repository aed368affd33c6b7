"""Plants one defect at a time in the host code of backend `cuda`, and shows which test finds it.

A defect is a line of `python/gpurec/backends/cuda` as it is and as it would be wrong. It is written into the
package of the environment that `planted_kernels.py` builds, whose emulated device then runs one test.

    python tests/gpu/planted_host.py
    python tests/gpu/planted_host.py cuda_host_mask_dropped
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from planted_kernels import PROJECT, build, run_test

PACKAGE = PROJECT / "python" / "gpurec" / "backends" / "cuda"


@dataclass(frozen=True)
class Defect:
    """What is wrong: in which file, which text instead of which, and a test that must fail."""

    what: str
    file: str
    right: str
    wrong: str
    test: str


DEVICE, HOST = "test_device_arrays.py::", "test_host_side.py::"
MATRICES = "test_device_matrices.py::"
DEFECTS = {
    "cuda_host_mask_dropped": Defect(
        "a mask that no kernel is told of",
        "search.py",
        'params.items.permits = at["permits"]',
        "pass",
        DEVICE + "test_filters_on_the_device",
    ),
    "cuda_host_deny_lost": Defect(
        "the last kind of denied rows left out",
        "search.py",
        "params.n_deny = len(inputs.deny)",
        "params.n_deny = max(len(inputs.deny) - 1, 0)",
        DEVICE + "test_filters_on_the_device",
    ),
    "cuda_host_sets_taken_for_sorted": Defect(
        "a caller's sets taken for sorted ones",
        "search.py",
        "unsorted=at[unsorted] if sets.raw else 0",
        "unsorted=0",
        DEVICE + "test_filters_on_the_device",
    ),
    "cuda_host_shared_too_little": Defect(
        "less shared memory than a kernel takes",
        "search.py",
        "return MMA_BYTES + queries * MMA_BYTES_OF_QUERY",
        "return queries * MMA_BYTES_OF_QUERY",
        HOST + "test_blocks_of_queries_bound_the_workspace",
    ),
    "cuda_host_workspace_not_zeroed": Defect(
        "a workspace in which nobody left zeros",
        "search.py",
        "self.launcher.fill(self._buffer.address, 0, self._buffer.n_bytes, self.stream)",
        "pass",
        DEVICE + "test_a_search_stays_on_the_device",
    ),
    "cuda_host_graph_shares_its_workspace": Defect(
        "a graph whose workspace others use",
        "search.py",
        "self._reserved.remove(workspace)",
        "self._of_stream[stream] = self._reserved.pop(0)",
        DEVICE + "test_a_graph_has_its_workspace_for_itself",
    ),
    "cuda_host_stream_ignored": Defect(
        "kernels on our stream instead of the caller's",
        "launches.py",
        "where = self.stream if stream is None else stream",
        "where = self.stream",
        DEVICE + "test_a_graph_answers_what_changes",
    ),
    "cuda_host_waits": Defect(
        "a search of device arrays that waits",
        "device_search.py",
        "return rows, scores, _check_of(launcher, status, stream, op)",
        "launcher.synchronise(stream)\n        return rows, scores, _check_of(launcher, status, stream, op)",
        DEVICE + "test_nothing_waits_for_a_search",
    ),
    "cuda_host_status_unread": Defect(
        "a status that nobody looks at",
        "device_search.py",
        "bad = np.flatnonzero(found & bit)",
        "bad = np.flatnonzero(found & 0)",
        DEVICE + "test_what_is_wrong_comes_with_check",
    ),
    "cuda_host_blocks_of_queries": Defect(
        "a later block that asks the first one's queries",
        "device_search.py",
        "source=queries.address + first * stride * 4",
        "source=queries.address",
        DEVICE + "test_many_queries_go_in_blocks",
    ),
    "cuda_host_blocks_of_sets": Defect(
        "a later block that has the first one's filters",
        "device_search.py",
        "DeviceSets(indptr.address + first * 8, rows.address, 0, n_sets, raw=True)",
        "DeviceSets(indptr.address, rows.address, 0, n_sets, raw=True)",
        DEVICE + "test_many_queries_go_in_blocks",
    ),
    "cuda_host_blocks_of_status": Defect(
        "a later block whose status replaces the first one's",
        "device_search.py",
        '"status": status.address + first * 4',
        '"status": status.address',
        DEVICE + "test_many_queries_go_in_blocks",
    ),
    "cuda_host_pieces_of_a_matrix": Defect(
        "a later piece of a matrix that is written over the first one",
        "matrices.py",
        "(left.start * n_b + right.start) * 4",
        "left.start * n_b * 4",
        MATRICES + "test_large_matrices_go_in_pieces",
    ),
    "cuda_host_other_streams": Defect(
        "rows that another library may still be writing",
        "backend.py",
        "self._follow(a, b, out)",
        "self._follow(a)",
        MATRICES + "test_another_library_s_stream_is_waited_for",
    ),
    "cuda_host_invalid_rows": Defect(
        "rows with NaN that become zeros",
        "matrices.py",
        'squares=at[f"{self.name}_squares"],',
        'squares=at[f"{self.name}_squares"], status=at[f"{self.name}_squares"],',
        MATRICES + "test_what_is_not_finite_is_seen",
    ),
    "cuda_host_list_room": Defect(
        "a list with less room than kernels are told",
        "planning.py",
        '"entries": m * plan.capacity * 8',
        '"entries": m * plan.capacity * 4',
        HOST + "test_blocks_of_queries_bound_the_workspace",
    ),
    "cuda_host_removed_is_found": Defect(
        "an item that stays when its row gets another",
        "table.py",
        "        row_of[old[old != NO_ROW]] = NO_ROW\n        row_of[positions] = rows[order]",
        "        row_of[positions] = rows[order]",
        HOST + "test_versions_share_storage_and_stay_what_they_are",
    ),
    "cuda_host_storage_written_twice": Defect(
        "branches of a version that write into the same tiles",
        "table.py",
        "first = storage.n_used",
        "first = table.n_tiles",
        HOST + "test_branches_of_one_version_do_not_meet",
    ),
    "cuda_host_merged_without_which": Defect(
        "sets made one of which each query gets its own number's",
        "host.py",
        "sets.of(i) for sets in last",
        "sets.rows[sets.indptr[i % (len(sets.indptr) - 1)] :][:60] for sets in last",
        HOST + "test_more_kinds_of_denied_rows_than_kernels_take",
    ),
    "cuda_host_memory_unasked": Defect(
        "memory that is not asked for beforehand",
        "table.py",
        "launcher.memory.require(",
        "(lambda *_: None)(",
        HOST + "test_too_little_memory_is_said_with_both_figures",
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("defects", nargs="*", help="names to plant; all by default")
    parser.add_argument("--built", type=Path, metavar="PYTHON", help="of a planted environment that is there")
    arguments = parser.parse_args()
    python = str((arguments.built or build()).absolute())
    ask = "import gpurec.backends.cuda as b; print(b.__path__[0])"
    told = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True, cwd="/")
    package = Path(told.stdout.strip())
    wanted, n_found = arguments.defects or sorted(DEFECTS), 0
    for name in wanted:
        defect = DEFECTS[name]
        target, text = package / defect.file, (PACKAGE / defect.file).read_text()
        if text.count(defect.right) != 1:
            raise RuntimeError(f"{name}: {defect.file} has {text.count(defect.right)} times {defect.right!r}")
        try:
            target.write_text(text.replace(defect.right, defect.wrong))
            found = run_test(python, defect.test)
        finally:
            target.write_text(text)
        n_found += bool(found)
        print(f"| {name} | {defect.what} | {found or '**NOT FOUND**'} |", flush=True)
    print(f"{n_found} of {len(wanted)} found")
    return 0 if n_found == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
