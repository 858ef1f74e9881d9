// Shared by the host code of s2d_backward, skeleton_backward and mask_chamfer_backward.

#pragma once

#include "cuda/s2d_backward_kernels.cuh"
#include "cuda/s2d_levels_launch.cuh"

namespace topo {
namespace {

constexpr int kBackwardThreads = 512;

// These kernels are compiled for float and double only, since they compile slowly. Half precision is converted to float
// beforehand.
template <typename Body>
void dispatch_real(ScalarType type, Body&& body) {
  if (type == ScalarType::Double) return body(double{});
  body(float{});
}

// Shared memory for an image on chip; 0 if the image is too large, or if its levels are not its distances.
inline int chip_bytes(const S2dParams& p) {
  if (p.height > kMaxSide || p.width > kMaxSide || !level_is_distance(chip_params(p))) return 0;
  Room room{nullptr};
  ChipMemory(level_planes(p), room);
  return room.taken() <= device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) ? static_cast<int>(room.taken()) : 0;
}

// Global scratch of blocks that take one image at a time: one slot of `bytes` bytes per block. The number of blocks is
// limited so that all slots together take an eighth of the size of the images, or a sixteenth if only `some` images
// need them, but it is at least 8, or the number of images.
struct BlockScratch {
  int64_t bytes, blocks;
  Tensor memory;

  BlockScratch(const Tensor& like, int64_t bytes, int64_t count, int64_t image_bytes, bool some) : bytes(bytes) {
    const int64_t most = 2 * device_attribute(cudaDevAttrMultiProcessorCount);
    blocks = count * image_bytes / ((some ? 16 : 8) * bytes);
    blocks = blocks > 8 ? blocks : 8;
    blocks = blocks < count ? blocks : count;
    blocks = blocks < most ? blocks : most;
    memory = torch::stable::new_empty(like, {blocks * bytes}, ScalarType::Byte);
  }

  uint8_t* data() const {
    return static_cast<uint8_t*>(memory.mutable_data_ptr());
  }
};

}  // namespace
}  // namespace topo
