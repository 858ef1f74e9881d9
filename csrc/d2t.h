// D2T, distance map to topological skeleton (Rakesh et al., NeurIPS 2021, eq. 3):
//   T = relu(z) * S,   z = D - M + 1,   M = maxpool_p(D), which ignores pixels outside the image.
//
// Backward, with g = dL/dT:
//   literal       autograd of the formula: relu'(0) = 0, and the gradient of a maximum goes to the first of
//                 the tied pixels in raster order, as in torch's max_pool2d.
//   subgradient   z is 0 on every foreground pixel next to a ridge, exactly at the kink where relu passes no
//                 gradient. Therefore relu'(0) = 1 if a skeleton pixel lies in the window. Tied maxima share
//                 the gradient, and the mask gets no gradient on background.
// The results are deterministic: every sum is gathered in a fixed order.

#pragma once

#include <type_traits>

#include "dtypes.h"

namespace topo {

struct D2tParams {
  int64_t height, width;
  int64_t radius;  // of the pooling window

  TOPO_HOST_DEVICE int64_t pixels() const {
    return height * width;
  }
};

inline D2tParams d2t_params(const char* op, const Images& images, int64_t pool_size) {
  return {images.height, images.width, window_radius(op, "pool_size", pool_size)};
}

// Half precision rounds whole numbers above 2048, bfloat16 above 256. Ridges of rounded distances are wrong, so d2t
// refuses them on the CPU and returns NaN for them on CUDA, where an error would need a synchronisation.
template <typename T>
constexpr float kLargestWhole = std::is_same_v<T, Half> ? 2048.0f : 256.0f;

template <typename T>
constexpr bool kRounds = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;

// Whether a distance in an image of these sides may have been rounded. The limit itself may be a rounded number as
// well, unless the image is too small for more.
template <typename T, typename Real>
TOPO_HOST_DEVICE bool may_be_rounded(Real distance, int64_t height, int64_t width) {
  if constexpr (kRounds<T>) {
    const auto limit = static_cast<Real>(kLargestWhole<T>);
    return distance > limit || (distance == limit && (height > kLargestWhole<T> || width > kLargestWhole<T>));
  } else {
    return false;
  }
}

inline D2tParams d2t_backward_params(const Tensor& grad, const Tensor& distance, const Tensor& mask,
                                     const Tensor& skeleton, int64_t pool_size) {
  const char* op = "d2t_backward";
  check_floating(op, "distance", distance);
  check_floating(op, "grad", grad);
  check_floating(op, "skeleton", skeleton);
  check_mask_dtype(op, "mask", mask);
  check_same_shape(op, "grad", grad, "distance", distance);
  check_same_shape(op, "mask", mask, "distance", distance);
  check_same_shape(op, "skeleton", skeleton, "distance", distance);
  check_same_device(op, "grad", grad, "distance", distance);
  check_same_device(op, "mask", mask, "distance", distance);
  check_same_device(op, "skeleton", skeleton, "distance", distance);
  return d2t_params(op, images_of(op, "distance", distance), pool_size);
}

template <typename Visit>
TOPO_HOST_DEVICE void for_window(const D2tParams& p, int64_t y, int64_t x, Visit&& visit) {
  visit_window(p.height, p.width, p.radius, y, x, visit);
}

// Index of the window's maximum, of several the first in raster order.
template <typename Real, typename T>
TOPO_HOST_DEVICE int64_t argmax_pixel(const D2tParams& p, const T* distance, int64_t y, int64_t x) {
  const int64_t y0 = y > p.radius ? y - p.radius : 0, x0 = x > p.radius ? x - p.radius : 0;
  int64_t best = y0 * p.width + x0;
  for_window(p, y, x, [&](int64_t i) {
    if (static_cast<Real>(distance[i]) > static_cast<Real>(distance[best])) best = i;
  });
  return best;
}

template <typename Real, typename T>
TOPO_HOST_DEVICE Real skeleton_pixel(const D2tParams& p, const T* distance, Real mask, int64_t y, int64_t x) {
  const Real z = static_cast<Real>(distance[y * p.width + x]) -
                 static_cast<Real>(distance[argmax_pixel<Real>(p, distance, y, x)]) + Real(1);
  return z > Real(0) ? z * mask : Real(0);
}

// First pass of both backward modes: how a pixel passes its gradient on.
template <typename Real>
struct RidgePixel {
  Real passed;     // dL/dz
  Real taken;      // what is subtracted at each maximum of its window
  int64_t argmax;  // the first maximum
  Real mask_grad;  // dL/dS
};

template <typename Real, typename T>
TOPO_HOST_DEVICE RidgePixel<Real> ridge_pixel(const D2tParams& p, bool literal, const T* distance, const T* skeleton,
                                              Real mask, Real upstream, int64_t y, int64_t x) {
  RidgePixel<Real> result{Real(0), Real(0), y * p.width + x, Real(0)};
  if (!literal && mask == Real(0)) return result;
  result.argmax = argmax_pixel<Real>(p, distance, y, x);
  const Real peak = static_cast<Real>(distance[result.argmax]);
  const Real z = static_cast<Real>(distance[y * p.width + x]) - peak + Real(1);
  if (literal) {
    result.passed = z > Real(0) ? upstream * mask : Real(0);
    result.taken = result.passed;
    result.mask_grad = z > Real(0) ? upstream * z : Real(0);
    return result;
  }
  bool near_ridge = false;
  int64_t ties = 0;
  for_window(p, y, x, [&](int64_t i) {
    near_ridge |= static_cast<Real>(skeleton[i]) > Real(0);
    ties += static_cast<Real>(distance[i]) == peak;
  });
  result.passed = z > Real(0) || (z == Real(0) && near_ridge) ? upstream * mask : Real(0);
  result.taken = result.passed / static_cast<Real>(ties);
  result.mask_grad = z > Real(0) && mask > Real(0) ? upstream * z : Real(0);
  return result;
}

// Second pass: dL/dD at a pixel, from the `passed`, `taken` and `argmax` of the first pass. In literal mode only the
// pixel at argmax is a maximum of its window; for the subgradient all pixels with its value are.
template <typename Real, typename T>
TOPO_HOST_DEVICE Real distance_grad_pixel(const D2tParams& p, bool literal, const T* distance, const Real* passed,
                                          const Real* taken, const int64_t* argmax, int64_t y, int64_t x) {
  const int64_t here = y * p.width + x;
  const Real value = static_cast<Real>(distance[here]);
  Real sum = passed[here];
  for_window(p, y, x, [&](int64_t i) {
    const bool gives = literal ? argmax[i] == here : static_cast<Real>(distance[argmax[i]]) == value;
    if (gives) sum -= taken[i];
  });
  return sum;
}

}  // namespace topo
