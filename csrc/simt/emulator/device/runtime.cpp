// The device's runtime on the emulator: streams run at the call, a graph is a list of what was asked while capturing.
#include "simt/runtime.hpp"

#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "simt/kernel_table.hpp"
#include "simt/launch_checks.hpp"
#include "../machine.hpp"
#include "memory.hpp"
#include "runtime.hpp"

namespace gpurec::simt {
namespace {

using Step = std::function<void()>;

// One emulator a process: calls of several threads wait for each other.
std::recursive_mutex mutex;
using Lock = std::lock_guard<std::recursive_mutex>;
Handle next_handle = 1;
std::set<Handle> streams, events;
std::map<Handle, std::vector<Step>> graphs;
std::map<Handle, std::vector<Step>> capturing;  // by stream
emulator::CallCounters calls;

std::string hexadecimal(Address p) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(p));
  return text;
}

void* pointer(Address p) { return reinterpret_cast<void*>(p); }  // NOLINT: that is what an address is

void refuse_while_capturing(const char* what) {
  if (!capturing.empty()) {
    ++calls.refused;
    throw DeviceFailure(std::string("[emulator] ") + what + " while a stream is being captured");
  }
}

// Now, or whenever the graph that is being captured is launched.
void enqueue(Handle stream, Step step) {
  if (stream > 2 && streams.count(stream) == 0) throw std::invalid_argument("[emulator] expected a stream, got handle " + std::to_string(stream));
  const auto capture = capturing.find(stream);
  if (capture != capturing.end()) {
    capture->second.push_back(std::move(step));
    return;
  }
  // The device's own stream would wait for the one that is being captured.
  if (stream == 0) refuse_while_capturing("work on the device's own stream");
  step();
}

// A range of device or pinned memory; host memory that nobody registered is the caller's business.
bool check_range(Address p, std::size_t n_bytes, const char* what) {
  if (emulator::allocation_near(pointer(p)) == nullptr) return false;
  if (!emulator::lies_within(pointer(p), n_bytes)) {
    throw DeviceFailure(std::string("[emulator] ") + what + " of " + std::to_string(n_bytes) + " bytes at " + hexadecimal(p) +
                        " leaves its allocation");
  }
  return true;
}

void run_launch(const Kernel& kernel, const Launch& launch) {
  ++calls.launches;
  // Aligned as the struct wants it.
  std::vector<std::uint64_t> params((launch.params.size() + 7) / 8 + 1);
  std::memcpy(params.data(), launch.params.data(), launch.params.size());
  emulator::LaunchShape shape{{launch.grid[0], launch.grid[1], launch.grid[2]}, launch.n_threads, launch.shared_bytes};
  std::string wrong = emulator::run(shape, kernel.emulated, params.data());
  const std::string damage = emulator::damage();
  if (wrong.empty()) wrong = damage;
  if (!wrong.empty()) throw DeviceFailure("[" + launch.kernel + "] " + wrong + " (seed " + std::to_string(emulator::seed()) + ")");
}

const Kernel& kernel_named(const std::string& name) {
  const Kernel* const kernel = find_kernel(name);
  if (kernel == nullptr) throw std::invalid_argument("[emulator] expected the name of a kernel, got '" + name + "'");
  return *kernel;
}

Handle make(std::set<Handle>& handles) {
  next_handle += 16;
  handles.insert(next_handle);
  return next_handle;
}

}  // namespace

namespace emulator {
CallCounters& call_counters() { return calls; }
}  // namespace emulator

int device_count() { return 1; }
std::string why_no_device() { return ""; }
Versions versions() { return {}; }
std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const Kernel& kernel : kernel_table()) names.emplace_back(kernel.name);
  return names;
}

Device::Device(int ordinal) : ordinal_(ordinal) {
  if (ordinal != 0) throw std::invalid_argument("[emulator] expected device 0, got " + std::to_string(ordinal));
}

DeviceProperties Device::properties() const {
  const Lock lock(mutex);
  const emulator::MemoryUse use = emulator::memory_use();
  DeviceProperties result;
  result.name = "emulator";
  result.major = 9;
  result.n_multiprocessors = 4;
  result.total_memory = use.total;
  result.free_memory = use.total - use.used;
  result.shared_per_block = emulator::kMostShared;
  result.shared_per_multiprocessor = emulator::kMostShared + 1024;
  result.l2_bytes = std::size_t(50) << 20;
  result.max_threads_per_multiprocessor = 2048;
  return result;
}

KernelAttributes Device::attributes(const std::string& name) const {
  const Kernel& kernel = kernel_named(name);
  KernelAttributes result;
  result.params_bytes = kernel.params_bytes;
  result.max_threads = kernel.max_threads;
  result.max_dynamic_shared = emulator::kMostShared;
  return result;
}

int Device::resident_blocks(const std::string& name, int n_threads, std::size_t shared_bytes) const {
  kernel_named(name);
  const int by_threads = 2048 / n_threads;
  const int by_shared = int((emulator::kMostShared + 1024) / (shared_bytes + 1024));
  return by_threads < by_shared ? by_threads : by_shared;
}

Address Device::allocate(std::size_t n_bytes) const {
  const Lock lock(mutex);
  refuse_while_capturing("an allocation");
  ++calls.allocations;
  return reinterpret_cast<Address>(emulator::allocate(n_bytes, false));
}
Address Device::allocate_host(std::size_t n_bytes) const {
  const Lock lock(mutex);
  refuse_while_capturing("an allocation");
  ++calls.allocations;
  return reinterpret_cast<Address>(emulator::allocate(n_bytes, true));
}
void Device::free(Address p) const {
  const Lock lock(mutex);
  if (p == 0) return;
  refuse_while_capturing("freeing memory");
  if (!emulator::release(pointer(p))) throw std::invalid_argument("[emulator] expected an allocation, got " + hexadecimal(p));
}
void Device::free_host(Address p) const { free(p); }

void Device::copy(Address to, Address from, std::size_t n_bytes, Handle stream) const {
  const Lock lock(mutex);
  if (n_bytes == 0) return;
  const bool known = check_range(to, n_bytes, "a copy to") & check_range(from, n_bytes, "a copy from");
  if (capturing.count(stream) != 0 && !known) {
    ++calls.refused;
    throw DeviceFailure("[emulator] a copy of pageable memory while a stream is being captured");
  }
  ++calls.copies;
  enqueue(stream, [=] {
    std::memmove(pointer(to), pointer(from), n_bytes);
    emulator::mark_written(pointer(to), n_bytes);
  });
}

void Device::fill(Address to, int byte, std::size_t n_bytes, Handle stream) const {
  const Lock lock(mutex);
  if (n_bytes == 0) return;
  if (!check_range(to, n_bytes, "a fill")) throw DeviceFailure("[emulator] a fill of memory that is not the device's");
  enqueue(stream, [=] {
    std::memset(pointer(to), byte, n_bytes);
    emulator::mark_written(pointer(to), n_bytes);
  });
}

Handle Device::create_stream() const {
  const Lock lock(mutex);
  return make(streams);
}
void Device::destroy_stream(Handle stream) const {
  const Lock lock(mutex);
  if (streams.erase(stream) == 0) throw std::invalid_argument("[emulator] expected a stream");
}
void Device::synchronise(Handle) const {
  const Lock lock(mutex);
  refuse_while_capturing("waiting for a stream");
  ++calls.synchronisations;
}
Handle Device::create_event() const {
  const Lock lock(mutex);
  return make(events);
}
void Device::destroy_event(Handle event) const {
  const Lock lock(mutex);
  if (events.erase(event) == 0) throw std::invalid_argument("[emulator] expected an event");
}
void Device::record(Handle event, Handle) const {
  const Lock lock(mutex);
  if (events.count(event) == 0) throw std::invalid_argument("[emulator] expected an event");
}
void Device::wait(Handle, Handle event) const { record(event, 0); }
double Device::milliseconds_between(Handle first, Handle last) const {
  record(first, 0);
  record(last, 0);
  return 0.0;  // an emulated device has no time
}

void Device::launch(const Launch& launch, Handle stream) const {
  const Lock lock(mutex);
  const Kernel& kernel = kernel_named(launch.kernel);
  check_launch(launch, kernel, emulator::kMostShared);
  enqueue(stream, [&kernel, launch] { run_launch(kernel, launch); });
}

void Device::begin_capture(Handle stream) const {
  const Lock lock(mutex);
  if (stream == 0) throw DeviceFailure("[emulator] the device's own stream cannot be captured");
  if (capturing.count(stream) != 0) throw DeviceFailure("[emulator] the stream is being captured already");
  capturing[stream] = {};
}
Handle Device::end_capture(Handle stream) const {
  const Lock lock(mutex);
  const auto capture = capturing.find(stream);
  if (capture == capturing.end()) throw DeviceFailure("[emulator] the stream is not being captured");
  next_handle += 16;
  graphs[next_handle] = std::move(capture->second);
  capturing.erase(capture);
  return next_handle;
}
bool Device::is_capturing(Handle stream) const {
  const Lock lock(mutex);
  return capturing.count(stream) != 0;
}
void Device::launch_graph(Handle graph, Handle stream) const {
  const Lock lock(mutex);
  const auto found = graphs.find(graph);
  if (found == graphs.end()) throw std::invalid_argument("[emulator] expected a graph");
  ++calls.graph_launches;
  for (const Step& step : found->second) enqueue(stream, step);
}
void Device::destroy_graph(Handle graph) const {
  const Lock lock(mutex);
  if (graphs.erase(graph) == 0) throw std::invalid_argument("[emulator] expected a graph");
}

}  // namespace gpurec::simt
