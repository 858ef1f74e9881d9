// Access to four pixels of a row at once; in float32 these are 16 bytes.

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "common.h"

namespace topo {
namespace {

template <typename T>
struct alignas(sizeof(T) * 4 < 16 ? sizeof(T) * 4 : 16) Four {
  T value[4];
};

// Whether every row can be read as aligned groups of four.
template <typename T>
inline bool rows_of_four(const T* pixels, int64_t width) {
  return width % 4 == 0 && reinterpret_cast<uintptr_t>(pixels) % alignof(Four<T>) == 0;
}

// Pixels x to x + 3; pixels past the end of the row are 0. `fours`: rows_of_four() holds.
template <typename T>
__device__ Four<T> load_four(const T* row, int32_t x, int32_t width, bool fours) {
  Four<T> result{};
  if (fours) {
    if (x < width) result = *reinterpret_cast<const Four<T>*>(row + x);
    return result;
  }
  for (int k = 0; k < 4; ++k) result.value[k] = x + k < width ? row[x + k] : T(0);
  return result;
}

// A store of up to 16 bytes in one instruction, which the compiler does not always generate for an assignment. It is a
// streaming store, since the kernel does not read the result again.
template <typename T>
__device__ void store_whole(T* to, const Four<T>& pixels) {
#ifdef __CUDA_ARCH__
  using Word = std::conditional_t<sizeof(pixels) == 4, uint32_t, std::conditional_t<sizeof(pixels) == 8, uint2, uint4>>;
  constexpr int count = sizeof(pixels) / sizeof(Word);
  Word words[count];
  memcpy(words, &pixels, sizeof(pixels));
  for (int i = 0; i < count; ++i) __stcs(reinterpret_cast<Word*>(to) + i, words[i]);
#else
  *reinterpret_cast<Four<T>*>(to) = pixels;
#endif
}

template <typename T>
__device__ void store_four(T* row, int32_t x, int32_t width, bool fours, const Four<T>& pixels) {
  if (fours) {
    if (x < width) store_whole(row + x, pixels);
    return;
  }
  for (int k = 0; k < 4; ++k) {
    if (x + k < width) row[x + k] = pixels.value[k];
  }
}

}  // namespace
}  // namespace topo
