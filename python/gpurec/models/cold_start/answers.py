"""What users answered when they registered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...types import IdMap

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Answers"]


class Answers:
    """Answers of users to questions: an age band, a country, a favourite genre.

    Parameters
    ----------
    user_ids : sequence of ids
        Each once.
    answers : mapping of question to a sequence of answers, one a user
        Answers are any hashable, and a list, tuple or set is several of them; None is no answer. Bring
        numbers such as an age into bands first: each different answer counts for itself.

    Attributes
    ----------
    user_map : IdMap
    options : IdMap
        Pairs (question, answer) that were given, by first appearance.
    given : scipy CSR, float64, shape (n_users, n_options)
        1 where a user gave an answer.

    Raises
    ------
    ValueError
        If a question has not one answer a user, or a user stands twice.

    Examples
    --------
    >>> asked = Answers(["ann", "bob"], {"sex": ["f", None], "likes": [["sf"], ["sf", "crime"]]})
    >>> list(asked.options), asked.given.toarray().tolist()
    ([('sex', 'f'), ('likes', 'sf'), ('likes', 'crime')], [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    """

    def __init__(self, user_ids: Iterable[Any], answers: Mapping[str, Sequence[Any]]) -> None:
        from scipy.sparse import csr_array

        self.user_map, self.options = IdMap(user_ids), IdMap()
        n = len(self.user_map)
        users: list[int] = []
        pairs: list[tuple[str, Any]] = []
        for question, column in answers.items():
            column = list(column)
            if len(column) != n:
                raise ValueError(
                    f"[answers] expected an answer to {question!r} of each of {n} users, got {len(column)}; "
                    "do: None for no answer"
                )
            for user, answer in enumerate(column):
                for one in _several(answer):
                    users.append(user)
                    pairs.append((question, one))
        columns = self.options.add(pairs)
        self.given: csr_array = csr_array(
            (np.ones(len(users)), (np.array(users, np.int64), columns)), shape=(n, len(self.options))
        )
        self.given.sort_indices()
        self.given.data[:] = 1

    def of(self, user_ids: Any) -> csr_array:
        """Answers of users, float64 CSR (n, n_options); a row without entries where none are known."""
        from scipy.sparse import csr_array

        rows = self.user_map.rows(user_ids, unknown="ignore")
        asked = np.flatnonzero(rows >= 0)
        lengths = np.zeros(len(rows) + 1, np.int64)
        chosen = self.given[rows[asked]]
        lengths[asked + 1] = np.diff(chosen.indptr)
        return csr_array(
            (chosen.data, chosen.indices, np.cumsum(lengths)), shape=(len(rows), len(self.options))
        )

    def __len__(self) -> int:
        return len(self.user_map)

    def __repr__(self) -> str:
        return f"Answers({len(self)} users, {len(self.options)} different answers)"


def _several(answer: Any) -> list[Any]:
    if answer is None or answer != answer:
        return []
    if isinstance(answer, (set, frozenset)):
        return sorted(answer, key=repr)
    return list(answer) if isinstance(answer, (list, tuple)) else [answer]
