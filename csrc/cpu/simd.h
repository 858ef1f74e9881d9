// Run-time choice of the instruction set for code in *_simd.cpp, which CMake compiles once per level
// with -DTOPO_SIMD=<level>. These files use only raw pointers and their own static functions. If they
// used a standard template, the linker could keep the copy compiled with AVX-512 for all callers.

#pragma once

namespace topo {

enum class SimdLevel { kPortable, kAvx2, kAvx512 };

// The best level of this processor, or the lower one that TOPO_SIMD_LEVEL names (portable, avx2,
// avx512). Tests use the variable to reach every path.
SimdLevel simd_level();

}  // namespace topo

// Calls topo::<level>::function(...) at the level of this processor.
#ifdef TOPO_X86
#define TOPO_SIMD_CALL(function, ...)                                                         \
  (::topo::simd_level() == ::topo::SimdLevel::kAvx512 ? ::topo::avx512::function(__VA_ARGS__) \
   : ::topo::simd_level() == ::topo::SimdLevel::kAvx2 ? ::topo::avx2::function(__VA_ARGS__)   \
                                                      : ::topo::portable::function(__VA_ARGS__))
#define TOPO_SIMD_DECLARE(...) \
  namespace portable {         \
  __VA_ARGS__;                 \
  }                            \
  namespace avx2 {             \
  __VA_ARGS__;                 \
  }                            \
  namespace avx512 {           \
  __VA_ARGS__;                 \
  }
#else
#define TOPO_SIMD_CALL(function, ...) ::topo::portable::function(__VA_ARGS__)
#define TOPO_SIMD_DECLARE(...) \
  namespace portable {         \
  __VA_ARGS__;                 \
  }
#endif
