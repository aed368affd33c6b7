"""What "auto" scans in: the choice from costs, and the file that keeps them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gpurec
from gpurec.backends import costs
from gpurec.backends.costs import TYPICAL, Costs, cheapest, costs_of_machine
from gpurec.backends.cpu import CpuBackend, available_isas

MEASURED = {"int8": Costs(2e-12, 5e-12, 7e-9), "fp32": Costs(3e-12, 9e-12, 5e-9)}
LARGE = 1 << 40
WITH_CODES = [isa for isa in available_isas() if isa != "avx512"]


@pytest.fixture
def measurements(tmp_path, monkeypatch):
    """A machine that knows nothing yet and measures `MEASURED`; the list of its measurements."""
    made: list[str] = []

    def measured(isa):
        made.append(isa)
        return MEASURED

    monkeypatch.setenv("GPUREC_CALIBRATION", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(costs, "_known", {})
    monkeypatch.setattr(costs, "measured_costs", measured)
    return made


def only_file(folder):
    (path,) = (folder / "gpurec" / "costs").iterdir()
    return path


def forget(monkeypatch):
    monkeypatch.setattr(costs, "_known", {})


@pytest.mark.parametrize(
    ("n_items", "d", "n_queries", "k", "chosen"),
    [
        (100_000, 64, 1, 10, "int8"),
        (100_000, 64, 1, 10_000, "int8"),
        (100_000, 64, 256, 1000, "int8"),
        (100_000, 64, 256, 10_000, "fp32"),
        (1_000_000, 128, 1024, 10_000, "int8"),
        (1000, 16, 64, 1000, "fp32"),
        (1000, 16, 64, 2**62, "fp32"),
        (0, 3, 5, 2, "int8"),
    ],
)
def test_the_typical_choice(n_items, d, n_queries, k, chosen):
    assert cheapest(TYPICAL, n_items, d, n_queries, k) == chosen


def test_bfloat16_is_chosen_where_it_is_cheapest():
    """As on a processor whose bfloat16 instructions do twice the work of float32's."""
    machine = {**TYPICAL, "bf16": Costs(280e-12, 7e-12, 32e-9)}
    chosen = [cheapest(machine, 100_000, 64, 1024, k) for k in (10, 1000, 10_000)]
    assert chosen == ["int8", "bf16", "bf16"]


def test_costs_are_measured_once_and_kept(measurements, tmp_path, monkeypatch):
    assert costs_of_machine("avx2", 1000) == TYPICAL
    assert not measurements and not list(tmp_path.iterdir())
    assert costs_of_machine("avx2", LARGE) == MEASURED
    assert costs_of_machine("avx2", 1000) == MEASURED
    forget(monkeypatch)
    assert costs_of_machine("avx2", LARGE) == MEASURED
    assert measurements == ["avx2"]
    assert costs_of_machine("serial", LARGE) == MEASURED
    assert measurements == ["avx2", "serial"]
    assert len(list((tmp_path / "gpurec" / "costs").iterdir())) == 2


def test_nothing_is_measured_where_that_is_forbidden(measurements, tmp_path, monkeypatch):
    monkeypatch.setenv("GPUREC_CALIBRATION", "off")
    assert costs_of_machine("avx2", LARGE) == TYPICAL
    assert not measurements and not list(tmp_path.iterdir())
    monkeypatch.setenv("GPUREC_CALIBRATION", "perhaps")
    with pytest.raises(ValueError, match="GPUREC_CALIBRATION"):
        costs_of_machine("avx2", LARGE)


def test_nobody_waits_for_a_measurement(measurements):
    with costs._measuring:
        assert costs_of_machine("avx2", LARGE) == TYPICAL
    assert costs_of_machine("avx2", LARGE) == MEASURED


DAMAGES = {
    "empty": lambda text: b"",
    "cut off": lambda text: text[: len(text) // 2],
    "not text": lambda text: b"\xff\x00" + text,
    "no object": lambda text: b"[1, 2]",
    "nested": lambda text: b"[" * 16_000,
    "too long": lambda text: text + b" " * (1 << 20),
    "of another machine": lambda text: text.replace(b'"isa": "avx2"', b'"isa": "avx3"'),
    "no costs": lambda text: text.replace(b'"costs"', b'"cost"'),
    "no fp32": lambda text: text.replace(b'"fp32"', b'"fp33"'),
    "a cost too few": lambda text: json.dumps(
        {**json.loads(text), "costs": {"int8": [1e-12, 1e-12], "fp32": [1e-12] * 3}}
    ).encode(),
    "a list of costs": lambda text: json.dumps({**json.loads(text), "costs": [1, 2]}).encode(),
    "a negative cost": lambda text: text.replace(b"5e-12", b"-5e-12"),
    "no number": lambda text: text.replace(b"5e-12", b"NaN"),
    "infinity": lambda text: text.replace(b"5e-12", b"Infinity"),
    "huge": lambda text: text.replace(b"5e-12", b"1" * 400),
    "zero": lambda text: text.replace(b"5e-12", b"0.0"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_measured_anew(damage, measurements, tmp_path, monkeypatch):
    costs_of_machine("avx2", LARGE)
    path = only_file(tmp_path)
    sound = path.read_bytes()
    assert DAMAGES[damage](sound) != sound
    path.write_bytes(DAMAGES[damage](sound))
    forget(monkeypatch)
    assert costs_of_machine("avx2", LARGE) == MEASURED
    assert len(measurements) == 2
    assert path.read_bytes() == sound


def test_a_folder_that_cannot_be_written_does_no_harm(measurements, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert costs_of_machine("avx2", LARGE) == MEASURED
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = costs._path(costs._machine("avx2"))
    path.mkdir(parents=True)  # neither read nor replaced
    forget(monkeypatch)
    assert costs_of_machine("avx2", LARGE) == MEASURED
    assert [inner.name for inner in path.parent.iterdir()] == [path.name]


def test_a_measurement_is_one(monkeypatch):
    """Of a table small enough for a test; every number of it may stand in a file."""
    monkeypatch.setattr(costs, "_ITEMS", 1024)
    monkeypatch.setattr(costs, "_REPEATS", 1)
    for isa in available_isas():
        found = costs.measured_costs(isa)
        assert found.keys() >= {"int8", "fp32"}
        assert all(costs._LEAST <= number <= costs._MOST for of in found.values() for number in of)


@pytest.mark.parametrize("isa", WITH_CODES)
def test_an_index_scans_in_what_is_cheapest(isa, measurements, monkeypatch):
    """Answers are the same whatever costs say."""
    rng = np.random.default_rng(0)
    items, queries = np.float32(rng.standard_normal((700, 8))), np.float32(rng.standard_normal((9, 8)))
    backend = CpuBackend(isa, n_threads=1)
    expected = gpurec.ItemIndex(items, precision="fp32", backend=backend).search(queries, 20)
    for chosen in ("int8", "bf16", "fp32"):
        dear = {precision: Costs(1e-6, 1e-6, 1e-6) for precision in ("int8", "bf16", "fp32")}
        monkeypatch.setattr(costs, "_known", {isa: {**dear, chosen: Costs(1e-9, 1e-9, 1e-9)}})
        index = gpurec.ItemIndex(items, backend=backend)
        found = index.explain_search(queries, 20)
        has_it = chosen != "bf16" or isa in ("avx512bf16", "serial")
        assert set(found.choices["precision"]) == {chosen if has_it else "fp32"}
        assert np.array_equal(found.answer.rows, expected.rows)
        assert np.array_equal(found.answer.scores, expected.scores)
