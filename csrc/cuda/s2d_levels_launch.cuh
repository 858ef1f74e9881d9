// Host side of s2d_levels.cuh and s2d_large.cuh: sizes of grids and scratch, and the launches of the kernels for large
// images.

#pragma once

#include "cuda/common.cuh"
#include "cuda/s2d_large.cuh"
#include "cuda/s2d_levels.cuh"

namespace topo {
namespace {

inline int device_attribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&value, attribute, device);
  return value;
}

// Whether an image fits into the shared memory of a block on the current device.
inline bool fits_on_chip(const S2dParams& p) {
  return p.height <= kMaxSide && p.width <= kMaxSide &&
         level_planes(p).shared_bytes() <= device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
}

inline int level_threads(const LevelPlanes& planes) {
  return planes.shared_bytes() > 32 * 1024 ? kLevelThreads : 192;
}

// Allows the kernel its dynamic shared memory. Returns the number of blocks that the device runs at once, at most
// `most`.
template <typename Kernel>
unsigned int resident_blocks(Kernel* kernel, int threads, int shared_bytes, int64_t most) {
  int per_processor = 0;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_processor, kernel, threads, shared_bytes);
  const int64_t all = int64_t(per_processor > 0 ? per_processor : 1) * device_attribute(cudaDevAttrMultiProcessorCount);
  return static_cast<unsigned int>(all < most ? all : most);
}

// Scratch for soft images: slots of three planes, one for each of the first blocks. For a large float32 batch it is an
// eighth of the batch's size.
struct SoftScratch {
  int64_t slots;
  Tensor real, images;

  SoftScratch(const Tensor& mask, const S2dParams& p, int64_t count) : slots(0) {
    if (is_floating(mask.scalar_type())) {
      const int64_t processors = device_attribute(cudaDevAttrMultiProcessorCount);
      slots = count / 24 < 1 ? 1 : count / 24 < processors ? count / 24 : processors;
    }
    const bool wide = mask.scalar_type() == ScalarType::Double;
    real = torch::stable::new_empty(mask, {slots * 3 * p.pixels()}, wide ? ScalarType::Double : ScalarType::Float);
    images = torch::stable::new_empty(mask, {slots ? count : 0}, ScalarType::Int);
  }
};

// The number of images whose 16-bit planes are held at the same time, if they do not fit on chip.
inline int64_t images_at_once(const S2dParams& p, int64_t count) {
  const int64_t images = (int64_t(1) << 24) / p.pixels();
  return images < 1 ? 1 : images < count ? images : count;
}

// One thread per pixel.
constexpr int kPixelThreads = 256;

inline unsigned int pixel_blocks(int64_t pixels) {
  const int64_t blocks = (pixels + kPixelThreads - 1) / kPixelThreads;
  return static_cast<unsigned int>(blocks < (1 << 24) ? blocks : 1 << 24);
}

template <typename T, typename Out>
void launch_levels(const char* op, const T* mask, bool inverted, uint16_t* columns, Out* levels, int32_t* soft_images,
                   int64_t count, const S2dParams& p, cudaStream_t stream) {
  const int64_t strips = count * ((p.width + 31) / 32);
  const int shared_bytes = static_cast<int>((p.height + 31) / 32 * 128);
  const int most = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  TOPO_CHECK(shared_bytes <= most, op, ": masks on this GPU must be at most ", most / 128 * 32, " rows tall, got ",
             p.height);
  cudaFuncSetAttribute(columns_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  columns_kernel<T><<<static_cast<unsigned int>(strips), kPixelThreads, shared_bytes, stream>>>(
      mask, columns, soft_images, inverted, p);
  rows_kernel<T, Out><<<pixel_blocks(count * p.pixels()), kPixelThreads, 0, stream>>>(columns, mask, levels, count, p);
}

}  // namespace
}  // namespace topo
