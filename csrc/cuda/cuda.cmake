# The module _cuda, compiled by nvcc, and the lists of kernels that the emulated modules share with it.

file(GLOB GPUREC_KERNEL_SOURCES CONFIGURE_DEPENDS csrc/cuda/*.cu csrc/simt/checks/words.cu)
# Float64 sums must round as on the CPU: no fused multiply-add but where a kernel asks for one.
set(GPUREC_NVCC_FLAGS -fmad=false --expt-relaxed-constexpr -lineinfo -Xcompiler=-ffp-contract=off,-Wno-unused-function)

if(NOT GPUREC_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "GPUREC_CUDA=${GPUREC_CUDA}: expected AUTO, ON or OFF")
endif()
if(GPUREC_CUDA STREQUAL "OFF")
  return()
endif()

# nvcc may lie off the path: where CUDA_PATH says, or in the wheels of nvidia-cuda-nvcc 13.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(GPUREC_NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATH_SUFFIXES bin)
  if(NOT GPUREC_NVCC)
    execute_process(COMMAND "${Python_EXECUTABLE}" -c
      "import importlib.util as u; s = u.find_spec('nvidia'); print(next(iter(s.submodule_search_locations)) + '/cu13' if s else '', end='')"
      OUTPUT_VARIABLE GPUREC_CUDA_WHEELS ERROR_QUIET)
    find_program(GPUREC_NVCC nvcc PATHS "${GPUREC_CUDA_WHEELS}/bin" NO_DEFAULT_PATH)
    if(GPUREC_NVCC)
      set(CMAKE_CUDA_FLAGS_INIT "-L${GPUREC_CUDA_WHEELS}/lib")  # the wheels have no lib64
    endif()
  endif()
  if(GPUREC_NVCC)
    set(CMAKE_CUDA_COMPILER "${GPUREC_NVCC}" CACHE FILEPATH "")
  endif()
endif()

if(GPUREC_CUDA_ARCHS STREQUAL "all")
  set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90-real 100)  # and PTX of the last
else()
  set(CMAKE_CUDA_ARCHITECTURES "${GPUREC_CUDA_ARCHS}")
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(GPUREC_CUDA STREQUAL "ON")
    message(FATAL_ERROR "GPUREC_CUDA=ON, but no CUDA compiler was found; set CUDACXX to an nvcc or use AUTO")
  endif()
  message(STATUS "gpurec: no CUDA compiler was found, so there will be no module _cuda")
  return()
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

pybind11_add_module(_cuda MODULE NO_EXTRAS csrc/bindings/device/cuda_module.cpp csrc/cuda/runtime.cpp ${GPUREC_KERNEL_SOURCES})
target_include_directories(_cuda PRIVATE csrc csrc/include)
target_link_libraries(_cuda PRIVATE CUDA::cudart_static)
target_compile_options(_cuda PRIVATE
  $<$<COMPILE_LANGUAGE:CXX>:-O3 -ffp-contract=off -Wall -Wextra>
  $<$<COMPILE_LANGUAGE:CUDA>:${GPUREC_NVCC_FLAGS}>)
if(GPUREC_FLOAT_TILES)
  target_compile_definitions(_cuda PRIVATE GPUREC_FLOAT_TILES)
endif()
set_target_properties(_cuda PROPERTIES CXX_VISIBILITY_PRESET hidden CUDA_RUNTIME_LIBRARY Static CUDA_STANDARD 17)
install(TARGETS _cuda LIBRARY DESTINATION gpurec/_native)
