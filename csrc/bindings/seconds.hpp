// How long a kernel takes, for benchmarks and for the choice of a precision.
#pragma once
#include <chrono>
#include <cstdint>

namespace gpurec::bindings {

// Seconds of one of `n_calls` calls.
template <class F>
double seconds_of_one(std::int64_t n_calls, F&& call) {
  const auto begin = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < n_calls; ++i) call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / double(n_calls);
}

}  // namespace gpurec::bindings
