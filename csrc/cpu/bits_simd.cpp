#include "cpu/bits_simd.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace topo {
namespace TOPO_SIMD {
namespace {

#define TOPO_INLINE inline __attribute__((always_inline))

TOPO_INLINE uint64_t word_of(const uint8_t* bytes) {
#if defined(__AVX2__)
  uint64_t zeros = 0;
  for (int i = 0; i < 2; ++i) {
    const __m256i part = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 32 * i));
    const __m256i zero = _mm256_cmpeq_epi8(part, _mm256_setzero_si256());
    zeros |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(zero))) << 32 * i;
  }
  return ~zeros;
#elif defined(__SSE2__)
  uint64_t zeros = 0;
  for (int i = 0; i < 4; ++i) {
    const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * i));
    const __m128i zero = _mm_cmpeq_epi8(part, _mm_setzero_si128());
    zeros |= static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(zero))) << 16 * i;
  }
  return ~zeros;
#else
  uint64_t word = 0;
  for (int i = 0; i < 64; ++i) word |= static_cast<uint64_t>(bytes[i] != 0) << i;
  return word;
#endif
}

TOPO_INLINE uint64_t word_of(const float* values, bool& valid) {
#if defined(__AVX2__)
  const __m256 half = _mm256_set1_ps(0.5f), one = _mm256_set1_ps(1.0f);
  __m256 inside = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
  uint64_t word = 0;
  for (int i = 0; i < 8; ++i) {
    const __m256 part = _mm256_loadu_ps(values + 8 * i);
    const auto bits = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(part, half, _CMP_GT_OQ)));
    word |= static_cast<uint64_t>(bits) << 8 * i;
    inside = _mm256_and_ps(inside, _mm256_and_ps(_mm256_cmp_ps(part, _mm256_setzero_ps(), _CMP_GE_OQ),
                                                 _mm256_cmp_ps(part, one, _CMP_LE_OQ)));
  }
  valid &= _mm256_movemask_ps(inside) == 255;
  return word;
#elif defined(__SSE2__)
  const __m128 half = _mm_set1_ps(0.5f), one = _mm_set1_ps(1.0f);
  __m128 inside = _mm_castsi128_ps(_mm_set1_epi32(-1));
  uint64_t word = 0;
  for (int i = 0; i < 16; ++i) {
    const __m128 part = _mm_loadu_ps(values + 4 * i);
    word |= static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_ps(_mm_cmpgt_ps(part, half)))) << 4 * i;
    inside = _mm_and_ps(inside, _mm_and_ps(_mm_cmpge_ps(part, _mm_setzero_ps()), _mm_cmple_ps(part, one)));
  }
  valid &= _mm_movemask_ps(inside) == 15;
  return word;
#else
  uint64_t word = 0;
  for (int i = 0; i < 64; ++i) {
    word |= static_cast<uint64_t>(values[i] > 0.5f) << i;
    valid &= values[i] >= 0 && values[i] <= 1;
  }
  return word;
#endif
}

// The same for a row that ends within a word.
template <typename T, typename Word>
TOPO_INLINE uint64_t last_word(const T* from, int64_t count, Word&& word) {
  T padded[64] = {};
  __builtin_memcpy(padded, from, static_cast<std::size_t>(count) * sizeof(T));
  return word(padded);
}

template <typename T>
TOPO_INLINE void unpack(const uint64_t* words, int64_t count, T value, T* out) {
  for (int64_t x = 0; x < count; x += 64) {
    const uint64_t word = words[x / 64];
    const int64_t here = count - x < 64 ? count - x : 64;
    if (word == 0) {
      for (int64_t i = 0; i < here; ++i) out[x + i] = 0;
    } else if (word == ~uint64_t(0)) {
      for (int64_t i = 0; i < here; ++i) out[x + i] = value;
    } else {
      for (int64_t i = 0; i < here; ++i) out[x + i] = static_cast<T>(-static_cast<T>(word >> i & 1) & value);
    }
  }
}

}  // namespace

void pack_bytes(const uint8_t* bytes, int64_t count, uint64_t* words) {
  int64_t x = 0;
  for (; x + 64 <= count; x += 64) words[x / 64] = word_of(bytes + x);
  if (x < count) words[x / 64] = last_word(bytes + x, count - x, [](const uint8_t* part) { return word_of(part); });
}

bool pack_floats(const float* values, int64_t count, uint64_t* words) {
  bool valid = true;
  int64_t x = 0;
  for (; x + 64 <= count; x += 64) words[x / 64] = word_of(values + x, valid);
  if (x < count) {
    words[x / 64] = last_word(values + x, count - x, [&](const float* part) { return word_of(part, valid); });
  }
  return valid;
}

void unpack_bits(const uint64_t* words, int64_t count, uint8_t value, uint8_t* out) {
  // Each byte keeps its own bit of eight.
  const uint64_t ones = 0x0101010101010101u, own = 0x8040201008040201u;
  int64_t x = 0;
#ifdef __AVX2__
  const __m256i byte_of =
      _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i own_bits = _mm256_set1_epi64x(static_cast<int64_t>(own));
  const __m256i set = _mm256_set1_epi8(static_cast<char>(value));
  for (; x + 32 <= count; x += 32) {
    const __m256i all = _mm256_set1_epi32(static_cast<int32_t>(words[x / 64] >> x % 64));
    const __m256i kept = _mm256_and_si256(_mm256_shuffle_epi8(all, byte_of), own_bits);
    const __m256i result = _mm256_and_si256(_mm256_cmpeq_epi8(kept, own_bits), set);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), result);
  }
#endif
  for (; x < count; x += 8) {
    const uint64_t bits = words[x / 64] >> x % 64 & 255;
    const uint64_t kept = bits * ones & own;                                     // a power of two, or 0
    const uint64_t nonzero = ((kept + 0x7F7F7F7F7F7F7F7Fu) | kept) >> 7 & ones;  // 1 where not 0
    const uint64_t eight = nonzero * 255 & ones * value;
    __builtin_memcpy(out + x, &eight, static_cast<std::size_t>(count - x < 8 ? count - x : 8));
  }
}

void unpack_bits(const uint64_t* words, int64_t count, uint16_t value, uint16_t* out) {
  unpack(words, count, value, out);
}

void unpack_bits(const uint64_t* words, int64_t count, uint32_t value, uint32_t* out) {
  unpack(words, count, value, out);
}

void unpack_bits(const uint64_t* words, int64_t count, uint64_t value, uint64_t* out) {
  unpack(words, count, value, out);
}

#undef TOPO_INLINE

}  // namespace TOPO_SIMD
}  // namespace topo
