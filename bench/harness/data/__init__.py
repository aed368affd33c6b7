"""What the benchmarks search: items and queries of several kinds, and filters."""
