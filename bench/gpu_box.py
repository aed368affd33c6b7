"""The one command for a box with a GPU: what is there, whether its answers are right, how fast it is.

python bench/gpu_box.py              everything, into build/gpu_box; started again it goes on where it stopped
python bench/gpu_box.py --dry-run    all of it in small on the emulated device, with stand-ins for rivals

Each step runs in a process of its own with a limit of time, so that none takes the others with it. A workload
that the device cannot hold shrinks, and the report says so. Nothing has to be edited.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from harness import BENCH, ROOT
from harness.gpu.contenders import CONTENDERS, STAND_INS
from harness.gpu.report import markdown, picture
from harness.gpu.workloads import WORKLOADS, Workload, floors, tiny, to_fit
from harness.timing import machine

COPIED = 1 << 30  # bytes whose copying tells the bandwidth


class Steps:
    """Results of steps, each kept in a file of its own as soon as it is there."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._folder, self._settings = folder / "steps", settings
        self._folder.mkdir(parents=True, exist_ok=True)

    def take(self, name: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result that lies there for the same settings, else that of the step now."""
        path = self._folder / f"{name}.json"
        try:
            kept = json.loads(path.read_text())
            if kept["settings"] == self._settings:
                print(f"{name}: from {path}", flush=True)
                return kept["result"]
        except (OSError, ValueError, KeyError):
            pass
        begin = time.perf_counter()
        result = step()
        print(f"{name}: {time.perf_counter() - begin:.1f} s", flush=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"settings": self._settings, "result": result}))
        os.replace(part, path)
        return result


def run(command: list[Any], limit: float, **environment: str) -> tuple[int, str]:
    """Exit code and output of a process; 124 where it took too long."""
    try:
        done = subprocess.run(
            list(map(str, command)),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": _path(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit,
        )
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        return 124, output.decode(errors="replace") if isinstance(output, bytes) else output


def _path() -> str:
    return os.pathsep.join([str(BENCH), *filter(None, [os.environ.get("PYTHONPATH")])])


def doctor() -> dict[str, Any]:
    code, output = run([sys.executable, "-m", "gpurec.cli", "doctor", "--json"], 300)
    try:
        return {"exit": code, "found": json.loads(output)}
    except ValueError:
        return {"exit": code, "found": None, "output": output[-2000:]}


def conformance(backend: str, examples: int, seconds: float) -> dict[str, Any]:
    """The suite of ops on the device, and what pytest said last."""
    few = ("int8_index", "score_pairs", "top_k")
    tests = [ROOT / "tests" / "conformance" / f"test_{name}.py" for name in few]
    if backend == "cuda":
        tests = [ROOT / "tests" / "conformance", ROOT / "tests" / "gpu"]
    code, output = run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        seconds,
        GPUREC_CONFORMANCE_MEMBERS=backend,
        GPUREC_CONFORMANCE_EXAMPLES=str(examples),
    )
    lines = [line for line in output.splitlines() if line.strip()]
    return {"exit": code, "summary": lines[-1].strip("= ") if lines else f"exit code {code}"}


def device(backend: str) -> dict[str, Any]:
    """Name, memory, and the bandwidth of a copy on the device, of which every byte is read and written."""
    from gpurec import backends

    launcher = backends.get(backend).launcher  # type: ignore[attr-defined]
    about = launcher.properties
    found = {"name": about["name"], "free_memory": about["free_memory"], "way": launcher.runtime.way}
    found["capability"] = list(about["compute_capability"])
    found["bandwidth"] = None
    if launcher.runtime.way != "emulated":
        n_bytes = min(COPIED, about["free_memory"] // 4)
        from_, to = (launcher.memory.take(n_bytes, "a copy") for _ in range(2))
        best = None
        for _ in range(10):
            first, last = launcher.device.create_event(), launcher.device.create_event()
            launcher.device.record(first, launcher.stream)
            launcher.device.copy(to.address, from_.address, n_bytes, launcher.stream)
            launcher.device.record(last, launcher.stream)
            launcher.synchronise()
            took = launcher.device.milliseconds_between(first, last)
            best = took if best is None else min(best, took)
        found["bandwidth"] = 2e3 * n_bytes / best
    return found


def contender(workload: Workload, name: str, dry: bool, seconds: float, folder: Path) -> dict[str, Any]:
    """One contender on one workload, or why there is no answer."""
    job, result = folder / "job.json", folder / "result.json"
    result.unlink(missing_ok=True)
    settings = {"workload": workload.as_dict(), "contender": name, "dry_run": dry, "seconds": seconds}
    job.write_text(json.dumps(settings))
    code, output = run([sys.executable, "-m", "harness.gpu.worker", job, result], 60 if dry else 1800)
    if result.exists():
        return json.loads(result.read_text())
    lines = [line for line in output.splitlines() if line.strip()]
    return {"why_not": f"exit code {code}: {lines[-1][:300] if lines else 'no output'}"}


def compare(contenders: dict[str, dict[str, Any]]) -> None:
    """Share of rows that equal those of our int8 search, into each cell."""
    cells_of_ours = {
        (cell["k"], cell["filters"]): cell.get("rows")
        for cell in contenders.get("gpurec-int8", {}).get("cells", ())
    }
    for one in contenders.values():
        for cell in one.get("cells", ()):
            rows, expected = cell.pop("rows", None), cells_of_ours.get((cell["k"], cell["filters"]))
            if rows is None or expected is None:
                cell["agreement"] = 0.0
                continue
            pairs = [(a, b) for x, y in zip(rows, expected) for a, b in zip(x, y)]
            cell["agreement"] = sum(a == b for a, b in pairs) / max(len(pairs), 1)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="small, on the emulated device")
    parser.add_argument("--out", type=Path, help="folder of the report (build/gpu_box)")
    parser.add_argument("--only", default=",".join(WORKLOADS), help="workloads, A,B,C,D,E by default")
    parser.add_argument("--seconds", type=float, default=2.0, help="of measuring a cell")
    parser.add_argument("--examples", type=int, help="cases of each conformance test")
    options = parser.parse_args(arguments)
    dry = options.dry_run
    backend = "cuda_emulated" if dry else "cuda"
    folder = options.out or ROOT / "build" / ("gpu_box_dry" if dry else "gpu_box")
    seconds = 0.05 if dry else options.seconds
    settings = {"dry_run": dry, "commit": machine(0)["commit"], "seconds": seconds}
    steps = Steps(folder, settings)
    found: dict[str, Any] = {"dry_run": dry, "machine": machine(os.cpu_count() or 1), "settings": settings}
    seen = steps.take("doctor", doctor)
    test = (seen["found"] or {}).get("self_test", {})
    found["doctor"] = "self-test passed" if test.get("passed") else f"failed with exit code {seen['exit']}"
    found["device"] = steps.take("device", lambda: device(backend))
    examples = options.examples or (28 if dry else 560)
    found["conformance"] = steps.take(
        "conformance", lambda: conformance(backend, examples, 150 if dry else 7200)
    )
    found["workloads"] = []
    for name in options.only.split(","):
        asked = WORKLOADS[name]
        workload = tiny(asked) if dry else to_fit(asked, found["device"]["free_memory"])
        contenders = {
            who: steps.take(f"{name}-{who}", partial(contender, workload, who, dry, seconds, folder))
            for who in (STAND_INS if dry else CONTENDERS)
        }
        compare(contenders)
        limits = floors(workload, found["device"]["bandwidth"], found["device"]["name"])
        found["workloads"].append(
            {"workload": workload.as_dict(), "floors": limits, "contenders": contenders}
        )
    found["picture"] = picture(found, folder / "gpu_box.png") or "gpu_box.png"
    (folder / "gpu_box.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "gpu_box.md").write_text(markdown(found))
    print(f"report: {folder / 'gpu_box.md'}")
    return 0 if found["conformance"]["exit"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
