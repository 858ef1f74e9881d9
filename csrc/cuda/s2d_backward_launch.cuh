// What the hosts of s2d_backward, skeleton_backward and mask_chamfer_backward share.

#pragma once

#include "cuda/s2d_backward_kernels.cuh"
#include "cuda/s2d_levels_launch.cuh"

namespace topo {
namespace {

constexpr int kBackwardThreads = 512;

// These kernels come in float and double only, since they are slow to compile; half precision is widened before.
template <typename Body>
void dispatch_real(ScalarType type, Body&& body) {
  if (type == ScalarType::Double) return body(double{});
  body(float{});
}

// Shared memory for images on chip; 0 where an image is too large for that, or its levels are not its distances.
inline int chip_bytes(const S2dParams& p) {
  if (p.height > kMaxSide || p.width > kMaxSide || !level_is_distance(chip_params(p))) return 0;
  Room room{nullptr};
  ChipMemory(level_planes(p), room);
  return room.taken() <= device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) ? static_cast<int>(room.taken()) : 0;
}

// Global scratch of blocks that each take one image at a time: a slot per block, `bytes` each. Few enough of them that
// all take an eighth of what the images do, or a sixteenth where only `some` images need it; but no fewer than 8, or
// one an image.
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
