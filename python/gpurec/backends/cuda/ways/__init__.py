"""The ways to a device: the built module, NVRTC with libcuda alone, the emulator of tests."""

from .runtime import Device, Runtime, open_built, open_cuda, open_emulated, open_nvrtc

__all__ = ["Device", "Runtime", "open_built", "open_cuda", "open_emulated", "open_nvrtc"]
