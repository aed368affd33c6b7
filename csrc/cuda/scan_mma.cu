// Kernels that scan for many queries.
#include "device/scan_mma.cuh"
