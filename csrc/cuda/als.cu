// Kernels of alternating least squares.
#include "device/als.cuh"
