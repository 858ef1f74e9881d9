// One block per image: 16 bytes read per pixel (float32), a tree of a fixed shape adds up.

#include "chamfer.h"

#include "cuda/common.cuh"
#include "dtypes.h"

namespace topo {
namespace {

constexpr int kThreads = 512;

template <typename T>
__global__ void chamfer_kernel(const T* __restrict__ pred,             // [B, H, W]
                               const T* __restrict__ target,           // [B, H, W]
                               const T* __restrict__ pred_distance,    // [B, H, W]
                               const T* __restrict__ target_distance,  // [B, H, W]
                               accumulate_t<T>* __restrict__ pull,     // [B]
                               accumulate_t<T>* __restrict__ push,     // [B]
                               int64_t count, int64_t pixels) {
  using Real = accumulate_t<T>;
  __shared__ double sums[2][kThreads];
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    double pulled = 0, pushed = 0;
    for (int64_t i = image * pixels + threadIdx.x; i < (image + 1) * pixels; i += blockDim.x) {
      pulled += static_cast<double>(static_cast<Real>(pred_distance[i])) * static_cast<double>(static_cast<Real>(target[i]));
      pushed += static_cast<double>(static_cast<Real>(target_distance[i])) * static_cast<double>(static_cast<Real>(pred[i]));
    }
    sums[0][threadIdx.x] = pulled;
    sums[1][threadIdx.x] = pushed;
    __syncthreads();
    for (int half = kThreads / 2; half > 0; half /= 2) {
      if (threadIdx.x < half) {
        sums[0][threadIdx.x] += sums[0][threadIdx.x + half];
        sums[1][threadIdx.x] += sums[1][threadIdx.x + half];
      }
      __syncthreads();
    }
    if (threadIdx.x == 0) {
      pull[image] = static_cast<Real>(sums[0][0]);
      push[image] = static_cast<Real>(sums[1][0]);
    }
    __syncthreads();
  }
}

std::tuple<Tensor, Tensor> chamfer_cuda(const Tensor& pred, const Tensor& target, const Tensor& pred_distance,
                                        const Tensor& target_distance) {
  const CudaScope cuda(pred);
  const ChamferArgs args = chamfer_args(pred, target, pred_distance, target_distance);
  Tensor pull = chamfer_result(pred, args.result);
  Tensor push = chamfer_result(pred, args.result);
  if (args.images.count == 0) return {pull, push};

  const Tensor maps[4] = {chamfer_map(pred, args.type), chamfer_map(target, args.type),
                          chamfer_map(pred_distance, args.type), chamfer_map(target_distance, args.type)};
  dispatch_floating(args.type, [&](auto tag) {
    using T = decltype(tag);
    using Real = accumulate_t<T>;
    const int64_t blocks = args.images.count < 65535 ? args.images.count : 65535;
    chamfer_kernel<T><<<static_cast<unsigned int>(blocks), kThreads, 0, cuda.stream>>>(
        static_cast<const T*>(maps[0].const_data_ptr()), static_cast<const T*>(maps[1].const_data_ptr()),
        static_cast<const T*>(maps[2].const_data_ptr()), static_cast<const T*>(maps[3].const_data_ptr()),
        static_cast<Real*>(pull.mutable_data_ptr()), static_cast<Real*>(push.mutable_data_ptr()), args.images.count,
        args.images.pixels());
  });
  check_launch("chamfer");
  return {pull, push};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("chamfer", TORCH_BOX(&chamfer_cuda));
}

}  // namespace topo
