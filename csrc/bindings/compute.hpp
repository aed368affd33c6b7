// How every entry computes: in our floating-point environment, without the GIL.
#pragma once
#include <pybind11/pybind11.h>

#include "../cpu/fpenv.hpp"

namespace gpurec::bindings {

template <class F>
auto compute(F&& f) {
  py::gil_scoped_release nogil;
  const cpu::FpEnvGuard environment;
  return f();
}

}  // namespace gpurec::bindings
