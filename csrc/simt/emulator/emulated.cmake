# The modules _cuda_emulated and _cuda_traced: the kernels of csrc/cuda compiled for the CPU. For tests, never in a wheel.

if(NOT GPUREC_EMULATED)
  return()
endif()

# The same files that nvcc compiles, each included by a C++ file of its own.
set(GPUREC_EMULATED_KERNELS)
foreach(source ${GPUREC_KERNEL_SOURCES} ${CMAKE_CURRENT_SOURCE_DIR}/csrc/simt/checks/defects.cu)
  get_filename_component(name ${source} NAME_WE)
  set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/emulated/${name}.cpp)
  file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"${source}\"\n" @ONLY)
  list(APPEND GPUREC_EMULATED_KERNELS ${wrapper})
endforeach()

set(GPUREC_EMULATOR
  csrc/simt/emulator/accesses.cpp
  csrc/simt/emulator/collectives.cpp
  csrc/simt/emulator/fiber.cpp
  csrc/simt/emulator/device/memory.cpp
  csrc/simt/emulator/device/runtime.cpp
  csrc/simt/emulator/scheduler.cpp)

function(gpurec_emulated_module module)
  add_library(${module}_kernels OBJECT ${GPUREC_EMULATED_KERNELS})
  target_include_directories(${module}_kernels PRIVATE csrc csrc/include)
  target_compile_options(${module}_kernels PRIVATE -O2 -g1 -ffp-contract=off -Wall -Wextra -Wno-psabi -Wno-unknown-pragmas)
  set_target_properties(${module}_kernels PROPERTIES CXX_VISIBILITY_PRESET hidden)
  pybind11_add_module(${module} MODULE NO_EXTRAS csrc/bindings/device/cuda_emulated_module.cpp ${GPUREC_EMULATOR} ${ARGN}
    $<TARGET_OBJECTS:${module}_kernels>)
  target_include_directories(${module} PRIVATE csrc csrc/include)
  target_compile_options(${module} PRIVATE -O2 -g1 -ffp-contract=off -Wall -Wextra)
  set_target_properties(${module} PROPERTIES CXX_VISIBILITY_PRESET hidden)
  if(GPUREC_FLOAT_TILES)
    target_compile_definitions(${module}_kernels PRIVATE GPUREC_FLOAT_TILES)
  endif()
  if(GPUREC_PLANTED_DEFECTS)
    target_compile_definitions(${module}_kernels PRIVATE GPUREC_PLANTED_DEFECTS)
  endif()
  install(TARGETS ${module} LIBRARY DESTINATION gpurec/_native)
endfunction()

gpurec_emulated_module(_cuda_emulated)
if(GPUREC_SANITIZE MATCHES "thread")
  message(FATAL_ERROR "GPUREC_EMULATED with GPUREC_SANITIZE=thread: ThreadSanitizer does not know the emulator's stacks")
elseif(GPUREC_SANITIZE)
  foreach(target _cuda_emulated _cuda_emulated_kernels)
    target_compile_options(${target} PRIVATE -fsanitize=${GPUREC_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  endforeach()
  target_link_options(_cuda_emulated PRIVATE -fsanitize=${GPUREC_SANITIZE})
else()
  # Compiled for ThreadSanitizer but linked without it: the hooks that its code calls are the tracer's.
  gpurec_emulated_module(_cuda_traced csrc/simt/emulator/trace/hooks.cpp csrc/simt/emulator/trace/races.cpp
    csrc/simt/emulator/trace/traffic.cpp)
  target_compile_options(_cuda_traced_kernels PRIVATE
    -fsanitize=thread -fno-tree-vectorize --param=tsan-instrument-func-entry-exit=0
    -include ${CMAKE_CURRENT_SOURCE_DIR}/csrc/simt/emulator/trace/copies.hpp
    -fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset)
  target_compile_definitions(_cuda_traced PRIVATE GPUREC_TRACED)
  target_link_libraries(_cuda_traced PRIVATE ${CMAKE_DL_LIBS})
endif()
