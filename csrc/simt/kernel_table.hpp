// The kernels of a module by name: GPUREC_KERNEL adds each to the table while the module is loaded.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace gpurec::simt {

struct Kernel {
  const char* name;
  std::size_t params_bytes;
  const void* function;             // what the CUDA runtime launches; null where kernels are emulated
  void (*emulated)(const void* params);  // what each emulated thread runs; null on a device
  int max_threads;
  int min_blocks;  // a multiprocessor should hold at once; 0: not said
};

inline std::vector<Kernel>& kernel_table() {
  static std::vector<Kernel> table;
  return table;
}

struct KernelEntry {
  KernelEntry(const char* name, std::size_t params_bytes, const void* function, void (*emulated)(const void*),
              int max_threads, int min_blocks = 0) {
    kernel_table().push_back({name, params_bytes, function, emulated, max_threads, min_blocks});
  }
};

// Null where there is none of that name.
inline const Kernel* find_kernel(const std::string& name) {
  for (const Kernel& kernel : kernel_table()) {
    if (name == kernel.name) return &kernel;
  }
  return nullptr;
}

}  // namespace gpurec::simt
