#!/usr/bin/env bash
# Runs the operator tests on a CPU build with AddressSanitizer and UndefinedBehaviorSanitizer, and the CUDA
# kernels on the host with these two and with ThreadSanitizer.
#   tools/sanitize.sh [build folder]     PYTHON: an interpreter with torch and the test requirements
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=$(command -v "${PYTHON:-python}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
mkdir -p "${1:-$root/build-sanitize}"
build=$(cd "${1:-$root/build-sanitize}" && pwd)
cxx=${CXX:-g++}
export CXX=$cxx

# ---- build tools, if the environment has none ----
export PATH="$build/tools/bin:$PATH:$(dirname "$python")"
export PYTHONPATH="$build/tools${PYTHONPATH:+:$PYTHONPATH}"
if ! command -v cmake >/dev/null || ! command -v ninja >/dev/null || ! "$python" -c "import pybind11" 2>/dev/null; then
  "$python" -m pip install --quiet --target "$build/tools" "cmake>=3.25" ninja "pybind11>=2.13"
fi

# ---- a copy of the package and its tests with sanitized libraries ----
cmake -S "$root" -B "$build/cmake" -G Ninja -DTOPO_SANITIZE=ON -DTOPO_CUDA=OFF \
  -DPython_EXECUTABLE="$python" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" >"$build/cmake.log" ||
  { cat "$build/cmake.log" >&2; exit 1; }
cmake --build "$build/cmake"
rm -rf "$build/tree"
mkdir "$build/tree"
cp -r "$root/topokernels" "$root/csrc" "$root/tests" "$root/pyproject.toml" "$build/tree"
rm -f "$build/tree/topokernels/"*.so
cmake --install "$build/cmake" --prefix "$build/tree" >/dev/null

# ---- the CUDA kernels on the host ----
include=$("$python" -c "import pathlib, torch; print(pathlib.Path(torch.__file__).parent / 'include')")
host_test() {
  local name=$1
  shift
  "$cxx" -std=c++17 -O1 -g -pthread -DTORCH_STABLE_ONLY -DTORCH_TARGET_VERSION=0x020A000000000000ULL \
    -I"$root/csrc" -isystem "$include" "$@" "$root/tests/cpp/$name.cpp" -o "$build/$name"
  # ThreadSanitizer does not work with address space randomisation, which setarch -R turns off.
  UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1 setarch "$(uname -m)" -R "$build/$name"
}
for name in test_cuda_kernels test_cuda_backward_kernels test_cuda_renderer test_cuda_edt test_cuda_masks; do
  host_test $name -fsanitize=address,undefined -fno-sanitize-recover=undefined
  host_test $name -fsanitize=thread
done
echo "CUDA kernels on the host: clean"

# ---- the operator tests ----
# libstdc++ is preloaded as well: the interpreter does not link it, but the sanitizer must find __cxa_throw.
preload=""
for library in libasan.so libubsan.so libstdc++.so.6; do
  preload+="${preload:+:}$(realpath "$("$cxx" -print-file-name="$library")")"
done
cd "$build/tree"
LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
  "$python" -m pytest -p no:cacheprovider -q --ignore=tests/ops/test_cuda_on_host.py tests/ops
