"""Every word that kernels are written in, on values from which the answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from .devices import MODULES, clean, open_device

SEEDS = range(6)


def lanes(v: np.ndarray) -> np.ndarray:
    return v.reshape(-1, 32)


def bits_told(v: int, width: int) -> int:
    """How many bits are set, where the lowest is, and how many zeros lead, as `check_words` packs them."""
    return bin(v).count("1") + 100 * (v & -v).bit_length() + 10000 * (width - v.bit_length())


def signed_bytes(words: np.ndarray) -> np.ndarray:
    return words.view(np.int8).astype(np.int64)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", MODULES)
def test_words(name: str, seed: int) -> None:
    data = np.random.default_rng(seed).integers(0, 2**32, 1024, dtype=np.uint32)
    data[[3, 40]] = 0
    with open_device(name, seed) as s:
        out, wide = s.put(np.zeros(2560, np.uint32)), s.put(np.zeros(4, np.uint64))
        counter = s.put(np.array([2**32 - 1, 11, 5, 0], np.uint32))
        s.launch("check_words", 1, 64, 2304, s.put(data), out, wide, counter)
        got, wides, counters = s.get(out).reshape(-1, 64), s.get(wide), s.get(counter)
        assert clean(s)

    v, i = data[:64], np.arange(64)
    lane = i % 32
    per_lane = lanes(v)

    def shuffled(source: np.ndarray) -> np.ndarray:
        return np.concatenate([row[source] for row in per_lane])

    one = np.arange(32)
    expected = {
        0: i + 1000 * lane + 100000 * (i // 32) + 640000000,
        1: shuffled(np.full(32, 5)),
        2: shuffled((one + 3) % 32),
        3: shuffled(one ^ 7),
        4: shuffled(np.where(one >= 2, one - 2, one)),
        5: shuffled(np.where(one < 30, one + 2, one)),
        6: np.repeat(((per_lane & 1).astype(np.uint64) << one.astype(np.uint64)).sum(axis=1), 32),
        7: np.repeat((per_lane == 2**32 - 1).any(axis=1) + 2 * (per_lane != 2**32 - 1).all(axis=1), 32),
        8: shuffled(np.full(32, 9)),
        9: shuffled(np.full(32, 4)) & 255,
        11: v[::-1],
        13: np.array([(v & 15).sum(), v.max(), 2**32 - 1], np.uint64)[i % 3],
        14: np.full(64, (v & 1).sum()),
        15: np.full(64, 1),
        29: [bits_told(int(x), 32) for x in v],
        30: [bits_told(int(x) << 32, 64) for x in v],
        31: (signed_bytes(v).reshape(-1, 4) * signed_bytes(data[64:128]).reshape(-1, 4)).sum(axis=1) + 3,
    }
    for section, values in expected.items():
        value = np.asarray(values)
        if section == 9:
            value = value.astype(np.float32).view(np.uint32)
        np.testing.assert_array_equal(
            got[section], value.astype(np.int64).astype(np.uint32), f"section {section}"
        )
    np.testing.assert_array_equal(lanes(got[10])[:, :16], lanes(expected_half_ballot(per_lane))[:, :16])
    assert (got[12, 7], got[12, 8]) == (11, 5)

    copied = np.where(np.arange(256) < 192, data[:256], 0)
    np.testing.assert_array_equal(got[16], copied[255 - i] + copied[i])
    np.testing.assert_array_equal(got[17:21].ravel(), data[:256])
    np.testing.assert_array_equal(got[21:25].ravel(), data[512:768])
    np.testing.assert_array_equal(got[25:29].ravel(), data[256:512].reshape(64, 4)[::-1].ravel())

    assert (wides[0], wides[1]) == (v.astype(np.uint64).sum(), v.max().astype(np.uint64) << np.uint64(20))
    np.testing.assert_array_equal(counters[:3], [v.min(), 77, 6])

    # Component 0 of d's rows starts from 1 or 3, component 1 from 2 or 4.
    start = np.tile([1, 2], (16, 4)) + np.repeat([0, 2], 8)[:, None]
    a, b = data[:128], data[128:192]
    tile = signed_bytes(a).reshape(16, 32) @ signed_bytes(b).reshape(8, 32).T + start
    np.testing.assert_array_equal(got[32:34].ravel(), tile.ravel().astype(np.uint32))

    def small(words: np.ndarray, n: int, rows: int) -> np.ndarray:
        values = signed_bytes(words).reshape(-1, 4)[:, :n].reshape(rows, -1)
        return np.trunc(values / 16)

    for section, n in ((34, 2), (36, 1)):
        tile = small(a, n, 16) @ small(b, n, 8).T + start
        np.testing.assert_array_equal(got[section : section + 2].ravel().view(np.float32), tile.ravel())


def expected_half_ballot(per_lane: np.ndarray) -> np.ndarray:
    half = (per_lane[:, :16] >> 1 & 1).astype(np.uint64) << np.arange(16, dtype=np.uint64)
    return np.repeat(half.sum(axis=1), 32).astype(np.uint32)
