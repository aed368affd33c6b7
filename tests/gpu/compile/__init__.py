"""What nvcc and NVRTC make of the kernels, without a device."""
