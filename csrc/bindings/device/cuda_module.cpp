// The module gpurec._native._cuda, and nothing but its registration.
#include "device_bindings.hpp"

PYBIND11_MODULE(_cuda, m) {
  gpurec::bindings::register_device(m);
  m.attr("is_emulated") = false;
}
