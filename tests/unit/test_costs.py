"""What "auto" scans in: the choice from costs, and the file that keeps them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gpurec
from gpurec.backends import costs
from gpurec.backends.costs import TYPICAL, Costs, Machine, cheapest, costs_of_machine, near_in_int4
from gpurec.backends.cpu import CpuBackend, available_isas

MEASURED = Machine(
    {"int8": Costs(2e-12, 5e-12, 7e-9), "fp32": Costs(3e-12, 9e-12, 5e-9)}, 7e-11, 4e-11, 33_554_432.0
)
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
    forget(monkeypatch)
    monkeypatch.setattr(costs, "measured_costs", measured)
    return made


def only_file(folder):
    (path,) = (folder / "gpurec" / "costs").iterdir()
    return path


def forget(monkeypatch):
    monkeypatch.setattr(costs, "_known", {})
    monkeypatch.setattr(costs, "_without_file", set())


@pytest.mark.parametrize(
    ("n_items", "d", "n_queries", "k", "chosen"),
    [
        (100_000, 64, 1, 10, "int8"),
        (1_000_000, 128, 1, 10, "int4"),
        (1_000_000, 128, 1, 10_000, "int8"),
        (1_000_000, 128, 16, 10, "int8"),
        (100_000, 64, 1, 10_000, "int8"),
        (100_000, 64, 256, 1000, "int8"),
        (100_000, 64, 256, 10_000, "int8"),
        (1_000_000, 128, 1024, 10_000, "int8"),
        (1000, 16, 64, 1000, "int8"),
        (1000, 16, 64, 2**62, "int8"),
        (0, 3, 5, 2, "int8"),
    ],
)
def test_the_typical_choice(n_items, d, n_queries, k, chosen):
    assert cheapest(TYPICAL, n_items, d, n_queries, k) == chosen


def test_what_fits_in_the_cache_has_no_use_for_fewer_bytes():
    """Arithmetic is shared by the threads and memory is not, so that more threads wait for it sooner."""
    same = {
        "int8": Costs(1e-11, 1e-12, 1e-9),
        "int4": Costs(2e-11, 1e-12, 1e-9),
        "fp32": Costs(1e-9, 1e-9, 1e-9),
    }
    machine = Machine(same, per_byte_alone=5e-11, per_byte=5e-11, cache_bytes=32e6)
    sizes = [100_000, 200_000, 2_000_000]
    assert [cheapest(machine, n, 64, 1, 1, n_threads=4) for n in sizes] == ["int8", "int8", "int4"]
    slow = machine._replace(per_byte_alone=1e-12, per_byte=1e-12)
    assert cheapest(slow, 2_000_000, 64, 1, 1, n_threads=4) == "int8"
    within = machine._replace(cache_bytes=1e12)
    assert cheapest(within, 2_000_000, 64, 1, 1, n_threads=4) == "int8"


def test_what_comes_near_in_int4_grows_with_k_and_d():
    counts = [near_in_int4(100_000, 64, k) for k in (1, 10, 1000, 49_999, 50_000, 10**9)]
    assert counts == sorted(counts) and counts[0] > 1 and counts[-1] == 100_000
    assert near_in_int4(100_000, 256, 10) > near_in_int4(100_000, 64, 10)
    assert near_in_int4(0, 8, 3) == 0


def test_bfloat16_is_chosen_where_it_is_cheapest():
    """As on a processor that does more work a second in bfloat16 than in int8, once items are rounded."""
    machine = TYPICAL._replace(costs={**TYPICAL.costs, "bf16": Costs(280e-12, 5e-12, 50e-9)})
    chosen = [cheapest(machine, 100_000, 64, n, 1000) for n in (16, 1024)]
    assert chosen == ["int8", "bf16"]


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


def test_a_search_that_is_not_worth_measuring_looks_for_a_file_once(measurements, monkeypatch):
    medium = 1 << 25
    assert costs_of_machine("avx2", medium) == TYPICAL
    costs._write(costs._machine("avx2"), MEASURED)
    assert costs_of_machine("avx2", medium) == TYPICAL
    forget(monkeypatch)
    assert costs_of_machine("avx2", medium) == MEASURED
    assert not measurements


def test_the_typical_machine_takes_4_bit_codes_where_their_kernel_is_in_vectors(measurements):
    assert "int4" in costs_of_machine("avx2", 1000).costs
    assert costs_of_machine("serial", 1000).costs.keys() == {"int8", "fp32"}


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
    "an unknown precision": lambda text: text.replace(
        b'"costs": {', b'"costs": {"int2": [1e-12, 1e-12, 1e-12], '
    ),
    "no memory": lambda text: text.replace(b'"memory"', b'"memories"'),
    "memory in no time": lambda text: text.replace(b"7e-11", b"0.0"),
    "no cache": lambda text: text.replace(b"33554432.0", b"0.0"),
    "memory too short": lambda text: json.dumps({**json.loads(text), "memory": [1e-11]}).encode(),
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


def test_a_measurement_is_one(tmp_path, monkeypatch):
    """Of a table small enough for a test; every number of it may stand in a file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(costs, "_ITEMS", 1024)
    monkeypatch.setattr(costs, "_BYTES_READ", 1 << 20)
    monkeypatch.setattr(costs, "_REPEATS", 1)
    for isa in available_isas():
        found = costs.measured_costs(isa)
        assert found.costs.keys() >= {"int8", "fp32"} | ({"int4"} if isa != "serial" else set())
        numbers = [number for of in found.costs.values() for number in of]
        assert all(costs._LEAST <= number <= costs._MOST for number in (*numbers, *found[1:3]))
        assert costs._LEAST_CACHE <= found.cache_bytes <= costs._MOST_CACHE
        costs._write(costs._machine(isa), found)
        assert costs._read(costs._machine(isa)) == found


@pytest.mark.parametrize("isa", WITH_CODES)
def test_an_index_scans_in_what_is_cheapest(isa, measurements, monkeypatch):
    """Answers are the same whatever costs say."""
    rng = np.random.default_rng(0)
    items, queries = np.float32(rng.standard_normal((700, 8))), np.float32(rng.standard_normal((9, 8)))
    backend = CpuBackend(isa, n_threads=1)
    expected = gpurec.ItemIndex(items, precision="fp32", backend=backend).search(queries, 20)
    for chosen in ("int8", "int4", "bf16", "fp32"):
        dear = {precision: Costs(1e-6, 1e-6, 1e-6) for precision in ("int8", "int4", "bf16", "fp32")}
        machine = MEASURED._replace(costs={**dear, chosen: Costs(1e-9, 1e-9, 1e-9)})
        monkeypatch.setattr(costs, "_known", {isa: machine})
        index = gpurec.ItemIndex(items, backend=backend)
        found = index.explain_search(queries, 20)
        has_it = chosen != "bf16" or isa in ("avx512bf16", "serial")
        assert set(found.choices["precision"]) == {chosen if has_it else "fp32"}
        assert np.array_equal(found.answer.rows, expected.rows)
        assert np.array_equal(found.answer.scores, expected.scores)
