// thin: one block per image, with its words in shared memory, or in global memory if they do not fit. The rules are in
// thin_rules.h.
//
// Kernels and device functions only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/words.cuh"
#include "thin.h"

namespace topo {
namespace {

#include "thin_rules.h"

constexpr int kThinThreads = 512;

struct ThinImage {
  int32_t height, width;

  TOPO_HOST_DEVICE int32_t words() const {
    return (width + 31) / 32;
  }
  TOPO_HOST_DEVICE int64_t plane() const {
    return int64_t(height) * words();
  }
  // Two planes of words.
  TOPO_HOST_DEVICE int64_t bytes() const {
    return 2 * plane() * 4;
  }
};

// Removes pixels of one word; returns whether there were any.
template <int method, int pass>
__device__ bool thin_word(const ThinImage& image, const uint32_t* from, uint32_t* to, int64_t i) {
  const uint32_t here = from[i];
  if (here == 0) {
    to[i] = 0;
    return false;
  }
  const int32_t words = image.words(), y = static_cast<int32_t>(i / words), w = static_cast<int32_t>(i - y * words);
  struct Row {
    uint32_t left, here, right;
  };
  const auto row = [&](int32_t v) {
    if (v < 0 || v >= image.height) return Row{0, 0, 0};
    const uint32_t* word = from + int64_t(v) * words + w;
    const uint32_t before = w > 0 ? word[-1] : 0, after = w + 1 < words ? word[1] : 0;
    return Row{word[0] << 1 | before >> 31, word[0], word[0] >> 1 | after << 31};
  };
  const Row above = row(y - 1), middle = row(y), below = row(y + 1);
  const ThinNeighbours<uint32_t> p{above.here, above.right, middle.right, below.right,
                                   below.here, below.left,  middle.left,  above.left};
  const uint32_t removed = here & thin_removes<method, pass>(p);
  to[i] = here & ~removed;
  return removed != 0;
}

template <int method>
__device__ void thin_planes(const ThinImage& image, uint32_t* first, uint32_t* second) {
  int any = 1;
  while (any) {
    any = 0;
    for (int64_t i = threadIdx.x; i < image.plane(); i += blockDim.x)
      any |= thin_word<method, 0>(image, first, second, i);
    __syncthreads();
    for (int64_t i = threadIdx.x; i < image.plane(); i += blockDim.x)
      any |= thin_word<method, 1>(image, second, first, i);
    any = __syncthreads_or(any);
  }
}

// Blocks take images in turn; each has two planes of `scratch`, or shared memory if that is null.
template <typename T>
__global__ void __launch_bounds__(kThinThreads) thin_kernel(const T* __restrict__ mask,  // [B, H, W]
                                                            T* __restrict__ result,      // [B, H, W]
                                                            uint32_t* scratch,           // [gridDim.x, 2, H, words]
                                                            int64_t count, ThinImage image, ThinMethod method) {
  uint32_t* first = scratch ? scratch + 2 * image.plane() * blockIdx.x : reinterpret_cast<uint32_t*>(dynamic_shared());
  uint32_t* second = first + image.plane();
  const int32_t words = image.words(), warps = blockDim.x / 32;
  for (int64_t index = blockIdx.x; index < count; index += gridDim.x) {
    const int64_t offset = index * image.height * image.width;
    // A warp takes a word.
    for (int64_t i = warp_index(); i < image.plane(); i += warps) {
      const int64_t y = i / words, x = (i - y * words) * 32 + lane_index();
      const bool set = x < image.width && is_foreground(mask[offset + y * image.width + x]);
      const uint32_t word = __ballot_sync(kAllLanes, set);
      if (lane_index() == 0) first[i] = word;
    }
    __syncthreads();
    if (method == ThinMethod::kZhangSuen) {
      thin_planes<0>(image, first, second);
    } else {
      thin_planes<1>(image, first, second);
    }
    for (int64_t i = warp_index(); i < image.plane(); i += warps) {
      const int64_t y = i / words, x = (i - y * words) * 32 + lane_index();
      if (x >= image.width) continue;
      result[offset + y * image.width + x] = static_cast<T>(static_cast<float>(first[i] >> lane_index() & 1));
    }
    __syncthreads();  // before the next image overwrites this one
  }
}

}  // namespace
}  // namespace topo
