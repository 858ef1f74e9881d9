// Host side of edt_kernels.cuh: scratch and launches, for edt, edt_indices and edt_backward.

#pragma once

#include "cuda/common.cuh"
#include "cuda/edt_kernels.cuh"
#include "cuda/s2d_levels_launch.cuh"

namespace topo {
namespace {

// How many images are computed together, so that their planes stay below this many pixels.
inline int64_t edt_images_at_once(const EdtParams& p, int64_t count, int64_t pixels) {
  const int64_t images = pixels / ((p.height + 2) * (p.width + 2));
  return images < 1 ? 1 : images < count ? images : count;
}

template <typename T>
void launch_edt_columns(const char* op, const T* mask, uint16_t* nearest, int64_t count, const EdtPlanes& planes,
                        cudaStream_t stream) {
  const int most = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin), bytes = planes.column_bytes();
  TOPO_CHECK(bytes <= most, op, ": masks on this GPU must be at most ", most / 128 * 32 - 2, " rows tall, got ",
             planes.inner_height());
  cudaFuncSetAttribute(edt_columns_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  const int64_t strips = count * ((planes.width + 31) / 32);
  edt_columns_kernel<T><<<static_cast<unsigned int>(strips), kEdtThreads, bytes, stream>>>(mask, nearest, planes);
  check_launch(op);
}

template <typename Cost, typename Emit>
void launch_edt_rows(const char* op, const uint16_t* nearest, int64_t count, const EdtPlanes& planes,
                     const EdtParams& p, const Emit& emit, cudaStream_t stream) {
  const int threads = planes.width < kEdtThreads ? (planes.width + 31) / 32 * 32 : kEdtThreads;
  const auto kernel = edt_rows_kernel<Cost, Emit>;
  const unsigned int blocks = resident_blocks(kernel, threads, planes.row_bytes(), count * planes.inner_height());
  kernel<<<blocks, threads, planes.row_bytes(), stream>>>(nearest, count, planes, EdtMetric<Cost>{p.pitch_y, p.pitch_x},
                                                          emit);
  check_launch(op);
}

// Finds the targets of `count` images and passes them to `emit`.
template <typename T, typename Emit>
void launch_edt(const char* op, const T* mask, uint16_t* nearest, int64_t count, const EdtPlanes& planes,
                const EdtParams& p, const Emit& emit, cudaStream_t stream) {
  launch_edt_columns(op, mask, nearest, count, planes, stream);
  if (p.isotropic()) {
    launch_edt_rows<uint32_t>(op, nearest, count, planes, p, emit, stream);
  } else {
    launch_edt_rows<double>(op, nearest, count, planes, p, emit, stream);
  }
}

}  // namespace
}  // namespace topo
