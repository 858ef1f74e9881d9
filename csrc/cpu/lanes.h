// Vectors of unsigned 8 or 16 bit states, as wide as the instruction set allows, for *_simd.cpp files: load, store,
// maximum, saturating subtraction, and shifts. A vector is a row of blocks of 16 bytes, the unit of the shift
// instructions; shifts bring in zeros. Without SSE2 a vector is one state. 512-bit vectors were no faster: a row has
// few vectors, and each waits for the carry of the one before.

#pragma once

#include <cstdint>

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace topo {
namespace TOPO_SIMD {
namespace {

#define TOPO_LANES static inline __attribute__((always_inline))

#if defined(__AVX2__)

template <typename State>
struct Lanes {
  using V = __m256i;
  static constexpr bool kByte = sizeof(State) == 1;
  static constexpr int kCount = 32 / sizeof(State), kBlock = 16 / sizeof(State);

  TOPO_LANES V load(const State* from) {
    return _mm256_loadu_si256(reinterpret_cast<const V*>(from));
  }
  TOPO_LANES V widen(const uint8_t* from) {
    if constexpr (kByte) return _mm256_loadu_si256(reinterpret_cast<const V*>(from));
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  TOPO_LANES void store(State* to, V v) {
    _mm256_storeu_si256(reinterpret_cast<V*>(to), v);
  }
  TOPO_LANES V fill(State value) {
    return kByte ? _mm256_set1_epi8(static_cast<char>(value)) : _mm256_set1_epi16(static_cast<short>(value));
  }
  TOPO_LANES V greatest(V a, V b) {
    return kByte ? _mm256_max_epu8(a, b) : _mm256_max_epu16(a, b);
  }
  TOPO_LANES V least(V a, V b) {
    return kByte ? _mm256_min_epu8(a, b) : _mm256_min_epu16(a, b);
  }
  TOPO_LANES V minus(V a, V b) {
    return kByte ? _mm256_subs_epu8(a, b) : _mm256_subs_epu16(a, b);
  }
  // Whether all states are equal, for states that are 0 or the largest value.
  TOPO_LANES bool uniform(V v) {
    return static_cast<unsigned>(_mm256_movemask_epi8(v)) + 1u <= 1u;
  }
  // Shifts by k states up or down within each block.
  template <int k>
  TOPO_LANES V up(V v) {
    return _mm256_slli_si256(v, k * sizeof(State));
  }
  template <int k>
  TOPO_LANES V down(V v) {
    return _mm256_srli_si256(v, k * sizeof(State));
  }
  TOPO_LANES V last_of_blocks(V v) {
    return _mm256_shuffle_epi8(v, _mm256_set1_epi16(kByte ? 0x0F0F : 0x0F0E));
  }
  TOPO_LANES V first_of_blocks(V v) {
    return _mm256_shuffle_epi8(v, _mm256_set1_epi16(kByte ? 0x0000 : 0x0100));
  }
  TOPO_LANES V carry_up(V v) {
    return greatest(v, minus(_mm256_permute2x128_si256(v, v, 0x08), fill(kBlock)));
  }
  TOPO_LANES V carry_down(V v) {
    return greatest(v, minus(_mm256_permute2x128_si256(v, v, 0x81), fill(kBlock)));
  }
  TOPO_LANES V shift_block_in(V before, V v) {
    return _mm256_permute2x128_si256(before, v, 0x21);
  }
  TOPO_LANES V shift_block_out(V v, V after) {
    return _mm256_permute2x128_si256(v, after, 0x21);
  }
  TOPO_LANES V last_block(V v) {
    return _mm256_permute2x128_si256(v, v, 0x11);
  }
  TOPO_LANES V first_block(V v) {
    return _mm256_permute2x128_si256(v, v, 0x00);
  }
};

#elif defined(__SSE2__)

template <typename State>
struct Lanes {
  using V = __m128i;
  static constexpr bool kByte = sizeof(State) == 1;
  static constexpr int kCount = 16 / sizeof(State), kBlock = kCount;

  TOPO_LANES V load(const State* from) {
    return _mm_loadu_si128(reinterpret_cast<const V*>(from));
  }
  TOPO_LANES V widen(const uint8_t* from) {
    if constexpr (kByte) return _mm_loadu_si128(reinterpret_cast<const V*>(from));
    const V bytes = _mm_loadl_epi64(reinterpret_cast<const V*>(from));
    return _mm_unpacklo_epi8(bytes, bytes);
  }
  TOPO_LANES void store(State* to, V v) {
    _mm_storeu_si128(reinterpret_cast<V*>(to), v);
  }
  TOPO_LANES V fill(State value) {
    return kByte ? _mm_set1_epi8(static_cast<char>(value)) : _mm_set1_epi16(static_cast<short>(value));
  }
  TOPO_LANES V minus(V a, V b) {
    return kByte ? _mm_subs_epu8(a, b) : _mm_subs_epu16(a, b);
  }
  TOPO_LANES V greatest(V a, V b) {
    return kByte ? _mm_max_epu8(a, b) : _mm_add_epi16(_mm_subs_epu16(a, b), b);
  }
  TOPO_LANES V least(V a, V b) {
    return kByte ? _mm_min_epu8(a, b) : _mm_sub_epi16(a, _mm_subs_epu16(a, b));
  }
  TOPO_LANES bool uniform(V v) {
    return ((_mm_movemask_epi8(v) + 1) & 0xFFFF) <= 1;
  }
  template <int k>
  TOPO_LANES V up(V v) {
    return _mm_slli_si128(v, k * sizeof(State));
  }
  template <int k>
  TOPO_LANES V down(V v) {
    return _mm_srli_si128(v, k * sizeof(State));
  }
  TOPO_LANES V last_of_blocks(V v) {
    const V pair = kByte ? _mm_unpackhi_epi8(v, v) : v;
    return _mm_shuffle_epi32(_mm_shufflehi_epi16(pair, 0xFF), 0xFF);
  }
  TOPO_LANES V first_of_blocks(V v) {
    const V pair = kByte ? _mm_unpacklo_epi8(v, v) : v;
    return _mm_shuffle_epi32(_mm_shufflelo_epi16(pair, 0x00), 0x00);
  }
  TOPO_LANES V carry_up(V v) {
    return v;
  }
  TOPO_LANES V carry_down(V v) {
    return v;
  }
  TOPO_LANES V shift_block_in(V before, V) {
    return before;
  }
  TOPO_LANES V shift_block_out(V, V after) {
    return after;
  }
  TOPO_LANES V last_block(V v) {
    return v;
  }
  TOPO_LANES V first_block(V v) {
    return v;
  }
};

#else

template <typename State>
struct Lanes {
  using V = State;
  static constexpr int kCount = 1, kBlock = 1;

  TOPO_LANES V load(const State* from) {
    return *from;
  }
  TOPO_LANES V widen(const uint8_t* from) {
    return static_cast<State>(*from ? ~State(0) : 0);
  }
  TOPO_LANES void store(State* to, V v) {
    *to = v;
  }
  TOPO_LANES V fill(State value) {
    return value;
  }
  TOPO_LANES V greatest(V a, V b) {
    return a > b ? a : b;
  }
  TOPO_LANES V least(V a, V b) {
    return a < b ? a : b;
  }
  TOPO_LANES V minus(V a, V b) {
    return static_cast<State>(a > b ? a - b : 0);
  }
  TOPO_LANES bool uniform(V) {
    return true;
  }
  template <int k>
  TOPO_LANES V up(V) {
    return 0;
  }
  template <int k>
  TOPO_LANES V down(V) {
    return 0;
  }
  TOPO_LANES V last_of_blocks(V v) {
    return v;
  }
  TOPO_LANES V first_of_blocks(V v) {
    return v;
  }
  TOPO_LANES V carry_up(V v) {
    return v;
  }
  TOPO_LANES V carry_down(V v) {
    return v;
  }
  TOPO_LANES V shift_block_in(V before, V) {
    return before;
  }
  TOPO_LANES V shift_block_out(V, V after) {
    return after;
  }
  TOPO_LANES V last_block(V v) {
    return v;
  }
  TOPO_LANES V first_block(V v) {
    return v;
  }
};

#endif

#undef TOPO_LANES

}  // namespace
}  // namespace TOPO_SIMD
}  // namespace topo
