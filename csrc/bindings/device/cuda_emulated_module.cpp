// The modules gpurec._native._cuda_emulated and, with traced memory accesses, gpurec._native._cuda_traced: for tests.
#include <cstdlib>

#include "../../simt/emulator/machine.hpp"
#include "../../simt/emulator/device/memory.hpp"
#include "../../simt/emulator/device/runtime.hpp"
#include "device_bindings.hpp"

#ifdef GPUREC_TRACED
#include "../../simt/emulator/trace/trace.hpp"
#define GPUREC_EMULATED_MODULE _cuda_traced
#else
#define GPUREC_EMULATED_MODULE _cuda_emulated
#endif

namespace gpurec::bindings {
namespace {

namespace emulator = simt::emulator;

py::dict counters() {
  const emulator::Counters& run = emulator::counters;
  const emulator::CallCounters& calls = emulator::call_counters();
  const emulator::MemoryUse memory = emulator::memory_use();
  py::dict result;
  result["launches"] = run.launches;
  result["blocks"] = run.blocks;
  result["threads"] = run.threads;
  result["switches"] = run.switches;
  result["meetings"] = run.meetings;
  result["graph_launches"] = calls.graph_launches;
  result["allocations"] = calls.allocations;
  result["copies"] = calls.copies;
  result["synchronisations"] = calls.synchronisations;
  result["refused"] = calls.refused;
  result["used_bytes"] = memory.used;
  result["most_bytes"] = memory.most;
  return result;
}

void reset_counters() {
  emulator::counters = {};
  emulator::call_counters() = {};
}

#ifdef GPUREC_TRACED
py::dict trace() {
  const emulator::Trace t = emulator::read_trace();
  py::list sites;
  for (const emulator::Site& s : t.sites) {
    py::dict site;
    site["where"] = s.where;
    site["offset"] = s.offset;
    site["shared"] = s.shared;
    site["write"] = s.write;
    site["requests"] = s.requests;
    site["lanes"] = s.lanes;
    site["bytes"] = s.bytes;
    site["sectors"] = s.sectors;
    site["ideal_sectors"] = s.ideal_sectors;
    site["wavefronts"] = s.wavefronts;
    site["ideal_wavefronts"] = s.ideal_wavefronts;
    sites.append(site);
  }
  py::dict result;
  result["races"] = t.races;
  result["uninitialised_reads"] = t.uninitialised_reads;
  result["outside"] = t.outside;
  result["reports"] = t.reports;
  result["sites"] = sites;
  return result;
}
#endif

}  // namespace

PYBIND11_MODULE(GPUREC_EMULATED_MODULE, m) {
  if (const char* const seed = std::getenv("GPUREC_EMULATED_SEED")) emulator::set_seed(std::strtoull(seed, nullptr, 10));
  register_device(m);
  m.attr("is_emulated") = true;
  m.def("set_seed", &emulator::set_seed, py::arg("seed"));
  m.def("seed", &emulator::seed);
  m.def("set_memory_limit", &emulator::set_memory_limit, py::arg("n_bytes"));
  m.def("counters", &counters);
  m.def("reset_counters", &reset_counters);
#ifdef GPUREC_TRACED
  m.attr("is_traced") = true;
  m.def("trace", &trace);
  m.def("reset_trace", &emulator::reset_trace);
  m.def("set_preemption", &emulator::set_preemption, py::arg("every"));
#else
  m.attr("is_traced") = false;
#endif
}

}  // namespace gpurec::bindings
