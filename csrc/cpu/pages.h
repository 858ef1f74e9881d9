// Large results on large pages: a fresh tensor of many megabytes costs more in page faults than in sweeps.

#pragma once

#include <cstdint>

#include "common.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace topo {

// An unwritten CPU tensor of the shape of another, on large pages where it is large and the system has them.
inline Tensor fresh_like_shape(const Tensor& tensor, ScalarType type) {
  Tensor fresh = empty_like_shape(tensor, type);
#ifdef __linux__
  constexpr uintptr_t page = uintptr_t(2) << 20;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(fresh.mutable_data_ptr());
  const uintptr_t end = begin + static_cast<uintptr_t>(fresh.numel()) * fresh.element_size();
  const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);  // advice: may do nothing
#endif
  return fresh;
}

}  // namespace topo
