"""What cleaning did: a line a step, to print or to keep as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["CleaningReport", "CleaningStep"]


@dataclass(frozen=True)
class CleaningStep:
    """What one step did.

    Attributes
    ----------
    name : str
    rows_before, rows_after : int
        Records before and after.
    rows_affected : int
        Records that the step dropped or changed.
    reason : str
        The rule, in words.
    details : dict
        Numbers of this step alone, JSON-able.

    Examples
    --------
    >>> print(CleaningStep("missing", 10, 8, 2, "user, item or weight is missing: dropped"))
    missing: 10 -> 8 records, 2 affected (user, item or weight is missing: dropped)
    """

    name: str
    rows_before: int
    rows_after: int
    rows_affected: int
    reason: str
    details: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        counts = f"{self.rows_before:,} -> {self.rows_after:,} records, {self.rows_affected:,} affected"
        return f"{self.name}: {counts} ({self.reason})"

    def to_dict(self) -> dict[str, Any]:
        """The attributes, for JSON.

        Examples
        --------
        >>> CleaningStep("missing", 10, 8, 2, "").to_dict()["rows_after"]
        8
        """
        return asdict(self)


@dataclass(frozen=True)
class CleaningReport:
    """The steps of a cleaning, in the order in which they ran.

    Examples
    --------
    >>> report = CleaningReport((CleaningStep("missing", 10, 8, 2, "dropped"),))
    >>> print(report)
    missing: 10 -> 8 records, 2 affected (dropped)
    >>> report["missing"].rows_affected, report.rows_after
    (2, 8)
    """

    steps: tuple[CleaningStep, ...]

    @property
    def rows_before(self) -> int:
        """Records before the first step."""
        return self.steps[0].rows_before if self.steps else 0

    @property
    def rows_after(self) -> int:
        """Records after the last step."""
        return self.steps[-1].rows_after if self.steps else 0

    def __getitem__(self, name: str) -> CleaningStep:
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(f"no step {name!r}; the steps are {[step.name for step in self.steps]}")

    def __iter__(self) -> Iterator[CleaningStep]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))

    def to_dict(self) -> dict[str, Any]:
        """Counts and steps, for JSON.

        Examples
        --------
        >>> CleaningReport(()).to_dict()
        {'rows_before': 0, 'rows_after': 0, 'steps': []}
        """
        steps = [step.to_dict() for step in self.steps]
        return {"rows_before": self.rows_before, "rows_after": self.rows_after, "steps": steps}
