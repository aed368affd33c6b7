"""Normal numbers from counters, in NumPy: the bits of csrc/include/gpurec/random_normals.hpp."""

from __future__ import annotations

import numpy as np

__all__ = ["normals", "philox"]

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
# Wichura's rational functions: above and below the line, for the middle, the tails and the far tails.
_MIDDLE = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
_TAIL = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
_FAR = (
    (
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)


def philox(
    key: int, pair: np.ndarray, row: np.ndarray, stream: int, step: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Philox 4x32 with ten rounds: four words of 32 bits, as uint64, for each pair and row."""
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    c0, c1 = (np.asarray(c, np.uint64) for c in np.broadcast_arrays(pair, row))
    c2, c3 = np.full_like(c0, stream), np.full_like(c0, step)
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c2 = (q >> _HALF) ^ c1 ^ np.uint64(k0), (p >> _HALF) ^ c3 ^ np.uint64(k1)
        c1, c3 = q & _WORD, p & _WORD
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def normals(key: int, rows: np.ndarray, stream: int, step: int, n: int) -> np.ndarray:
    """Normal numbers 0..n-1 of each row, float64 (n_rows, n)."""
    pairs = np.arange((n + 1) // 2)
    words = philox(key, pairs[np.newaxis], np.asarray(rows)[:, np.newaxis], stream, step)
    shares = np.empty((len(rows), 2 * len(pairs)))
    for place in (0, 1):
        low, high = words[2 * place], words[2 * place + 1]
        shares[:, place::2] = (((high << _HALF | low) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return _normal_of(shares[:, :n])


def _normal_of(share: np.ndarray) -> np.ndarray:
    """The normal number below which a share of all normal numbers lies."""
    q = share - 0.5
    r = np.sqrt(-_log(np.where(q < 0, share, 1.0 - share)))
    far = np.where(r <= 5.0, _ratio(_TAIL, r - 1.6), _ratio(_FAR, r - 5.0))
    return np.where(np.abs(q) <= 0.425, q * _ratio(_MIDDLE, 0.180625 - q * q), np.where(q < 0, -far, far))


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], r: np.ndarray) -> np.ndarray:
    above, below = (np.full_like(r, part[7]) for part in coefficients)
    for k in range(6, -1, -1):
        above, below = above * r + coefficients[0][k], below * r + coefficients[1][k]
    return above / below


def _log(x: np.ndarray) -> np.ndarray:
    m, exponent = np.frexp(x)
    small = m < 0.70710678118654752
    m, exponent = np.where(small, m * 2, m), np.where(small, exponent - 1, exponent)
    s = (m - 1) / (m + 1)
    z, total = s * s, np.zeros_like(s)
    for k in range(21, 0, -2):
        total = total * z + 1.0 / k
    return exponent * 0.69314718055994531 + 2 * (s * total)
