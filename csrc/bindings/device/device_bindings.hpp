// What Python sees of a device's runtime, the same in every module that has one.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <string>

#include "../../cpu/fpenv.hpp"
#include "../../simt/runtime.hpp"

namespace gpurec::bindings {

namespace py = pybind11;

inline py::dict as_dict(const simt::DeviceProperties& p) {
  py::dict result;
  result["name"] = p.name;
  result["compute_capability"] = py::make_tuple(p.major, p.minor);
  result["n_multiprocessors"] = p.n_multiprocessors;
  result["total_memory"] = p.total_memory;
  result["free_memory"] = p.free_memory;
  result["shared_per_block"] = p.shared_per_block;
  result["shared_per_multiprocessor"] = p.shared_per_multiprocessor;
  result["l2_bytes"] = p.l2_bytes;
  result["max_threads_per_multiprocessor"] = p.max_threads_per_multiprocessor;
  return result;
}

inline py::dict as_dict(const simt::KernelAttributes& a) {
  py::dict result;
  result["params_bytes"] = a.params_bytes;
  result["max_threads"] = a.max_threads;
  result["n_registers"] = a.n_registers;
  result["static_shared"] = a.static_shared;
  result["local_bytes"] = a.local_bytes;
  result["constant_bytes"] = a.constant_bytes;
  result["max_dynamic_shared"] = a.max_dynamic_shared;
  return result;
}

inline void launch_kernel(const simt::Device& device, const std::string& kernel, const std::array<int, 3>& grid,
                          int n_threads, std::size_t shared_bytes, simt::Handle stream, const py::bytes& params) {
  simt::Launch launch;
  launch.kernel = kernel;
  for (std::size_t i = 0; i < 3; ++i) launch.grid[i] = grid[i];
  launch.n_threads = n_threads;
  launch.shared_bytes = shared_bytes;
  launch.params = std::string(params);
  const py::gil_scoped_release no_gil;
  const cpu::FpEnvGuard environment;  // emulated kernels compute on the calling thread
  device.launch(launch, stream);
}

inline void register_device(py::module_& m) {
  using simt::Device;
  const py::call_guard<py::gil_scoped_release> no_gil;
  py::register_local_exception<simt::DeviceFailure>(m, "DeviceFailure", PyExc_RuntimeError);
  m.def("device_count", &simt::device_count);
  m.def("why_no_device", &simt::why_no_device);
  m.def("versions", [] {
    const simt::Versions v = simt::versions();
    return py::make_tuple(v.driver, v.runtime);
  });
  m.def("kernel_names", &simt::kernel_names);
  py::class_<Device>(m, "Device", py::module_local())
      .def(py::init<int>(), py::arg("ordinal") = 0)
      .def_property_readonly("ordinal", &Device::ordinal)
      .def("properties", [](const Device& d) { return as_dict(d.properties()); })
      .def("attributes", [](const Device& d, const std::string& kernel) { return as_dict(d.attributes(kernel)); },
           py::arg("kernel"))
      .def("resident_blocks", &Device::resident_blocks, py::arg("kernel"), py::arg("n_threads"), py::arg("shared_bytes"))
      .def("allocate", &Device::allocate, py::arg("n_bytes"), no_gil)
      .def("free", &Device::free, py::arg("address"), no_gil)
      .def("allocate_host", &Device::allocate_host, py::arg("n_bytes"), no_gil)
      .def("free_host", &Device::free_host, py::arg("address"), no_gil)
      .def("copy", &Device::copy, py::arg("to"), py::arg("source"), py::arg("n_bytes"), py::arg("stream") = 0, no_gil)
      .def("fill", &Device::fill, py::arg("to"), py::arg("byte"), py::arg("n_bytes"), py::arg("stream") = 0, no_gil)
      .def("create_stream", &Device::create_stream)
      .def("destroy_stream", &Device::destroy_stream, py::arg("stream"), no_gil)
      .def("synchronise", &Device::synchronise, py::arg("stream") = 0, no_gil)
      .def("create_event", &Device::create_event)
      .def("destroy_event", &Device::destroy_event, py::arg("event"))
      .def("record", &Device::record, py::arg("event"), py::arg("stream") = 0)
      .def("wait", &Device::wait, py::arg("stream"), py::arg("event"))
      .def("milliseconds_between", &Device::milliseconds_between, py::arg("first"), py::arg("last"), no_gil)
      .def("launch", &launch_kernel, py::arg("kernel"), py::arg("grid"), py::arg("n_threads"), py::arg("shared_bytes"),
           py::arg("stream"), py::arg("params"))
      .def("begin_capture", &Device::begin_capture, py::arg("stream"))
      .def("end_capture", &Device::end_capture, py::arg("stream"), no_gil)
      .def("is_capturing", &Device::is_capturing, py::arg("stream"))
      .def("launch_graph",
           [](const Device& device, simt::Handle graph, simt::Handle stream) {
             const cpu::FpEnvGuard environment;
             device.launch_graph(graph, stream);
           },
           py::arg("graph"), py::arg("stream"), no_gil)
      .def("destroy_graph", &Device::destroy_graph, py::arg("graph"), no_gil);
}

}  // namespace gpurec::bindings
