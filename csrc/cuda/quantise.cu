// Kernels that make codes.
#include "device/quantise_tiles.cuh"
