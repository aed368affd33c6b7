// A libcuda whose device memory is the host's and whose launches leave what they were told in memory: what the calls of
// driver.py look like from the other side.
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {
int current_contexts = 0;
struct Launch {
  const void* function;
  unsigned shape[7];  // grid, block, shared bytes
  void* stream;
  std::size_t n_bytes;
  unsigned char params[4096];
} last;
int device_memory = 1 << 20;
bool captures = false;
int need_context() { return current_contexts == 1 ? 0 : 201; }
}  // namespace

extern "C" {
Launch* last_launch() { return &last; }
int contexts() { return current_contexts; }

int cuInit(unsigned flags) { return flags == 0 ? 0 : 1; }
int cuDriverGetVersion(int* v) { return *v = 12080, 0; }
int cuDeviceGetCount(int* n) { return *n = 2, 0; }
int cuDeviceGet(int* device, int ordinal) { return *device = ordinal + 70, ordinal < 2 ? 0 : 101; }
int cuDeviceGetName(char* name, int n, int device) {
  return device == 70 ? (std::strncpy(name, "A made-up GPU", std::size_t(n)), 0) : 101;
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  if (device != 70) return 101;
  switch (attribute) {
    case 16: return *value = 132, 0;
    case 38: return *value = 50 << 20, 0;
    case 39: return *value = 2048, 0;
    case 75: return *value = 9, 0;
    case 76: return *value = 0, 0;
    case 81: return *value = 233472, 0;
    case 97: return *value = 232448, 0;
  }
  return 1;
}
int cuDevicePrimaryCtxRetain(void** context, int device) { return *context = &device_memory, device == 70 ? 0 : 101; }
int cuCtxPushCurrent_v2(void* context) { return context == &device_memory ? (++current_contexts, 0) : 201; }
int cuCtxPopCurrent_v2(void** context) { return *context = &device_memory, --current_contexts, 0; }
int cuGetErrorString(int error, const char** text) {
  return *text = error == 2 ? "out of memory" : "made-up error", 0;
}
int cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  return *free = std::size_t(device_memory), *total = std::size_t(80) << 30, need_context();
}
int cuMemAlloc_v2(std::uint64_t* p, std::size_t n) {
  if (n > std::size_t(device_memory)) return 2;
  return *p = reinterpret_cast<std::uint64_t>(std::malloc(n)), need_context();
}
int cuMemFree_v2(std::uint64_t p) { return std::free(reinterpret_cast<void*>(p)), need_context(); }
int cuMemHostAlloc(void** p, std::size_t n, unsigned flags) {
  return *p = std::malloc(n), flags == 3 ? need_context() : 1;
}
int cuMemFreeHost(void* p) { return std::free(p), need_context(); }
int cuMemcpyAsync(std::uint64_t to, std::uint64_t from, std::size_t n, void*) {
  return std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), n), need_context();
}
int cuMemsetD8Async(std::uint64_t to, unsigned char byte, std::size_t n, void*) {
  return std::memset(reinterpret_cast<void*>(to), byte, n), need_context();
}
int cuStreamCreate(void** stream, unsigned flags) {
  return *stream = reinterpret_cast<void*>(0x7fff12345678), flags == 1 ? need_context() : 1;
}
int cuStreamDestroy_v2(void* stream) { return stream == reinterpret_cast<void*>(0x7fff12345678) ? 0 : 400; }
int cuStreamSynchronize(void* stream) { return stream == nullptr || cuStreamDestroy_v2(stream) == 0 ? 0 : 400; }
int cuEventCreate(void** event, unsigned flags) { return *event = reinterpret_cast<void*>(0x7ffe00000010), flags != 0; }
int cuEventDestroy_v2(void* event) { return event == reinterpret_cast<void*>(0x7ffe00000010) ? 0 : 400; }
int cuEventRecord(void* event, void*) { return cuEventDestroy_v2(event); }
int cuStreamWaitEvent(void* stream, void* event, unsigned flags) {
  return flags == 0 ? cuStreamDestroy_v2(stream) + cuEventDestroy_v2(event) : 1;
}
int cuEventElapsedTime(float* ms, void* a, void* b) { return *ms = 1.5f, cuEventDestroy_v2(a) + cuEventDestroy_v2(b); }
int cuModuleLoadData(void** module, const char* code) {
  *module = std::malloc(4);
  std::memcpy(*module, code, 4);
  return need_context();
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  // A module's code begins with the first letter of its only kernel, and may hold zeros.
  if (*static_cast<char*>(module) != name[0]) return 500;
  return *function = module, need_context();
}
int cuFuncGetAttribute(int* value, int attribute, void*) { return *value = attribute == 0 ? 256 : 10 + attribute, 0; }
int cuFuncSetAttribute(void*, int attribute, int value) { return attribute == 8 && value == 232448 ? 0 : 1; }
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* n, void*, int threads, std::size_t shared) {
  return *n = 2048 / threads - int(shared >> 20), 0;
}
int cuLaunchKernel(const void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* stream, void** params, void** extra) {
  if (params != nullptr || extra[0] != reinterpret_cast<void*>(1) || extra[2] != reinterpret_cast<void*>(2)) return 1;
  const unsigned shape[7] = {gx, gy, gz, bx, by, bz, shared};
  last.function = function;
  std::memcpy(last.shape, shape, sizeof shape);
  last.stream = stream;
  last.n_bytes = *static_cast<std::size_t*>(extra[3]);
  std::memcpy(last.params, extra[1], last.n_bytes);
  return extra[4] == nullptr ? need_context() : 1;
}
int cuStreamBeginCapture_v2(void* stream, int mode) { return captures = true, mode == 1 ? cuStreamDestroy_v2(stream) : 1; }
int cuStreamEndCapture(void* stream, void** graph) {
  return captures = false, *graph = reinterpret_cast<void*>(0x7ffd00000020), cuStreamDestroy_v2(stream);
}
int cuStreamIsCapturing(void*, int* status) { return *status = captures ? 1 : 0, need_context(); }
int cuGraphInstantiateWithFlags(void** runnable, void* graph, unsigned long long flags) {
  return *runnable = reinterpret_cast<void*>(0x7ffc00000030), graph == reinterpret_cast<void*>(0x7ffd00000020) ? int(flags) : 1;
}
int cuGraphLaunch(void* runnable, void* stream) {
  return runnable == reinterpret_cast<void*>(0x7ffc00000030) ? cuStreamDestroy_v2(stream) : 1;
}
int cuGraphExecDestroy(void* runnable) { return runnable == reinterpret_cast<void*>(0x7ffc00000030) ? 0 : 1; }
int cuGraphDestroy(void* graph) { return graph == reinterpret_cast<void*>(0x7ffd00000020) ? 0 : 1; }
}
