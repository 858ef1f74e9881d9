#include "cpu/thin_simd.h"

namespace topo {
namespace TOPO_SIMD {
namespace {

#include "thin_rules.h"

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
typedef uint64_t Words __attribute__((vector_size(kBytes)));
constexpr int64_t kWords = kBytes / 8;

inline __attribute__((always_inline)) Words load(const uint64_t* from) {
  Words words;
  __builtin_memcpy(&words, from, kBytes);
  return words;
}

// The pixels of a row with those to their left and right.
struct Row {
  Words left, here, right;

  inline __attribute__((always_inline)) Row(const uint64_t* word, int64_t stride) {
    here = load(word);
    left = here << 1 | load(word - stride) >> 63;
    right = here >> 1 | load(word + stride) << 63;
  }
};

template <int method, int pass>
bool run_pass(const ThinStrips& strips, const uint64_t* from, uint64_t* to, const uint8_t* recent, uint8_t* changed) {
  const int64_t stride = strips.stride(), flags = strips.blocks + 2;
  bool any = false;
  for (int64_t strip = 1; strip <= strips.strips; ++strip) {
    for (int64_t block = 1; block <= strips.blocks; ++block) {
      const int64_t flag = strip * flags + block;
      changed[flag] = 0;
      uint8_t near = 0;
      for (int64_t side = -flags; side <= flags; side += flags) {
        const uint8_t* beside = recent + flag + side;
        near |= static_cast<uint8_t>(beside[-1] | beside[0] | beside[1]);
      }
      if (!near) continue;
      Words removed_any = {};
      for (int64_t row = 0; row < kThinBlock; row += kWords) {
        const int64_t i = strip * stride + block * kThinBlock + row;
        const Row above(from + i - 1, stride), middle(from + i, stride), below(from + i + 1, stride);
        const ThinNeighbours<Words> p{above.here, above.right, middle.right, below.right,
                                      below.here, below.left,  middle.left,  above.left};
        const Words removed = middle.here & thin_removes<method, pass>(p), left = middle.here & ~removed;
        removed_any |= removed;
        __builtin_memcpy(to + i, &left, kBytes);
      }
      uint64_t all = 0;
      for (int k = 0; k < kWords; ++k) all |= removed_any[k];
      changed[flag] = all != 0;
      any |= all != 0;
    }
  }
  return any;
}

}  // namespace

bool thin_pass(const ThinStrips& strips, int method, int pass, const uint64_t* from, uint64_t* to,
               const uint8_t* recent, uint8_t* changed) {
  if (method == 0) {
    return pass == 0 ? run_pass<0, 0>(strips, from, to, recent, changed)
                     : run_pass<0, 1>(strips, from, to, recent, changed);
  }
  return pass == 0 ? run_pass<1, 0>(strips, from, to, recent, changed)
                   : run_pass<1, 1>(strips, from, to, recent, changed);
}

}  // namespace TOPO_SIMD
}  // namespace topo
