// Masks as words of 64 pixels on the CPU.

#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>

#include "cpu/bits_simd.h"
#include "cpu/buffer.h"
#include "cpu/mask.h"

namespace topo {

inline int64_t words_of(int64_t width) {
  return (width + 63) / 64;
}

// Calls body(begin, end) for parts of 0 ... count in parallel, each of at least `least_pixels` pixels.
template <typename Body>
void in_row_parts(int64_t height, int64_t width, Body&& body) {
  constexpr int64_t least_pixels = 1 << 18;
  torch::stable::parallel_for(0, height, std::max<int64_t>(1, least_pixels / std::max<int64_t>(1, width)), body);
}

// Reads the rows from `begin` to `end` of a mask; a floating mask is foreground where it exceeds 0.5. Returns whether
// all values are valid.
template <typename T>
bool read_bit_rows(const T* mask, int64_t begin, int64_t end, int64_t width, uint64_t* rows) {
  const int64_t words = words_of(width);
  bool valid = true;
  if constexpr (std::is_same_v<T, uint8_t>) {
    for (int64_t y = begin; y < end; ++y) TOPO_SIMD_CALL(pack_bytes, mask + y * width, width, rows + y * words);
  } else if constexpr (std::is_same_v<T, float>) {
    for (int64_t y = begin; y < end; ++y) {
      valid &= TOPO_SIMD_CALL(pack_floats, mask + y * width, width, rows + y * words);
    }
  } else {
    Buffer<uint8_t> foreground(width);
    for (int64_t y = begin; y < end; ++y) {
      valid &= read_foreground(mask + y * width, width, foreground.data());
      TOPO_SIMD_CALL(pack_bytes, foreground.data(), width, rows + y * words);
    }
  }
  return valid;
}

template <typename T>
bool read_bits(const T* mask, int64_t height, int64_t width, uint64_t* rows) {
  std::atomic<bool> valid{true};
  in_row_parts(height, width, [&](int64_t begin, int64_t end) {
    if (!read_bit_rows(mask, begin, end, width, rows)) valid = false;
  });
  return valid;
}

// Writes masks of 0 and 1.
template <typename T>
void write_bits(const uint64_t* rows, int64_t height, int64_t width, T* mask) {
  using Bits = std::conditional_t<
      sizeof(T) == 1, uint8_t,
      std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>>;
  const int64_t words = words_of(width);
  const T one_value = static_cast<T>(1.0f);
  Bits one;
  std::memcpy(&one, &one_value, sizeof(one));
  in_row_parts(height, width, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y) {
      TOPO_SIMD_CALL(unpack_bits, rows + y * words, width, one, reinterpret_cast<Bits*>(mask + y * width));
    }
  });
}

// Calls body(image index, source, bits) for the images of a batch: images in parallel if there are as many as threads,
// otherwise one after the other, so that the body can divide an image among the threads.
template <typename T, typename Body>
void for_bit_images(const char* op, const T* mask, const Images& images, Body&& body) {
  InvalidImage invalid;
  const auto run = [&](int64_t begin, int64_t end) {
    Buffer<uint64_t> bits(images.height * words_of(images.width));
    for (int64_t image = begin; image < end; ++image) {
      const T* source = mask + image * images.pixels();
      if (read_bits(source, images.height, images.width, bits.data())) {
        body(image, source, bits.data());
      } else {
        invalid.record(image, source, images.pixels());
      }
    }
  };
  if (images.count < static_cast<int64_t>(torch::stable::get_num_threads())) {
    run(0, images.count);
  } else {
    torch::stable::parallel_for(0, images.count, 1, run);
  }
  invalid.check(op, "mask");
}

}  // namespace topo
