// What is checked of a launch before any runtime sees it.
#pragma once
#include <stdexcept>
#include <string>

#include "kernel_table.hpp"
#include "runtime.hpp"

namespace gpurec::simt {

inline void check_launch(const Launch& launch, const Kernel& kernel, std::size_t most_shared) {
  const auto expect = [&](bool holds, const std::string& what, std::uint64_t got) {
    if (!holds) throw std::invalid_argument("[" + launch.kernel + "] expected " + what + ", got " + std::to_string(got));
  };
  expect(launch.params.size() == kernel.params_bytes, std::to_string(kernel.params_bytes) + " bytes of parameters",
         launch.params.size());
  expect(launch.n_threads >= 1 && launch.n_threads <= kernel.max_threads,
         "1 to " + std::to_string(kernel.max_threads) + " threads a block", std::uint64_t(launch.n_threads));
  expect(launch.grid[0] >= 1, "at least one block", std::uint64_t(launch.grid[0]));
  for (const int i : {1, 2}) {
    expect(launch.grid[i] >= 1 && launch.grid[i] <= 65535, "1 to 65535 blocks in y and z", std::uint64_t(launch.grid[i]));
  }
  expect(launch.shared_bytes <= most_shared, "at most " + std::to_string(most_shared) + " bytes of shared memory",
         launch.shared_bytes);
}

}  // namespace gpurec::simt
