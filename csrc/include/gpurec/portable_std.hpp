// The one place that picks the standard library for headers that kernels include: under NVRTC, which has none, it is
// what nvrtc_std.hpp defines.
#pragma once

#ifdef __CUDACC_RTC__
#include "gpurec/nvrtc_std.hpp"
#else
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#endif

// A function that host and device both call. Compiled for a device it wants -fmad=false and --expt-relaxed-constexpr
// (for numeric_limits); float64 arithmetic, division and sqrt then round as on the CPU.
#ifdef __CUDACC__
#define GPUREC_HD __host__ __device__
#else
#define GPUREC_HD
#endif
