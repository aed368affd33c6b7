"""The command for a GPU box, in small on the emulated device; a rival crashes, and a second start goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpurec._native import device_module

BENCH = Path(__file__).parents[2] / "bench"


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / "gpu_box.py"), "--dry-run", "--out", str(folder), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if device_module("_cuda_emulated") is None:
        pytest.skip("built without GPUREC_EMULATED=ON")
    folder = tmp_path_factory.mktemp("gpu_box")
    done = run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_report_is_complete(folder: Path) -> None:
    found = json.loads((folder / "gpu_box.json").read_text())
    assert [one["workload"]["name"] for one in found["workloads"]] == list("ABCDE")
    assert found["doctor"] == "self-test passed"
    assert "passed" in found["conformance"]["summary"]
    for one in found["workloads"]:
        contenders = one["contenders"]
        assert "exit code" in contenders["stand-in-that-crashes"]["why_not"]
        for name in ("gpurec-int8", "gpurec-fp32"):
            assert [cell["agreement"] for cell in contenders[name]["cells"]] == [1.0] * len(
                contenders[name]["cells"]
            )
        assert all(cell["agreement"] > 0.99 for cell in contenders["stand-in"]["cells"])
        assert one["floors"] == {"fp32": None, "int8": None}
    text = (folder / "gpu_box.md").read_text()
    assert "not measured" in text and " ms |" not in text
    assert found["picture"] == "matplotlib is not installed" or (folder / "gpu_box.png").stat().st_size > 1000


def test_started_again_it_goes_on(folder: Path) -> None:
    (folder / "steps" / "B-stand-in.json").unlink()
    (folder / "gpu_box.md").unlink()
    done = run(folder)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert next(line for line in lines if ": from " not in line).startswith("B-stand-in: ")
    assert sum(": from " in line for line in lines) == 22
    assert (folder / "gpu_box.md").exists()
