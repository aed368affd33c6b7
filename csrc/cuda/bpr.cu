// Kernels of pairwise ranking.
#include "device/bpr.cuh"
