// Rows of masks as words of 64 pixels: pixel x is bit x % 64 of word x / 64, and bits beyond the row are 0.

#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/simd.h"

namespace topo {

// The words of `count` pixels: a bit is set where the byte is not 0, or where the value exceeds 0.5. The latter returns
// whether all values are in [0, 1].
TOPO_SIMD_DECLARE(void pack_bytes(const uint8_t* bytes, int64_t count, uint64_t* words))
TOPO_SIMD_DECLARE(bool pack_floats(const float* values, int64_t count, uint64_t* words))

// Writes `value` where a bit is set and 0 elsewhere.
TOPO_SIMD_DECLARE(void unpack_bits(const uint64_t* words, int64_t count, uint8_t value, uint8_t* out))
TOPO_SIMD_DECLARE(void unpack_bits(const uint64_t* words, int64_t count, uint16_t value, uint16_t* out))
TOPO_SIMD_DECLARE(void unpack_bits(const uint64_t* words, int64_t count, uint32_t value, uint32_t* out))
TOPO_SIMD_DECLARE(void unpack_bits(const uint64_t* words, int64_t count, uint64_t value, uint64_t* out))

}  // namespace topo
