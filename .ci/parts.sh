# Steps that .ci/run and .ci/full share. Sourced; every function runs in the root of a checkout.

# make_environment FOLDER [CMAKE_DEFINE...]: a fresh virtual environment with gpurec and what its tests need.
make_environment() {
  local environment=$1 define settings=()
  shift
  for define in "$@"; do settings+=(-C "cmake.define.$define"); done
  "${PYTHON:-python3}" -m venv --clear "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check '.[test]' ${settings[@]+"${settings[@]}"}
}

# build_variant FOLDER NAME CMAKE_DEFINE...: another build of gpurec, in build/NAME, for PYTHONPATH.
build_variant() {
  local environment=$1 name=$2 define settings=()
  shift 2
  for define in "$@"; do settings+=(-C "cmake.define.$define"); done
  rm -rf "build/$name"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "build/$name" \
    . -C "build-dir=build/$name-objects" "${settings[@]}"
  # Without this a second copy elsewhere on the path would be tested, and nothing would be found.
  PYTHONPATH="build/$name" "$environment/bin/python" - "$(realpath "build/$name")" <<'PROGRAM'
import importlib.util, sys
origin = importlib.util.find_spec("gpurec").origin
sys.exit(None if origin.startswith(sys.argv[1]) else f"{origin} hides the build in {sys.argv[1]}")
PROGRAM
}

# side_by_side FUNCTION FUNCTION: both at once, since tests mostly keep one core busy. What the second one writes comes last.
side_by_side() {
  local log first second status=0
  log=$(mktemp)
  trap 'kill 0' INT  # which a process in the background does not hear
  (set -e; "$1") &
  first=$!
  (set -e; "$2") >"$log" 2>&1 &
  second=$!
  wait "$first" || status=$?
  wait "$second" || status=$?
  cat "$log"
  rm "$log"
  return "$status"
}

# sanitize FOLDER SANITIZERS EXAMPLES TEST...: tests on a build with -fsanitize=SANITIZERS.
sanitize() {
  local environment=$1 sanitizers=$2 examples=$3 runtime=libasan.so
  shift 3
  [ "$sanitizers" = thread ] && runtime=libtsan.so
  build_variant "$environment" "sanitize-${sanitizers/,/-}" "GPUREC_SANITIZE=$sanitizers"
  echo "== $sanitizers sanitizer, $examples examples"
  # Python itself leaks on purpose, so only errors count; a test forks, which TSan otherwise refuses.
  # A report ends the process: pytest must not hold back what it wrote.
  env PYTHONPATH="build/sanitize-${sanitizers/,/-}" GPUREC_CONFORMANCE_EXAMPLES="$examples" GPUREC_CONFORMANCE_MEMBERS=native \
    OPENBLAS_NUM_THREADS=1 ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
    TSAN_OPTIONS="halt_on_error=1 die_after_fork=0 print_suppressions=0 suppressions=$PWD/.ci/tsan_suppressions.txt" \
    LD_PRELOAD="$(gcc -print-file-name=$runtime) $(gcc -print-file-name=libstdc++.so)" \
    "$environment/bin/python" -m pytest -q -p no:cacheprovider --capture=sys "$@"
}

# emulate_seed FOLDER SEED: tests of kernels and of ops on schedules that begin with one seed.
emulate_seed() {
  local environment=$1 seed=$2
  echo "== emulated kernels, seed $seed"
  GPUREC_REQUIRE_EMULATED=1 GPUREC_EMULATED_SEED="$seed" \
    "$environment/bin/python" -m pytest -q -p no:cacheprovider tests/gpu --ignore tests/gpu/compile || return 1
  # All ops with the first seed, those that other ops rest on with every seed.
  local ops=(tests/conformance/test_{score_top_k,search_above,item_index,top_k}.py)
  [ "$seed" != 1 ] || ops=(tests/conformance)
  echo "== ops on the emulated device, seed $seed"
  GPUREC_EMULATED_SEED="$seed" GPUREC_CONFORMANCE_MEMBERS=cuda_emulated GPUREC_CONFORMANCE_EXAMPLES=64 \
    "$environment/bin/python" -m pytest -q -p no:cacheprovider -k cuda_emulated "${ops[@]}"
}

# emulate FOLDER SEEDS: tests of kernels in an environment with the emulated modules, then under sanitizers.
emulate() {
  local environment=$1 seed run runs=()
  for seed in $2; do  # two at a time: an emulator keeps one core busy
    emulate_seed "$environment" "$seed" &
    runs+=($!)
    [ ${#runs[@]} = 2 ] || continue
    for run in "${runs[@]}"; do wait "$run"; done
    runs=()
  done
  for run in ${runs[@]+"${runs[@]}"}; do wait "$run"; done
  # Right kernels alone, since a sanitizer ends the process that meets a wrong one; tracing needs hooks that it has taken.
  build_variant "$environment" emulated-address GPUREC_EMULATED=ON GPUREC_SANITIZE=address,undefined
  echo "== emulated kernels, address and undefined sanitizers"
  env PYTHONPATH=build/emulated-address ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 \
    UBSAN_OPTIONS=print_stacktrace=1 \
    LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)" \
    "$environment/bin/python" -m pytest -q -p no:cacheprovider tests/gpu --ignore tests/gpu/compile \
    -k "not defects_are_found and not traced"
}
