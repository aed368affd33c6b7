"""What the benchmarks share: contenders and their processes, turns, limits, tables."""
