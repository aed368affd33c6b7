// What the host asks of a device: one interface, implemented by CUDA's runtime (cuda/runtime.cpp) and by the emulator
// (emulator/device/runtime.cpp). A module links one of them, and whatever kernels it was built with.
//
// Everything that takes a stream is asynchronous to the host where the device is a real one. While a stream is being
// captured nothing may be allocated, freed or waited for. Failures throw: std::bad_alloc where memory is at its end,
// std::invalid_argument for what the caller could have known, DeviceFailure for all else.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace gpurec::simt {

using Address = std::uint64_t;  // of device memory, or of pinned host memory, which kernels may read
using Handle = std::uint64_t;   // a stream, an event or a graph; stream 0 is the device's own

struct DeviceFailure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Versions {
  int driver = 0;   // 13000 is 13.0; 0: there is none
  int runtime = 0;  // that this module was built with
};

struct DeviceProperties {
  std::string name;
  int major = 0;  // compute capability
  int minor = 0;
  int n_multiprocessors = 0;
  std::size_t total_memory = 0;  // bytes
  std::size_t free_memory = 0;
  std::size_t shared_per_block = 0;  // most dynamic shared memory of a block
  std::size_t shared_per_multiprocessor = 0;
  std::size_t l2_bytes = 0;
  int max_threads_per_multiprocessor = 0;
};

struct KernelAttributes {
  std::size_t params_bytes = 0;
  int max_threads = 0;  // of a block
  int n_registers = 0;  // a thread; 0 where kernels are emulated, as the next three
  std::size_t static_shared = 0;
  std::size_t local_bytes = 0;
  std::size_t constant_bytes = 0;
  std::size_t max_dynamic_shared = 0;
};

struct Launch {
  std::string kernel;
  int grid[3] = {1, 1, 1};
  int n_threads = 0;
  std::size_t shared_bytes = 0;
  std::string params;  // the bytes of the kernel's struct
};

int device_count();
// Why there is no device; empty where there is one.
std::string why_no_device();
Versions versions();
std::vector<std::string> kernel_names();

class Device {
 public:
  explicit Device(int ordinal);  // std::invalid_argument where there is none of that number

  int ordinal() const { return ordinal_; }
  DeviceProperties properties() const;
  KernelAttributes attributes(const std::string& kernel) const;
  // How many blocks of a kernel one multiprocessor holds.
  int resident_blocks(const std::string& kernel, int n_threads, std::size_t shared_bytes) const;

  Address allocate(std::size_t n_bytes) const;
  void free(Address p) const;
  Address allocate_host(std::size_t n_bytes) const;  // pinned
  void free_host(Address p) const;

  // Between device and host memory in any direction; pageable host memory must stay as it is until the stream is done.
  void copy(Address to, Address from, std::size_t n_bytes, Handle stream) const;
  void fill(Address to, int byte, std::size_t n_bytes, Handle stream) const;

  Handle create_stream() const;
  void destroy_stream(Handle stream) const;
  void synchronise(Handle stream) const;
  Handle create_event() const;
  void destroy_event(Handle event) const;
  void record(Handle event, Handle stream) const;
  void wait(Handle stream, Handle event) const;  // the stream waits, not the host
  double milliseconds_between(Handle first, Handle last) const;

  void launch(const Launch& launch, Handle stream) const;

  void begin_capture(Handle stream) const;
  Handle end_capture(Handle stream) const;  // a graph
  bool is_capturing(Handle stream) const;
  void launch_graph(Handle graph, Handle stream) const;
  void destroy_graph(Handle graph) const;

 private:
  int ordinal_;
};

}  // namespace gpurec::simt
