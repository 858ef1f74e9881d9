// Every schema of the topo namespace, and nothing else. Kernels: cpu/<op>.cpp and cuda/<op>.cu.
// Fake kernels and autograd: topokernels/<op>.py.

#include "common.h"

STABLE_TORCH_LIBRARY(topo, m) {
  m.def(
      "s2d(Tensor mask, *, int? iterations=None, int kernel_size=3, bool black_border=False, "
      "bool fill_holes=False, str backward='subgradient', ScalarType? out_dtype=None) -> Tensor");
  m.def(
      "s2d_backward(Tensor grad, Tensor mask, int? iterations, int kernel_size, "
      "bool black_border, bool fill_holes, str backward) -> Tensor");
  m.def("d2t(Tensor distance, Tensor mask, *, int pool_size=3, str backward='subgradient') -> Tensor");
  m.def(
      "d2t_backward(Tensor grad, Tensor distance, Tensor mask, Tensor skeleton, int pool_size, str backward) "
      "-> (Tensor, Tensor)");
  m.def("skeleton(Tensor mask, *, int? iterations=None, int pool_size=3, str backward='subgradient') -> Tensor");
  m.def("skeleton_backward(Tensor grad, Tensor mask, int? iterations, int pool_size, str backward) -> Tensor");
  m.def("chamfer(Tensor pred, Tensor target, Tensor pred_distance, Tensor target_distance) -> (Tensor, Tensor)");
  m.def(
      "mask_chamfer(Tensor pred, Tensor target, Tensor target_distance, *, int? iterations=None, "
      "bool skeletons=False, str backward='subgradient') -> (Tensor, Tensor)");
  m.def(
      "mask_chamfer_backward(Tensor grad_pull, Tensor grad_push, Tensor pred, Tensor target, Tensor target_distance, "
      "int? iterations, bool skeletons, str backward) -> Tensor");
  m.def(
      "edt(Tensor mask, *, bool signed=False, bool squared=False, float[]? sampling=None, bool black_border=False) "
      "-> Tensor");
  m.def("edt_indices(Tensor mask, *, bool signed=False, float[]? sampling=None, bool black_border=False) -> Tensor");
  m.def(
      "edt_backward(Tensor grad, Tensor mask, bool signed, bool squared, float[]? sampling, bool black_border) "
      "-> Tensor");
  m.def("connected_components(Tensor mask, *, int connectivity=8) -> Tensor");
  m.def("components_with_areas(Tensor mask, *, int connectivity=8) -> (Tensor labels, Tensor areas)");
  m.def("fill_holes(Tensor mask, *, int? area=None, int connectivity=8) -> Tensor");
  m.def("remove_small(Tensor mask, *, int area, int connectivity=8) -> Tensor");
  m.def("largest(Tensor mask, *, int connectivity=8) -> Tensor");
  m.def("morphology(Tensor mask, *, str operation, float radius, str shape='disc', bool black_border=False) -> Tensor");
  m.def("thin(Tensor mask, *, str method='zhang-suen') -> Tensor");
  m.def(
      "m2s(Tensor vertices, Tensor faces, int[] size, *, float sigma, float? blur_radius=None, "
      "bool binary=True, bool exact=False, float? window=None, float gain=1.0) -> Tensor");
  m.def("m2s_coverage(Tensor vertices, Tensor faces, int[] size, float sigma, float? blur_radius) -> Tensor");
  m.def(
      "m2s_silhouette(Tensor vertices, Tensor faces, int[] size, float sigma, float? blur_radius) "
      "-> (Tensor silhouette, Tensor coverage)");
  m.def(
      "m2s_backward(Tensor grad, Tensor vertices, Tensor faces, Tensor coverage, float sigma, float? blur_radius) "
      "-> Tensor");
  m.def(
      "m2s_silhouette_backward(Tensor grad, Tensor vertices, Tensor faces, Tensor silhouette, Tensor coverage, "
      "float sigma, float? blur_radius) -> Tensor");
  m.def("rasterize(Tensor vertices, Tensor faces, int[] size) -> (Tensor, Tensor, Tensor)");
}
