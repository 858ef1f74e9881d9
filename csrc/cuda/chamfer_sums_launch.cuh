// Host side of chamfer_sums.cuh: the results, their partial sums, and the kernel that adds these.

#pragma once

#include "chamfer.h"
#include "cuda/chamfer_sums.cuh"
#include "cuda/common.cuh"

namespace topo {
namespace {

struct ChamferSums {
  Tensor pull, push, partial;
  int64_t count, chunks;

  ChamferSums(const Tensor& pred, ScalarType type, int64_t count, int64_t chunks)
      : pull(chamfer_result(pred, type)),
        push(chamfer_result(pred, type)),
        partial(torch::stable::new_empty(pred, {chunks > 1 ? 2 * count * chunks : 0}, ScalarType::Double)),
        count(count),
        chunks(chunks) {}

  template <typename Real>
  Sums<Real> sums() {
    return {static_cast<Real*>(pull.mutable_data_ptr()), static_cast<Real*>(push.mutable_data_ptr()),
            static_cast<PairSum*>(partial.mutable_data_ptr()), chunks};
  }

  template <typename Real>
  void add_chunks(cudaStream_t stream) {
    if (chunks == 1) return;
    add_chunks_kernel<Real><<<static_cast<unsigned int>((count + 127) / 128), 128, 0, stream>>>(sums<Real>(), count);
  }
};

inline int64_t chunks_of(int64_t pixels) {
  return pixels > kChunk ? (pixels + kChunk - 1) / kChunk : 1;
}

}  // namespace
}  // namespace topo
