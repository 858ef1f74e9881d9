// Reading masks on the CPU: their foreground as bytes, and whether they are binary, soft or invalid.

#pragma once

#include <atomic>
#include <cstring>

#include "cpu/s2d_simd.h"
#include "dtypes.h"
#include "mask_values.h"

namespace topo {

enum class MaskKind { kBinary, kSoft, kInvalid };

// foreground[i] = (mask[i] != 0). Returns whether all values are 0 or 1; may return false if some are -0.
template <typename T>
bool read_binary(const T* mask, int64_t count, uint8_t* foreground) {
  if constexpr (std::is_same_v<T, float>) {
    return TOPO_SIMD_CALL(read_mask_float, mask, count, foreground);
  } else {
    // Comparing bit patterns avoids a conversion of each half-precision value.
    using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, uint64_t>;
    const T one_value = static_cast<T>(1.0f);
    Bits one, odd = 0;
    std::memcpy(&one, &one_value, sizeof(one));
    for (int64_t i = 0; i < count; ++i) {
      Bits bits;
      std::memcpy(&bits, mask + i, sizeof(bits));
      foreground[i] = bits != 0;
      odd |= static_cast<Bits>((bits != 0) & (bits != one));
    }
    return odd == 0;
  }
}

// foreground[i] = (mask[i] != 0). The image is invalid if a value is not finite or not in [0, 1].
template <typename T>
MaskKind read_mask(const T* mask, int64_t count, uint8_t* foreground) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    for (int64_t i = 0; i < count; ++i) foreground[i] = mask[i] != 0;
    return MaskKind::kBinary;
  } else {
    if (read_binary(mask, count, foreground)) return MaskKind::kBinary;
    bool valid = true, binary = true;
    for (int64_t i = 0; i < count; ++i) {
      const auto value = static_cast<accumulate_t<T>>(mask[i]);
      foreground[i] = value != 0;
      valid &= value >= 0 && value <= 1;  // false for NaN
      binary &= value == 0 || value == 1;
    }
    return !valid ? MaskKind::kInvalid : binary ? MaskKind::kBinary : MaskKind::kSoft;
  }
}

// Reads a mask: foreground[i] = 1 where it exceeds 0.5, or is not 0 in a mask of bytes. Returns whether it is valid.
template <typename T>
bool read_foreground(const T* mask, int64_t count, uint8_t* foreground) {
  const MaskKind kind = read_mask(mask, count, foreground);
  if constexpr (!std::is_same_v<T, uint8_t>) {
    if (kind == MaskKind::kSoft) {
      for (int64_t i = 0; i < count; ++i) foreground[i] = static_cast<accumulate_t<T>>(mask[i]) > 0.5f;
    }
  }
  return kind != MaskKind::kInvalid;
}

// An exception that leaves a parallel loop loses its text. The loop records an invalid image here, and check() throws
// afterwards.
class InvalidImage {
 public:
  template <typename T>
  void record(int64_t image, const T* mask, int64_t count) {
    int64_t none = -1;
    // Only the first to get here writes the value, which is read after the loop.
    if (image_.compare_exchange_strong(none, image)) value_ = worst_value(mask, count);
  }
  void check(const char* op, const char* argument) const {
    if (image_ >= 0) fail_mask_value(op, argument, image_, value_);
  }

 private:
  std::atomic<int64_t> image_{-1};
  double value_ = 0;
};

}  // namespace topo
