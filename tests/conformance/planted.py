"""Plants one defect at a time in the native module, and shows which test finds it.

A test build (CMake option GPUREC_PLANTED_DEFECTS) holds every defect that is named in csrc/ by
`GPUREC_PLANTED(name)`, and the environment variable GPUREC_PLANTED_DEFECT chooses one. The build goes into an
environment of its own below build/planted, so the installed gpurec stays as it is. A defect meets the tests
that found it before, by the table, and then the whole suite where they do not. The sample of the suite is
stated at the head of the table.

    python tests/conformance/planted.py --write docs/design/planted.md
    python tests/conformance/planted.py --part 1/2 --write docs/design/planted.md
    python tests/conformance/planted.py --examples 140 scan_keep_strict order_larger_row_first
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import time
import venv
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from gpurec.backends.cpu import available_isas, native
from gpurec.config import n_threads

PROJECT = Path(__file__).resolve().parents[2]
SUITE = PROJECT / "tests" / "conformance"
ENVIRONMENT = PROJECT / "build" / "planted"
EXAMPLES = 64  # two cases of each kind
FEWEST_DEFECTS = 70
TABLE = PROJECT / "docs" / "design" / "planted.md"
# These first, where no test is known to find a defect: they meet most defects within seconds.
FIRST = ("test_score_top_k.py", "test_directions.py", "test_item_index.py", "test_int8_index.py")
SECONDS = 600  # for one run of the sample; one that takes longer hangs
NOT_FOUND = "**NOT FOUND**"
ENOUGH = 3  # failures after which a run ends: the defect is found, mostly on every native member


@dataclass
class Outcome:
    """What the suite said about one defect: failures by test function, or how the run itself ended."""

    defect: str
    seconds: float
    failures: Counter[str] = field(default_factory=Counter)
    ending: str = ""

    @property
    def found(self) -> bool:
        return bool(self.failures or self.ending)

    def finders(self) -> str:
        tests = [f"`{test}` ({count})" for test, count in self.failures.most_common()]
        return ", ".join([self.ending] * bool(self.ending) + tests) or NOT_FOUND


def defects_in_sources() -> list[str]:
    """Every name that csrc/ asks about."""
    named: set[str] = set()
    for path in sorted((PROJECT / "csrc").rglob("*.[hc]pp")):
        if path.name != "planted.hpp":
            named |= set(re.findall(r"GPUREC_PLANTED\((\w+)\)", path.read_text()))
    return sorted(named)


def without_processor(defects: list[str]) -> list[str]:
    """Those of the defects that lie in arithmetic which no ISA of this processor has."""
    has_bf16 = any(native.has_bf16(isa) for isa in available_isas())
    return [] if has_bf16 else [name for name in defects if name.startswith("bf16_")]


def build() -> Path:
    """Build gpurec with its defects into an environment of its own; returns that environment's Python.

    The packages of the running interpreter are added by path alone, so that an editable gpurec among them,
    which hooks imports, does not take part.
    """
    venv.EnvBuilder(with_pip=False, clear=True).create(ENVIRONMENT)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(ENVIRONMENT)}))
    own = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # An environment's path file may name another's packages; one in a folder that was added is not read.
    own |= {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    (site / "packages_of_the_caller.pth").write_text("\n".join(sorted(own)) + "\n")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    if importlib.util.find_spec("scikit_build_core") and importlib.util.find_spec("pybind11"):
        command.append("--no-build-isolation")
    options = ["-C", "cmake.define.GPUREC_PLANTED_DEFECTS=ON", "-C", f"build-dir={ENVIRONMENT / 'objects'}"]
    subprocess.run([*command, *options, str(PROJECT)], check=True)
    return ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def rows_of_table(path: Path = TABLE) -> dict[str, str]:
    """What the table says of each defect."""
    text = path.read_text() if path.exists() else ""
    return dict(re.findall(r"^\| (\w+) \| (.*) \|$", text, flags=re.MULTILINE))


def known_finders(defect: str) -> list[str]:
    """Tests that found the defect before and are still there."""
    finders = re.findall(r"`(test_\w+\.py)::(\w+)`", rows_of_table().get(defect, ""))
    return [
        f"{SUITE / file}::{test}"
        for file, test in finders
        if (SUITE / file).exists() and f"def {test}(" in (SUITE / file).read_text()
    ]


def whole_suite() -> list[str]:
    return [str(p) for p in sorted(SUITE.glob("test_*.py"), key=lambda p: (p.name not in FIRST, p.name))]


def try_defect(python: Path, defect: str, examples: int) -> Outcome:
    """Let the tests meet a defect that are known to find it, then all, so that its run ends soon."""
    finders = known_finders(defect)
    outcome = run_tests(python, defect, examples, finders) if finders else None
    if outcome is None or not outcome.found:
        outcome = run_tests(python, defect, examples, whole_suite())
    return outcome


def run_tests(python: Path, defect: str, examples: int, tests: list[str]) -> Outcome:
    """Run tests of the sample with one defect planted, or with none where its name is empty."""
    environment = {
        **os.environ,
        "GPUREC_PLANTED_DEFECT": defect,
        "GPUREC_CONFORMANCE_EXAMPLES": str(examples),
        "GPUREC_CONFORMANCE_MEMBERS": "few",
    }
    environment.pop("PYTHONPATH", None)
    pytest = ["-m", "pytest", "-q", "--tb=no", "-rfE", f"--maxfail={ENOUGH}", "-p", "no:cacheprovider"]
    started = time.perf_counter()
    try:
        run = subprocess.run(
            [str(python), *pytest, *tests],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Outcome(defect, time.perf_counter() - started, ending=f"no end within {SECONDS} s")
    outcome = Outcome(defect, time.perf_counter() - started)
    for test in re.findall(r"^(?:FAILED|ERROR) \S*?(\w+\.py::\w+)", run.stdout, flags=re.MULTILINE):
        outcome.failures[test] += 1
    if run.returncode not in (0, 1) or (run.returncode == 1 and not outcome.failures):
        outcome.ending = f"ended with status {run.returncode}"
        print(run.stdout[-2000:], run.stderr[-2000:], file=sys.stderr)
    return outcome


def table(rows: dict[str, str], examples: int, left_out: list[str]) -> str:
    found = sum(row != NOT_FOUND for row in rows.values())
    without = [f"Not tried, for want of a processor that has the arithmetic: {', '.join(left_out)}.", ""]
    lines = [
        "# Planted defects and the tests that find them",
        "",
        f"{found} of {len(rows)} found. Each defect met tests/conformance with "
        f"GPUREC_CONFORMANCE_EXAMPLES={examples}, those first that found it before, until {ENOUGH} had "
        "failed; in brackets, how many parameters of a test did. Made by `tests/conformance/planted.py`.",
        "",
        *(without if left_out else []),
        "| defect | found by |",
        "| --- | --- |",
        *(f"| {defect} | {row} |" for defect, row in sorted(rows.items())),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("defects", nargs="*", help="names to plant; all by default")
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--jobs", type=int, default=n_threads(), help="defects tried at the same time")
    parser.add_argument("--part", default="1/1", help="I/N takes the I-th of N shares of the defects")
    parser.add_argument("--write", type=Path, help="file that takes the table; rows of other defects stay")
    chosen = parser.parse_args()
    known = defects_in_sources()
    unknown = sorted(set(chosen.defects) - set(known))
    if unknown or len(known) < FEWEST_DEFECTS:
        print(f"expected defects of {', '.join(known)} (at least {FEWEST_DEFECTS}), got {unknown}")
        return 2

    left_out = without_processor(known)
    wanted = [name for name in chosen.defects or known if name not in left_out]
    share, n_shares = map(int, chosen.part.split("/"))
    wanted = wanted[share - 1 :: n_shares]
    python = build()
    # A few that were asked for by name need only their own tests to be sound, where those are known.
    finders = [known_finders(name) for name in chosen.defects]
    tests = sorted(set(chain(*finders))) if finders and all(finders) else whole_suite()
    sound = run_tests(python, "", chosen.examples, tests)
    if sound.found:
        print(f"the suite fails with no defect planted: {sound.finders()}")
        return 2
    print(f"nothing planted: all pass in {sound.seconds:.0f} s", flush=True)
    outcomes = []
    with ThreadPoolExecutor(chosen.jobs) as pool:  # the suite mostly keeps one core busy
        for outcome in pool.map(lambda defect: try_defect(python, defect, chosen.examples), wanted):
            outcomes.append(outcome)
            print(f"{outcome.seconds:5.0f} s  {outcome.defect}: {outcome.finders()}", flush=True)
    tried = {outcome.defect: outcome.finders() for outcome in outcomes}
    print(f"{sum(outcome.found for outcome in outcomes)} of {len(outcomes)} found")
    if chosen.write:
        before = rows_of_table(chosen.write).items()
        others = {name: row for name, row in before if name in known and name not in left_out}
        text = table({**others, **tried}, chosen.examples, left_out)
        chosen.write.parent.mkdir(parents=True, exist_ok=True)
        chosen.write.write_text(text)
    return 0 if all(outcome.found for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
