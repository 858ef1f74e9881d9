// Large results on huge pages: for a fresh tensor of many megabytes, page faults take longer than the sweeps.

#pragma once

#include <cstdint>

#include "common.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace topo {

// An uninitialised CPU tensor with the shape of another, on huge pages if it is large and the system offers them.
inline Tensor fresh_like_shape(const Tensor& tensor, ScalarType type) {
  Tensor fresh = empty_like_shape(tensor, type);
#ifdef __linux__
  constexpr uintptr_t page = uintptr_t(2) << 20;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(fresh.mutable_data_ptr());
  const uintptr_t end = begin + static_cast<uintptr_t>(fresh.numel()) * fresh.element_size();
  const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
  if (first < last)
    madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);  // a hint, which the system may ignore
#endif
  return fresh;
}

}  // namespace topo
