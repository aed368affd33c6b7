// Kernels that end a search.
#include "device/answers.cuh"
