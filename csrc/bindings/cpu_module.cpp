// The module gpurec._native._cpu, and nothing but its registration: arrays become views in *_bindings.cpp.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "../cpu/dispatch.hpp"
#include "../cpu/fpenv.hpp"

namespace py = pybind11;

namespace gpurec::bindings {

void register_als(py::module_& m);  // als_bindings.cpp
void register_elastic_net(py::module_& m);  // elastic_net_bindings.cpp
void register_gram(py::module_& m);    // gram_bindings.cpp
void register_score(py::module_& m);   // score_bindings.cpp
void register_search(py::module_& m);  // search_bindings.cpp
void register_sgd(py::module_& m);     // sgd_bindings.cpp
void register_spmm(py::module_& m);    // spmm_bindings.cpp
void register_table(py::module_& m);   // table_bindings.cpp
void register_tests(py::module_& m);   // tests/bound_bindings.cpp
void register_tests_bf16(py::module_& m);  // tests/bf16_bindings.cpp
void register_tests_i8(py::module_& m);    // tests/i8_bindings.cpp

PYBIND11_MODULE(_cpu, m) {
  m.def("isas", [] {
    std::vector<std::pair<std::string, bool>> rows;
    for (const cpu::Kernels& row : cpu::all_kernels()) rows.emplace_back(row.isa, row.supported());
    return rows;
  });
  m.def("chosen_isa", [](const std::string& isa) { return std::string(cpu::kernels(isa).isa); });
  m.def("has_bf16", [](const std::string& isa) { return cpu::kernels(isa).scan_tile_bf16 != nullptr; });
  m.def("enter_strict_floats", [] {
    const auto callers = cpu::FpEnvGuard::read();
    cpu::FpEnvGuard::write(cpu::FpEnvGuard::kOurs);
    return callers;
  });
  m.def("leave_strict_floats", [](cpu::FpEnvGuard::Word callers) { cpu::FpEnvGuard::write(callers); });
  register_table(m);
  register_search(m);
  register_score(m);
  register_als(m);
  register_elastic_net(m);
  register_gram(m);
  register_sgd(m);
  register_spmm(m);
  register_tests(m);
  register_tests_bf16(m);
  register_tests_i8(m);
}

}  // namespace gpurec::bindings
