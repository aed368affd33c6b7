"""Scaled numbers stay finite, however little the training part varies."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the extra 'features'")

from gpurec.features import Dense, Numeric


@pytest.mark.parametrize(
    "column", [Numeric("standard"), Numeric("robust"), Dense("standard"), Dense("robust")]
)
def test_values_that_hardly_vary_do_not_make_infinities(column):
    values = np.array([0.0, 1e-40, 3e-40])
    if isinstance(column, Dense):
        values = values[:, np.newaxis]
    far = column.fit(values).transform(values + 1e6)
    scaled = far.toarray() if hasattr(far, "toarray") else far
    assert np.isfinite(scaled).all() and np.isfinite(np.square(scaled)).all() and (scaled > 0).all()
