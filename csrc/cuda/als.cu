// Kernels of alternating least squares.
#include "device/als.cuh"
#include "device/als_shared.cuh"
