"""gpurec inside RecTools: a ranker for its models, and gpurec's models with its `Dataset` and columns.

`GpurecModel` needs RecTools; `Ranker` does not.
"""

from __future__ import annotations

from typing import Any

from .ranker import Ranker, ranking

__all__ = ["Ranker", "ranking"]


def __getattr__(name: str) -> Any:
    if name == "GpurecModel":
        from .model import GpurecModel

        return GpurecModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
