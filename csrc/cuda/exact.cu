// Kernels of the exact path.
#include "device/exact.cuh"
