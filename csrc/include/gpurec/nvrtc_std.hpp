// What kernels' headers need of the standard library where there is none: NVRTC compiles without <cstdint> and its
// like, but brings the functions themselves along in the global namespace. Included by portable_std.hpp alone.
#pragma once

namespace std {

using int8_t = signed char;
using int16_t = short;
using int32_t = int;
using int64_t = long;  // as 64-bit Linux has it, so that overloads are the same ones under every compiler
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned int;
using uint64_t = unsigned long;
using uintptr_t = unsigned long;
using intptr_t = long;
using size_t = decltype(sizeof(0));
using ptrdiff_t = long;

static_assert(sizeof(int64_t) == 8 && sizeof(int32_t) == 4, "NVRTC compiles for 64-bit Linux");

using ::ceil;
using ::fabs;
using ::floor;
using ::fmax;
using ::fmin;
using ::frexp;
using ::isfinite;
using ::isnan;
using ::ldexp;
using ::memcpy;
using ::memset;
using ::sqrt;

template <class T>
struct numeric_limits;

template <>
struct numeric_limits<float> {
  static constexpr __host__ __device__ float infinity() { return __builtin_bit_cast(float, 0x7f800000); }
  static constexpr __host__ __device__ float quiet_NaN() { return __builtin_bit_cast(float, 0x7fc00000); }
  static constexpr __host__ __device__ float max() { return 0x1.fffffep127f; }
  static constexpr __host__ __device__ float lowest() { return -max(); }
  static constexpr __host__ __device__ float min() { return 0x1p-126f; }
  static constexpr __host__ __device__ float denorm_min() { return 0x1p-149f; }
};

template <>
struct numeric_limits<double> {
  static constexpr __host__ __device__ double infinity() { return __builtin_bit_cast(double, 0x7ff0000000000000); }
  static constexpr __host__ __device__ double quiet_NaN() { return __builtin_bit_cast(double, 0x7ff8000000000000); }
  static constexpr __host__ __device__ double max() { return 0x1.fffffffffffffp1023; }
  static constexpr __host__ __device__ double lowest() { return -max(); }
  static constexpr __host__ __device__ double min() { return 0x1p-1022; }
  static constexpr __host__ __device__ double denorm_min() { return 0x1p-1074; }
};

// Whole numbers: T(-1) is the largest of an unsigned type.
template <class T, bool is_signed>
struct whole_number_limits {
  static constexpr __host__ __device__ T max() { return is_signed ? T(~min()) : T(-1); }
  static constexpr __host__ __device__ T min() { return is_signed ? T(T(1) << (8 * sizeof(T) - 1)) : T(0); }
  static constexpr __host__ __device__ T lowest() { return min(); }
};

template <>
struct numeric_limits<int8_t> : whole_number_limits<int8_t, true> {};
template <>
struct numeric_limits<int32_t> : whole_number_limits<int32_t, true> {};
template <>
struct numeric_limits<int64_t> : whole_number_limits<int64_t, true> {};
template <>
struct numeric_limits<uint8_t> : whole_number_limits<uint8_t, false> {};
template <>
struct numeric_limits<uint32_t> : whole_number_limits<uint32_t, false> {};
template <>
struct numeric_limits<uint64_t> : whole_number_limits<uint64_t, false> {};
template <>
struct numeric_limits<unsigned long long> : whole_number_limits<unsigned long long, false> {};

template <class T, class U>
struct is_same {
  static constexpr bool value = false;
};
template <class T>
struct is_same<T, T> {
  static constexpr bool value = true;
};
template <class T, class U>
inline constexpr bool is_same_v = is_same<T, U>::value;

template <bool condition, class T, class U>
struct conditional {
  using type = T;
};
template <class T, class U>
struct conditional<false, T, U> {
  using type = U;
};
template <bool condition, class T, class U>
using conditional_t = typename conditional<condition, T, U>::type;

}  // namespace std

using std::int16_t;
using std::int32_t;
using std::int64_t;
using std::int8_t;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;
using std::uintptr_t;
