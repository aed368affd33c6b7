"""Kernels and the emulator that runs them on the CPU."""
