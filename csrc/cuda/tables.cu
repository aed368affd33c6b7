// Kernels that make rows ready.
#include "device/tables.cuh"
