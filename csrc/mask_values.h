// Which mask values are an error, and what its text says. The CPU kernels find such values while they read a mask. The
// CUDA kernels do not look, because an error would need a synchronisation; with TOPO_DEBUG=1 in the environment their
// entry points look first, on a copy of the mask on the host.

#pragma once

#include <torch/csrc/stable/device.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "dtypes.h"

namespace topo {

// The value of an image that is farthest from [0, 1]; one that is not finite counts as farthest.
template <typename T>
double worst_value(const T* mask, int64_t count) {
  double worst = 0, excess = -1;
  for (int64_t i = 0; i < count; ++i) {
    const double value = static_cast<double>(static_cast<accumulate_t<T>>(mask[i]));
    if (std::isnan(value)) return std::abs(value);  // prints no sign
    if (!std::isfinite(value)) return value;
    const double beyond = value < 0 ? -value : value - 1;
    if (beyond > excess) excess = beyond, worst = value;
  }
  return worst;
}

// What to do about a value, by what it probably is.
inline const char* remedy_for(double value) {
  if (!std::isfinite(value)) return "";
  if (value > 2) return ". Divide the mask by 255, or threshold it";
  // Logits, or the complement of an 8-bit mask.
  if (value < -0.5) return ". Threshold the mask; logits need a sigmoid, and 8-bit values a division by 255";
  return ". Clamp the mask to [0, 1]";
}

[[noreturn]] inline void fail_mask_value(const char* op, const char* argument, int64_t image, double value) {
  fail(op, ": ", argument, " must hold finite values in [0, 1]; image ", image, " of the batch holds ", value,
       remedy_for(value));
}

// Checks a floating-point mask in host memory.
inline void check_mask_values(const char* op, const char* argument, const Tensor& mask, const Images& images) {
  dispatch_floating(mask.scalar_type(), [&](auto tag) {
    const auto* data = static_cast<const decltype(tag)*>(mask.const_data_ptr());
    for (int64_t image = 0; image < images.count; ++image) {
      const double value = worst_value(data + image * images.pixels(), images.pixels());
      if (!(value >= 0 && value <= 1)) fail_mask_value(op, argument, image, value);
    }
  });
}

// Whether TOPO_DEBUG asks for the checks that synchronise. Read once.
inline bool debug_checks() {
  static const bool on = [] {
    const char* text = std::getenv("TOPO_DEBUG");
    return text && *text && std::strcmp(text, "0") != 0;
  }();
  return on;
}

// For masks on a GPU: checks the values if TOPO_DEBUG asks for it.
inline void debug_mask_values(const char* op, const char* argument, const Tensor& mask, const Images& images) {
  if (!debug_checks() || !is_floating(mask.scalar_type()) || mask.numel() == 0) return;
  const torch::stable::Device host(torch::headeronly::DeviceType::CPU);
  check_mask_values(op, argument, torch::stable::contiguous(torch::stable::to(mask, host)), images);
}

}  // namespace topo
