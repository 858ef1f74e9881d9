// One thread per pixel; the windows are read through L1. The math is csrc/d2t.h's, which the CPU tests cover.

#include "d2t.h"

#include "cuda/common.cuh"
#include "dtypes.h"

namespace topo {
namespace {

// 12 bytes per pixel (float32: D and S read, T written), 9 reads of D from L1 for p = 3.
template <typename T>
__global__ void d2t_kernel(const T* __restrict__ distance,  // [B, H, W]
                           const T* __restrict__ mask,      // [B, H, W]
                           T* __restrict__ skeleton,        // [B, H, W]
                           int64_t total, D2tParams p) {
  using Real = accumulate_t<T>;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t image = i / p.pixels(), pixel = i - image * p.pixels();
    const Real inside = static_cast<Real>(mask[i]);
    const Real value = inside == Real(0) ? Real(0)
                                         : skeleton_pixel<Real>(p, distance + image * p.pixels(), inside,
                                                                pixel / p.width, pixel % p.width);
    skeleton[i] = static_cast<T>(value);
  }
}

template <typename T>
__global__ void ridge_kernel(const T* __restrict__ grad,              // [B, H, W]
                             const T* __restrict__ distance,          // [B, H, W]
                             const T* __restrict__ mask,              // [B, H, W]
                             const T* __restrict__ skeleton,          // [B, H, W]
                             accumulate_t<T>* __restrict__ passed,    // [B, H, W]
                             accumulate_t<T>* __restrict__ taken,     // [B, H, W]
                             int64_t* __restrict__ argmax,            // [B, H, W]
                             T* __restrict__ grad_mask,               // [B, H, W]
                             int64_t total, D2tParams p, bool literal) {
  using Real = accumulate_t<T>;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t image = i / p.pixels(), pixel = i - image * p.pixels(), offset = image * p.pixels();
    const auto result = ridge_pixel(p, literal, distance + offset, skeleton + offset, static_cast<Real>(mask[i]),
                                    static_cast<Real>(grad[i]), pixel / p.width, pixel % p.width);
    passed[i] = result.passed;
    taken[i] = result.taken;
    argmax[i] = result.argmax;
    grad_mask[i] = static_cast<T>(result.mask_grad);
  }
}

template <typename T>
__global__ void distance_grad_kernel(const T* __restrict__ distance,              // [B, H, W]
                                     const accumulate_t<T>* __restrict__ passed,  // [B, H, W]
                                     const accumulate_t<T>* __restrict__ taken,   // [B, H, W]
                                     const int64_t* __restrict__ argmax,          // [B, H, W]
                                     T* __restrict__ grad_distance,               // [B, H, W]
                                     int64_t total, D2tParams p, bool literal) {
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t image = i / p.pixels(), pixel = i - image * p.pixels(), offset = image * p.pixels();
    grad_distance[i] = static_cast<T>(distance_grad_pixel(p, literal, distance + offset, passed + offset,
                                                          taken + offset, argmax + offset, pixel / p.width,
                                                          pixel % p.width));
  }
}

constexpr int kThreads = 256;

unsigned int blocks_for(int64_t pixels) {
  const int64_t blocks = (pixels + kThreads - 1) / kThreads;
  return static_cast<unsigned int>(blocks < (1 << 20) ? blocks : (1 << 20));
}

Tensor d2t_cuda(const Tensor& distance, const Tensor& mask, int64_t pool_size, const std::string& backward) {
  const CudaScope cuda(distance);
  check_floating("d2t", "distance", distance);
  check_mask_dtype("d2t", "mask", mask);
  check_same_shape("d2t", "mask", mask, "distance", distance);
  check_same_device("d2t", "mask", mask, "distance", distance);
  backward_mode("d2t", backward);
  const D2tParams p = d2t_params("d2t", images_of("d2t", "distance", distance), pool_size);
  Tensor skeleton = empty_like_shape(distance, distance.scalar_type());
  if (distance.numel() == 0) return skeleton;

  const Tensor d = torch::stable::contiguous(distance);
  const Tensor s = torch::stable::contiguous(torch::stable::to(foreground_bool(mask), distance.scalar_type()));
  dispatch_floating(distance.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    d2t_kernel<T><<<blocks_for(d.numel()), kThreads, 0, cuda.stream>>>(
        static_cast<const T*>(d.const_data_ptr()), static_cast<const T*>(s.const_data_ptr()),
        static_cast<T*>(skeleton.mutable_data_ptr()), d.numel(), p);
  });
  check_launch("d2t");
  return skeleton;
}

std::tuple<Tensor, Tensor> d2t_backward_cuda(const Tensor& grad, const Tensor& distance, const Tensor& mask,
                                             const Tensor& skeleton, int64_t pool_size, const std::string& backward) {
  const CudaScope cuda(distance);
  check_floating("d2t_backward", "distance", distance);
  check_same_shape("d2t_backward", "grad", grad, "distance", distance);
  check_same_shape("d2t_backward", "mask", mask, "distance", distance);
  check_same_shape("d2t_backward", "skeleton", skeleton, "distance", distance);
  check_same_device("d2t_backward", "grad", grad, "distance", distance);
  check_same_device("d2t_backward", "mask", mask, "distance", distance);
  check_same_device("d2t_backward", "skeleton", skeleton, "distance", distance);
  const bool literal = backward_mode("d2t_backward", backward) == BackwardMode::kLiteral;
  const D2tParams p = d2t_params("d2t_backward", images_of("d2t_backward", "distance", distance), pool_size);
  const auto type = distance.scalar_type();
  Tensor grad_distance = empty_like_shape(distance, type);
  Tensor grad_mask = empty_like_shape(distance, type);
  if (distance.numel() == 0) return {grad_distance, grad_mask};

  const Tensor g = torch::stable::contiguous(torch::stable::to(grad, type));
  const Tensor d = torch::stable::contiguous(distance);
  const Tensor s = torch::stable::contiguous(torch::stable::to(foreground_bool(mask), type));
  const Tensor t = torch::stable::contiguous(torch::stable::to(skeleton, type));
  const ScalarType real = type == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
  const Tensor passed = empty_like_shape(distance, real), taken = empty_like_shape(distance, real);
  const Tensor argmax = empty_like_shape(distance, ScalarType::Long);
  dispatch_floating(type, [&](auto tag) {
    using T = decltype(tag);
    using Real = accumulate_t<T>;
    const int64_t total = d.numel();
    auto* passed_data = static_cast<Real*>(passed.mutable_data_ptr());
    auto* taken_data = static_cast<Real*>(taken.mutable_data_ptr());
    auto* argmax_data = static_cast<int64_t*>(argmax.mutable_data_ptr());
    ridge_kernel<T><<<blocks_for(total), kThreads, 0, cuda.stream>>>(
        static_cast<const T*>(g.const_data_ptr()), static_cast<const T*>(d.const_data_ptr()),
        static_cast<const T*>(s.const_data_ptr()), static_cast<const T*>(t.const_data_ptr()), passed_data, taken_data,
        argmax_data, static_cast<T*>(grad_mask.mutable_data_ptr()), total, p, literal);
    distance_grad_kernel<T><<<blocks_for(total), kThreads, 0, cuda.stream>>>(
        static_cast<const T*>(d.const_data_ptr()), passed_data, taken_data, argmax_data,
        static_cast<T*>(grad_distance.mutable_data_ptr()), total, p, literal);
  });
  check_launch("d2t_backward");
  return {grad_distance, grad_mask};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("d2t", TORCH_BOX(&d2t_cuda));
  m.impl("d2t_backward", TORCH_BOX(&d2t_backward_cuda));
}

}  // namespace topo
