"""Plants one defect at a time in the native module, and shows which test finds it.

A test build (CMake option GPUREC_PLANTED_DEFECTS) holds every defect that is named in csrc/ by
`GPUREC_PLANTED(name)`, and the environment variable GPUREC_PLANTED_DEFECT chooses one. The build goes into an
environment of its own below build/planted, so the installed gpurec stays as it is. The sample of the suite
that each defect meets is stated at the head of the table.

    python tests/conformance/planted.py --write docs/design/planted.md
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
from pathlib import Path

from gpurec.backends.cpu import available_isas, native
from gpurec.config import n_threads

PROJECT = Path(__file__).resolve().parents[2]
SUITE = PROJECT / "tests" / "conformance"
ENVIRONMENT = PROJECT / "build" / "planted"
EXAMPLES = 64  # two cases of each kind
FEWEST_DEFECTS = 70
TABLE = PROJECT / "docs" / "design" / "planted.md"
# After the tests that found a defect before, by the table, these: they meet most defects within seconds.
FIRST = ("test_score_top_k.py", "test_directions.py", "test_item_index.py", "test_int8_index.py")
SECONDS = 600  # for one run of the sample; one that takes longer hangs
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
        return ", ".join([self.ending] * bool(self.ending) + tests) or "**NOT FOUND**"


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
    (site / "packages_of_the_caller.pth").write_text("\n".join(sorted(own)) + "\n")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    if importlib.util.find_spec("scikit_build_core") and importlib.util.find_spec("pybind11"):
        command.append("--no-build-isolation")
    options = ["-C", "cmake.define.GPUREC_PLANTED_DEFECTS=ON", "-C", f"build-dir={ENVIRONMENT / 'objects'}"]
    subprocess.run([*command, *options, str(PROJECT)], check=True)
    return ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def files_of_suite(defect: str) -> list[Path]:
    """All of the suite, those first that are likely to find the defect, so that its run ends soon."""
    table = TABLE.read_text() if TABLE.exists() else ""
    row = re.search(rf"^\| {defect} \|.*", table, flags=re.MULTILINE)
    known = set(re.findall(r"`(test_\w+\.py)::", row[0])) if row else set()
    return sorted(
        SUITE.glob("test_*.py"), key=lambda path: (path.name not in known, path.name not in FIRST, path.name)
    )


def run_suite(python: Path, defect: str, examples: int) -> Outcome:
    """Run the sample with one defect planted, or with none where its name is empty."""
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
            [str(python), *pytest, *map(str, files_of_suite(defect))],
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
    if run.returncode not in (0, 1):
        outcome.ending = f"ended with status {run.returncode}"
        print(run.stdout[-2000:], run.stderr[-2000:], file=sys.stderr)
    return outcome


def table(outcomes: list[Outcome], examples: int, left_out: list[str]) -> str:
    found = sum(outcome.found for outcome in outcomes)
    without = [f"Not tried, for want of a processor that has the arithmetic: {', '.join(left_out)}.", ""]
    lines = [
        "# Planted defects and the tests that find them",
        "",
        f"{found} of {len(outcomes)} found. Each defect met tests/conformance with "
        f"GPUREC_CONFORMANCE_EXAMPLES={examples}, until {ENOUGH} tests had failed; in brackets, how many "
        "parameters of a test did. Made by `python tests/conformance/planted.py`.",
        "",
        *(without if left_out else []),
        "| defect | found by |",
        "| --- | --- |",
        *(f"| {outcome.defect} | {outcome.finders()} |" for outcome in outcomes),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("defects", nargs="*", help="names to plant; all by default")
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--jobs", type=int, default=n_threads(), help="defects tried at the same time")
    parser.add_argument("--write", type=Path, help="file that takes the table")
    chosen = parser.parse_args()
    known = defects_in_sources()
    unknown = sorted(set(chosen.defects) - set(known))
    if unknown or len(known) < FEWEST_DEFECTS:
        print(f"expected defects of {', '.join(known)} (at least {FEWEST_DEFECTS}), got {unknown}")
        return 2

    left_out = without_processor(known)
    wanted = [name for name in chosen.defects or known if name not in left_out]
    python = build()
    sound = run_suite(python, "", chosen.examples)
    if sound.found:
        print(f"the suite fails with no defect planted: {sound.finders()}")
        return 2
    print(f"nothing planted: all pass in {sound.seconds:.0f} s", flush=True)
    outcomes = []
    with ThreadPoolExecutor(chosen.jobs) as pool:  # the suite mostly keeps one core busy
        for outcome in pool.map(lambda d: run_suite(python, d, chosen.examples), wanted):
            outcomes.append(outcome)
            print(f"{outcome.seconds:5.0f} s  {outcome.defect}: {outcome.finders()}", flush=True)
    text = table(outcomes, chosen.examples, left_out)
    print(text)
    if chosen.write:
        chosen.write.parent.mkdir(parents=True, exist_ok=True)
        chosen.write.write_text(text)
    return 0 if all(outcome.found for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
