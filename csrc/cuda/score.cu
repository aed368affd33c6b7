// Kernels that score whole matrices and pairs.
#include "device/score.cuh"
