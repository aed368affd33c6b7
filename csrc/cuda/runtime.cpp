// simt/runtime.hpp by CUDA's runtime, which is linked statically: the module loads where there is no driver.
#include "simt/runtime.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <new>

#include "simt/kernel_table.hpp"
#include "simt/launch_checks.hpp"

namespace gpurec::simt {
namespace {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // so that the next call does not report it again
  if (status == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw DeviceFailure(std::string("[cuda] ") + what + ": " + cudaGetErrorName(status) + ", " + cudaGetErrorString(status));
}

// The caller's current device stays as it was.
class OnDevice {
 public:
  explicit OnDevice(int ordinal) {
    check(cudaGetDevice(&before_), "asking for the current device");
    if (before_ == ordinal) return;
    check(cudaSetDevice(ordinal), "choosing a device");
    changed_ = true;
  }
  ~OnDevice() {
    if (changed_) (void)cudaSetDevice(before_);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

template <class T>
T of_handle(Handle handle) {
  return reinterpret_cast<T>(handle);
}
cudaStream_t stream_of(Handle handle) { return of_handle<cudaStream_t>(handle); }
template <class T>
Handle handle_of(T* object) {
  return reinterpret_cast<Handle>(object);
}

const Kernel& kernel_named(const std::string& name) {
  const Kernel* const kernel = find_kernel(name);
  if (kernel == nullptr) throw std::invalid_argument("[cuda] expected the name of a kernel, got '" + name + "'");
  return *kernel;
}

int attribute(cudaDeviceAttr what, int ordinal) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, what, ordinal), "asking for an attribute");
  return value;
}

std::size_t most_shared(int ordinal) {
  return std::size_t(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, ordinal));
}

// More than 48 KiB of dynamic shared memory must be asked for, once a kernel and device; asking again costs little.
void allow_shared(const Kernel& kernel, std::size_t n_bytes) {
  if (n_bytes <= std::size_t(48) << 10) return;
  check(cudaFuncSetAttribute(kernel.function, cudaFuncAttributeMaxDynamicSharedMemorySize, int(n_bytes)),
        "asking for shared memory");
}

}  // namespace

int device_count() {
  int n = 0;
  if (cudaGetDeviceCount(&n) == cudaSuccess) return n;
  (void)cudaGetLastError();
  return 0;
}

std::string why_no_device() {
  int n = 0;
  const cudaError_t status = cudaGetDeviceCount(&n);
  (void)cudaGetLastError();
  if (status == cudaSuccess) return n > 0 ? "" : "the driver knows of no device";
  if (versions().driver == 0) return "there is no NVIDIA driver";
  return std::string(cudaGetErrorName(status)) + ": " + cudaGetErrorString(status);
}

Versions versions() {
  Versions result;
  (void)cudaDriverGetVersion(&result.driver);
  (void)cudaRuntimeGetVersion(&result.runtime);
  (void)cudaGetLastError();
  return result;
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const Kernel& kernel : kernel_table()) names.emplace_back(kernel.name);
  return names;
}

Device::Device(int ordinal) : ordinal_(ordinal) {
  const int n = device_count();
  if (ordinal < 0 || ordinal >= n) {
    throw std::invalid_argument("[cuda] expected one of " + std::to_string(n) + " devices, got " + std::to_string(ordinal) +
                                (n == 0 ? "; " + why_no_device() : ""));
  }
}

DeviceProperties Device::properties() const {
  const OnDevice guard(ordinal_);
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, ordinal_), "asking for properties");
  DeviceProperties result;
  result.name = p.name;
  result.major = p.major;
  result.minor = p.minor;
  result.n_multiprocessors = p.multiProcessorCount;
  check(cudaMemGetInfo(&result.free_memory, &result.total_memory), "asking for free memory");
  result.shared_per_block = p.sharedMemPerBlockOptin;
  result.shared_per_multiprocessor = p.sharedMemPerMultiprocessor;
  result.l2_bytes = std::size_t(p.l2CacheSize);
  result.max_threads_per_multiprocessor = p.maxThreadsPerMultiProcessor;
  return result;
}

KernelAttributes Device::attributes(const std::string& name) const {
  const OnDevice guard(ordinal_);
  const Kernel& kernel = kernel_named(name);
  cudaFuncAttributes a{};
  check(cudaFuncGetAttributes(&a, kernel.function), "asking for a kernel's attributes");
  KernelAttributes result;
  result.params_bytes = kernel.params_bytes;
  result.max_threads = std::min(kernel.max_threads, a.maxThreadsPerBlock);
  result.n_registers = a.numRegs;
  result.static_shared = a.sharedSizeBytes;
  result.local_bytes = a.localSizeBytes;
  result.constant_bytes = a.constSizeBytes;
  result.max_dynamic_shared = most_shared(ordinal_) - a.sharedSizeBytes;
  return result;
}

int Device::resident_blocks(const std::string& name, int n_threads, std::size_t shared_bytes) const {
  const OnDevice guard(ordinal_);
  const Kernel& kernel = kernel_named(name);
  allow_shared(kernel, shared_bytes);
  int n = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n, kernel.function, n_threads, shared_bytes), "asking for occupancy");
  return n;
}

Address Device::allocate(std::size_t n_bytes) const {
  const OnDevice guard(ordinal_);
  void* p = nullptr;
  check(cudaMalloc(&p, std::max<std::size_t>(n_bytes, 1)), "allocating memory");
  return reinterpret_cast<Address>(p);
}
void Device::free(Address p) const {
  const OnDevice guard(ordinal_);
  check(cudaFree(of_handle<void*>(p)), "freeing memory");
}
Address Device::allocate_host(std::size_t n_bytes) const {
  const OnDevice guard(ordinal_);
  void* p = nullptr;
  check(cudaHostAlloc(&p, std::max<std::size_t>(n_bytes, 1), cudaHostAllocPortable | cudaHostAllocMapped), "allocating pinned memory");
  return reinterpret_cast<Address>(p);
}
void Device::free_host(Address p) const {
  const OnDevice guard(ordinal_);
  check(cudaFreeHost(of_handle<void*>(p)), "freeing pinned memory");
}

void Device::copy(Address to, Address from, std::size_t n_bytes, Handle stream) const {
  if (n_bytes == 0) return;
  const OnDevice guard(ordinal_);
  check(cudaMemcpyAsync(of_handle<void*>(to), of_handle<const void*>(from), n_bytes, cudaMemcpyDefault, stream_of(stream)), "copying");
}
void Device::fill(Address to, int byte, std::size_t n_bytes, Handle stream) const {
  if (n_bytes == 0) return;
  const OnDevice guard(ordinal_);
  check(cudaMemsetAsync(of_handle<void*>(to), byte, n_bytes, stream_of(stream)), "filling memory");
}

Handle Device::create_stream() const {
  const OnDevice guard(ordinal_);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return handle_of(stream);
}
void Device::destroy_stream(Handle stream) const { check(cudaStreamDestroy(stream_of(stream)), "ending a stream"); }
void Device::synchronise(Handle stream) const {
  const OnDevice guard(ordinal_);
  check(cudaStreamSynchronize(stream_of(stream)), "waiting for a stream");
}
Handle Device::create_event() const {
  const OnDevice guard(ordinal_);
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "making an event");
  return handle_of(event);
}
void Device::destroy_event(Handle event) const { check(cudaEventDestroy(of_handle<cudaEvent_t>(event)), "ending an event"); }
void Device::record(Handle event, Handle stream) const {
  const OnDevice guard(ordinal_);
  check(cudaEventRecord(of_handle<cudaEvent_t>(event), stream_of(stream)), "recording an event");
}
void Device::wait(Handle stream, Handle event) const {
  const OnDevice guard(ordinal_);
  check(cudaStreamWaitEvent(stream_of(stream), of_handle<cudaEvent_t>(event), 0), "waiting for an event");
}
double Device::milliseconds_between(Handle first, Handle last) const {
  const OnDevice guard(ordinal_);
  float milliseconds = 0.0f;
  check(cudaEventSynchronize(of_handle<cudaEvent_t>(last)), "waiting for an event");
  check(cudaEventElapsedTime(&milliseconds, of_handle<cudaEvent_t>(first), of_handle<cudaEvent_t>(last)), "timing");
  return double(milliseconds);
}

void Device::launch(const Launch& launch, Handle stream) const {
  const Kernel& kernel = kernel_named(launch.kernel);
  const OnDevice guard(ordinal_);
  check_launch(launch, kernel, most_shared(ordinal_));
  allow_shared(kernel, launch.shared_bytes);
  void* params = const_cast<char*>(launch.params.data());  // copied by the call
  void* arguments[] = {params};
  const dim3 grid(unsigned(launch.grid[0]), unsigned(launch.grid[1]), unsigned(launch.grid[2]));
  check(cudaLaunchKernel(kernel.function, grid, dim3(unsigned(launch.n_threads)), arguments, launch.shared_bytes,
                         stream_of(stream)),
        launch.kernel.c_str());
}

void Device::begin_capture(Handle stream) const {
  const OnDevice guard(ordinal_);
  check(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal), "capturing a stream");
}
Handle Device::end_capture(Handle stream) const {
  const OnDevice guard(ordinal_);
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream_of(stream), &graph), "ending a capture");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  (void)cudaGraphDestroy(graph);
  check(status, "making a graph");
  return handle_of(executable);
}
bool Device::is_capturing(Handle stream) const {
  const OnDevice guard(ordinal_);
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream_of(stream), &status), "asking whether a stream is captured");
  return status != cudaStreamCaptureStatusNone;
}
void Device::launch_graph(Handle graph, Handle stream) const {
  const OnDevice guard(ordinal_);
  check(cudaGraphLaunch(of_handle<cudaGraphExec_t>(graph), stream_of(stream)), "launching a graph");
}
void Device::destroy_graph(Handle graph) const { check(cudaGraphExecDestroy(of_handle<cudaGraphExec_t>(graph)), "ending a graph"); }

}  // namespace gpurec::simt
