"""What the benchmarks share: contenders and their processes, turns, limits, tables."""

from pathlib import Path

__all__ = ["BENCH", "RIVALS_FOLDER", "ROOT"]

BENCH = Path(__file__).resolve().parents[1]
ROOT = BENCH.parent
RIVALS_FOLDER = ROOT / "build" / "rivals"
