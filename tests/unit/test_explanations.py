"""Explanations as values: order, text, table, picture."""

from __future__ import annotations

import numpy as np
import pytest

from gpurec.models import Explanation


def some() -> Explanation:
    kinds = ["baseline", "item", "item", "user", "item", "item"]
    names = ["mean", "a", "b$", 7, "c", "d"]
    return Explanation("ann", "dune", 2.5, kinds, names, [3.0, -1.0, 0.25, 0.0, 0.125, 0.125])


def test_the_largest_comes_first_and_nothing_stays_out():
    why = some()
    assert why.names == ["mean", "a", "b$", "c", "d"]
    assert why.to_dicts()[1] == {"kind": "item", "name": "a", "contribution": -1.0}
    assert why.contributions.sum() == why.score
    assert why.tolerance == pytest.approx(4.5e-5)


def test_the_text_is_a_sum():
    why = some()
    assert why.text() == str(why)
    assert why.text(1) == "dune for ann: 2.5 = 3 mean - 0.5 4 others"
    assert (
        why.text(4)
        == "dune for ann: 2.5 = 3 mean - 1 item 'a' + 0.25 item 'b$' + 0.125 item 'c' + 0.125 1 other"
    )
    assert Explanation("ann", "dune", 0.0, [], [], []).text() == "dune for ann: 0 = 0"
    assert repr(why).startswith("Explanation(dune for ann")


def test_a_picture_shows_each_reason(tmp_path):
    pytest.importorskip("matplotlib")
    why = some()
    axes = why.plot(tmp_path / "why.png", n=3).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][::-1] == [
        "mean",
        "item 'a'",
        r"item 'b\$'",
        "2 others",
    ]
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches][::-1], [3, -1, 0.25, 0.25])
    assert (tmp_path / "why.png").stat().st_size > 1000
