// The launch of box_kernel (tiles.cuh), the first kernel of m2s and rasterize.

#pragma once

#include "cuda/common.cuh"
#include "cuda/tiles.cuh"

namespace topo {

// The pixels that each face, and each group of faces, can reach.
struct FaceBoxes {
  Tensor memory;
  PixelBox* faces;   // [B, F]
  PixelBox* groups;  // [B, ceil(F / 32)]
};

template <typename Real>
FaceBoxes face_boxes(const M2sParams& p, const Tensor& vertices, const Tensor& faces, cudaStream_t stream) {
  const int64_t groups = p.count * groups_of(p);
  const Tensor memory = torch::stable::new_empty(vertices, {p.count * p.faces + groups, 4}, ScalarType::Int);
  PixelBox* boxes = reinterpret_cast<PixelBox*>(memory.mutable_data_ptr<int32_t>());
  const FaceBoxes result{memory, boxes, boxes + p.count * p.faces};
  if (groups) {
    box_kernel<Real><<<blocks_for(groups, kTileThreads / kWarp), kTileThreads, 0, stream>>>(
        static_cast<const Real*>(vertices.const_data_ptr()), faces.const_data_ptr<int64_t>(), result.faces,
        result.groups, p);
  }
  return result;
}

}  // namespace topo
