"""Backend `cuda`: kernels of csrc/cuda, whichever way leads to them, and the emulated one of tests.

`runtime` finds the way, `table` keeps items, `planning` chooses sizes, `search` launches.
"""

from .backend import CudaBackend, EmulatedCudaBackend

__all__ = ["CudaBackend", "EmulatedCudaBackend"]
