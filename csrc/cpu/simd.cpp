#include "cpu/simd.h"

#include <cstdlib>
#include <cstring>

namespace topo {
namespace {

SimdLevel detect() {
  SimdLevel best = SimdLevel::kPortable;
#ifdef TOPO_X86
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    best = SimdLevel::kAvx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
      best = SimdLevel::kAvx512;
    }
  }
#endif
  // A level above the processor's is not an error: tests request all levels on any machine.
  const char* requested = std::getenv("TOPO_SIMD_LEVEL");
  if (requested && !std::strcmp(requested, "portable")) return SimdLevel::kPortable;
  if (requested && !std::strcmp(requested, "avx2") && best == SimdLevel::kAvx512) return SimdLevel::kAvx2;
  return best;
}

}  // namespace

SimdLevel simd_level() {
  static const SimdLevel level = detect();
  return level;
}

}  // namespace topo
