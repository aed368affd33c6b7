// The one place that picks the standard library for headers that kernels include.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

// A function that host and device both call.
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define GPUREC_HD __host__ __device__
#else
#define GPUREC_HD
#endif
