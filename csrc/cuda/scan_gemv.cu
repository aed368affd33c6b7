// Kernels that scan for few queries.
#include "device/scan_gemv.cuh"
