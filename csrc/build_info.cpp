// topokernels.build_info(): how this extension was compiled. This is the only use of pybind11; the
// operators go through torch's dispatcher.

#include <pybind11/pybind11.h>

#include <string>

namespace py = pybind11;

namespace {

py::list split(const std::string& text) {
  return py::str(text).attr("split")(",").cast<py::list>();
}

py::dict build_info() {
  py::dict info;
  info["version"] = TOPO_VERSION;
  info["compiler"] = TOPO_COMPILER;
  info["simd_levels"] = split(TOPO_SIMD_LEVELS);
  const std::string toolkit = TOPO_CUDA_TOOLKIT;
  info["cuda_toolkit"] = toolkit.empty() ? py::object(py::none()) : py::object(py::str(toolkit));
  info["cuda_architectures"] = toolkit.empty() ? py::list() : split(TOPO_CUDA_ARCHITECTURES);
  const std::string missing =
#include "cuda_missing.inc"
      ;
  info["cuda_missing"] = missing.empty() ? py::object(py::none()) : py::object(py::str(missing));
  info["torch_abi"] = "stable, 2.10";
  return info;
}

}  // namespace

PYBIND11_MODULE(_build_info, m) {
  m.doc() = "How the topokernels extension was compiled.";
  m.def("build_info", &build_info,
        "Compiler, SIMD levels, CUDA toolkit and architectures or why there are none, version.");
}
