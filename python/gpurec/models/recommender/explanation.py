"""Why a model gives a user an item: what each past item, neighbour, feature or friend adds to the score."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import import_extra
from ...tables import Tabular

__all__ = ["Explanation", "Reasons"]

# Contributions are sums of float32 in another order than the score's: this share of their absolute sum apart.
_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Reasons:
    """What things of one kind add to the scores of some items, for one user.

    Attributes
    ----------
    kind : str
        "item": something the user had; "user": a neighbour; "friend"; "feature"; "baseline": what does not
        depend on them; "part": of the model.
    names : int array or list of str
        Rows of items, users or friends, which become ids; names of the others.
    contributions : float64 array, shape (n_items, n_names)
        Those of all kinds add up to the score of each item.
    """

    kind: str
    names: Any
    contributions: np.ndarray


class Explanation(Tabular):
    """What a score is made of, the largest contribution first.

    Attributes
    ----------
    user_id, item_id
    score : float
        What `predict` gives.
    kinds : list of str
        Kind of each reason: "item", "user", "friend", "feature", "baseline" or "part".
    names : list
        The id or name of each reason.
    contributions : float64 array, shape (n_reasons,)
        They add up to `score` within `tolerance`. Reasons that contribute nothing are left out.

    Notes
    -----
    The table has the columns `kind`, `name`, `contribution`.

    Examples
    --------
    >>> why = Explanation("ann", "dune", 3.5, ["baseline", "item"], ["mean", "alien"], [3.0, 0.5])
    >>> why.text()
    "dune for ann: 3.5 = 3 mean + 0.5 item 'alien'"
    >>> why.to_dicts()[1]
    {'kind': 'item', 'name': 'alien', 'contribution': 0.5}
    """

    def __init__(
        self,
        user_id: Any,
        item_id: Any,
        score: float,
        kinds: Sequence[str],
        names: Sequence[Any],
        contributions: Any,
    ) -> None:
        values = np.asarray(contributions, np.float64)
        # Stable: of equal contributions the one that was named first.
        order = [place for place in np.argsort(-np.abs(values), kind="stable").tolist() if values[place] != 0]
        self.user_id, self.item_id, self.score = user_id, item_id, float(score)
        self.kinds = [kinds[place] for place in order]
        self.names = [names[place] for place in order]
        self.contributions = values[order]

    @property
    def tolerance(self) -> float:
        """How far the contributions' sum may be from the score: 1e-5 of the sum of their absolute values."""
        return _TOLERANCE * float(np.abs(self.contributions).sum())

    def _table(self) -> dict[str, np.ndarray]:
        names = np.empty(len(self.names), object)
        names[:] = self.names
        return {"kind": np.array(self.kinds, object), "name": names, "contribution": self.contributions}

    def largest(self, n: int) -> list[tuple[str, float]]:
        """The n largest reasons, as kind and name, and the sum of all others as one more.

        Returns
        -------
        list of (str, float)
        """
        labels = [
            str(name) if kind in ("baseline", "part") else f"{kind} {name!r}"
            for kind, name in zip(self.kinds, self.names)
        ]
        shown = list(zip(labels, self.contributions.tolist()))[:n]
        n_left = len(labels) - len(shown)
        if n_left:
            shown.append((f"{n_left} other{'s' if n_left > 1 else ''}", float(self.contributions[n:].sum())))
        return shown

    def text(self, n: int = 5) -> str:
        """One line: the score as a sum of its n largest reasons and of all others together."""
        words = f"{self.item_id} for {self.user_id}: {self.score:.4g} ="
        for place, (label, value) in enumerate(self.largest(n)):
            sign = ("-" if value < 0 else "") if place == 0 else ("- " if value < 0 else "+ ")
            words += f" {sign}{abs(value):.4g} {label}"
        return words if self.names else f"{words} 0"

    def plot(self, path: str | os.PathLike[str] | None = None, n: int = 12) -> Any:
        """Draw the n largest reasons as bars.

        Parameters
        ----------
        path : path, optional
            Where to write the picture; the ending says as what.
        n : int

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra `plot`).
        """
        shown = self.largest(n)[::-1]
        figure = import_extra("matplotlib.figure", "plot").Figure(
            figsize=(7, 1.2 + 0.3 * len(shown)), layout="constrained"
        )
        axes = figure.add_subplot()
        values = [value for _, value in shown]
        # Names come from outside: a dollar sign would begin a formula.
        labels = [label.replace("$", r"\$") for label, _ in shown]
        bars = axes.barh(
            range(len(shown)), values, color=["tab:blue" if value >= 0 else "tab:red" for value in values]
        )
        axes.bar_label(bars, fmt="%.3g", padding=3)
        axes.set_yticks(range(len(shown)), labels)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.margins(x=0.15)
        title = f"{self.item_id} for {self.user_id}: {self.score:.4g}"
        axes.set_title(title.replace("$", r"\$"))
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Explanation({self.text(3)})"
