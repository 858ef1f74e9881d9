// Runs CUDA kernels on the host: blocks one after the other, the threads of a block as fibers that switch at barriers.
// Include it before a *_kernels.cuh. ThreadSanitizer knows the fibers and does not treat a switch as synchronisation,
// so it finds a data race between kernel threads in any order of the switches.

#pragma once

#include <ucontext.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

struct Dim3 {
  unsigned int x = 1, y = 1, z = 1;
};

// A barrier of threads that also combines one value of each thread.
class Barrier {
 public:
  explicit Barrier(unsigned int threads) : threads_(threads) {}

  // Returns the round whose end the caller must wait for.
  unsigned long arrive(int value) {
    const std::lock_guard<std::mutex> lock(mutex_);
    pending_ |= value != 0;
    if (++arrived_ < threads_) return round_;
    result_ = pending_;
    pending_ = 0;
    arrived_ = 0;
    return round_++;
  }

  bool has_ended(unsigned long round) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return round_ != round;
  }

  // The result of the last round. It is not overwritten before every thread has read it, because only all threads
  // together can finish another round.
  int result() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return result_;
  }

 private:
  std::mutex mutex_;
  const unsigned int threads_;
  unsigned int arrived_ = 0;
  unsigned long round_ = 0;
  int pending_ = 0, result_ = 0;
};

// The threads of a warp: a barrier, and the values that the lanes exchange. There are two sets of values, used in turn,
// because a lane may write its next value while others still read the last one.
struct Warp {
  Barrier barrier;
  uint64_t shown[2][32];
};

// A thread of the block.
struct Fiber {
  ucontext_t context;
  void* sanitizer = nullptr;
  bool started = false;
  Dim3 thread{0, 0, 0}, block{0, 0, 0};
  unsigned int exchanges = 0;
  Barrier* waits_at = nullptr;
  unsigned long round = 0;
  bool done = false;
};

struct RunningBlock {
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<std::unique_ptr<char[]>> stacks;  // kept from launch to launch, like the next two
  std::vector<void*> sanitizers;
  std::vector<std::unique_ptr<Warp>> warps;
  std::unique_ptr<Barrier> barrier;
  ucontext_t scheduler;
  void* sanitizer = nullptr;
  Fiber* fiber = nullptr;  // the running one
  void (*body)(void*) = nullptr;
  void* argument = nullptr;
};

inline RunningBlock running;
inline Dim3 blockDim, gridDim;

// Hidden from ThreadSanitizer, since the running fiber is a state of the emulation and not of the kernel.
__attribute__((no_sanitize("thread"))) inline Fiber& this_fiber() {
  return *running.fiber;
}

#define threadIdx (this_fiber().thread)
#define blockIdx (this_fiber().block)

// Announces a switch just before it. A macro, because the return from a function would count for the other fiber.
#ifdef __SANITIZE_THREAD__
#define SWITCH_SANITIZER(to, orders) __tsan_switch_to_fiber(to, (orders) ? 0 : __tsan_switch_to_fiber_no_sync)
#else
#define SWITCH_SANITIZER(to, orders)
#endif

inline int wait_or(Barrier& barrier, int value) {
  Fiber& fiber = this_fiber();
  fiber.round = barrier.arrive(value);
  if (!barrier.has_ended(fiber.round)) {
    fiber.waits_at = &barrier;
    SWITCH_SANITIZER(running.sanitizer, false);
    swapcontext(&fiber.context, &running.scheduler);
    barrier.has_ended(fiber.round);  // takes the lock, which orders the other threads' writes before this point
  }
  return barrier.result();
}

inline void __syncthreads() {
  wait_or(*running.barrier, 0);
}

inline int __syncthreads_or(int value) {
  return wait_or(*running.barrier, value);
}

inline int __syncthreads_and(int value) {
  return !wait_or(*running.barrier, !value);
}

inline Warp& this_warp() {
  return *running.warps[threadIdx.x / 32];
}

// Warp-wide operations, for whole warps.
template <typename T>
T __shfl_sync(uint32_t, T value, int lane) {
  static_assert(sizeof(T) <= 8);
  Warp& warp = this_warp();
  uint64_t* shown = warp.shown[this_fiber().exchanges++ % 2];
  std::memcpy(&shown[threadIdx.x % 32], &value, sizeof(T));
  wait_or(warp.barrier, 0);
  std::memcpy(&value, &shown[lane % 32], sizeof(T));
  return value;
}

template <typename T>
T __shfl_xor_sync(uint32_t mask, T value, int bits) {
  return __shfl_sync(mask, value, static_cast<int>(threadIdx.x % 32) ^ bits);
}

inline unsigned int __ballot_sync(uint32_t, int predicate) {
  Warp& warp = this_warp();
  uint64_t* shown = warp.shown[this_fiber().exchanges++ % 2];
  shown[threadIdx.x % 32] = predicate != 0;
  wait_or(warp.barrier, 0);
  unsigned int votes = 0;
  for (int lane = 0; lane < 32; ++lane) votes |= static_cast<unsigned int>(shown[lane]) << lane;
  return votes;
}

inline void __syncwarp() {
  wait_or(this_warp().barrier, 0);
}

// Byte i of the result is byte (selector >> 4 i) & 7 of b:a; the sign mode is not used.
inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    result |= static_cast<uint32_t>(bytes >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
  }
  return result;
}

// f applied to the low and to the high 16 bits.
template <typename F>
uint32_t by_halves(F&& f, uint32_t a, uint32_t b, uint32_t c) {
  const auto half = [&](int s) { return uint32_t(uint16_t(f(uint16_t(a >> s), uint16_t(b >> s), uint16_t(c >> s)))); };
  return half(0) | half(16) << 16;
}

inline uint32_t __vimin3_u16x2(uint32_t a, uint32_t b, uint32_t c) {
  return by_halves([](uint16_t x, uint16_t y, uint16_t z) { return x < y ? (x < z ? x : z) : (y < z ? y : z); }, a, b,
                   c);
}

inline uint32_t __vimax3_u16x2(uint32_t a, uint32_t b, uint32_t c) {
  return by_halves([](uint16_t x, uint16_t y, uint16_t z) { return x > y ? (x > z ? x : z) : (y > z ? y : z); }, a, b,
                   c);
}

inline uint32_t __viaddmin_u16x2(uint32_t a, uint32_t b, uint32_t c) {
  return by_halves(
      [](uint16_t x, uint16_t y, uint16_t z) {
        const uint16_t sum = static_cast<uint16_t>(x + y);
        return sum < z ? sum : z;
      },
      a, b, c);
}

inline int __clz(uint32_t value) {
  return value ? __builtin_clz(value) : 32;
}

inline int __ffs(uint32_t value) {
  return __builtin_ffs(static_cast<int>(value));
}

inline int __popc(uint32_t value) {
  return __builtin_popcount(value);
}

inline float __fdividef(float a, float b) {
  return a / b;
}

// Dynamic shared memory of exactly `bytes` bytes in its own allocation, so that AddressSanitizer finds accesses
// outside.
inline uint8_t* dynamic_memory = nullptr;

inline uint8_t* dynamic_shared() {
  return dynamic_memory;
}

template <typename T, typename Better>
T atomic_best(T* address, T value, Better&& better) {
  T seen = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (better(value, seen) &&
         !__atomic_compare_exchange_n(address, &seen, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return seen;
}

template <typename T>
T atomicMax(T* address, T value) {
  return atomic_best(address, value, [](T a, T b) { return a > b; });
}

template <typename T>
T atomicMin(T* address, T value) {
  return atomic_best(address, value, [](T a, T b) { return a < b; });
}

inline int atomicAdd(int* address, int value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

inline void run_fiber() {
  running.body(running.argument);
  Fiber& fiber = this_fiber();
  fiber.done = true;
  SWITCH_SANITIZER(running.sanitizer, true);
  swapcontext(&fiber.context, &running.scheduler);
}

// Runs the threads in turn until all are done. It never ends if a thread misses a barrier.
__attribute__((no_sanitize("thread"))) inline void run_fibers() {
  for (bool any = true; any;) {
    any = false;
    for (auto& owned : running.fibers) {
      Fiber* fiber = owned.get();
      if (fiber->done) continue;
      any = true;
      if (fiber->waits_at && !fiber->waits_at->has_ended(fiber->round)) continue;
      fiber->waits_at = nullptr;
      running.fiber = fiber;
      [[maybe_unused]] const bool first = !fiber->started;  // ordered after the host's earlier writes
      fiber->started = true;
      SWITCH_SANITIZER(fiber->sanitizer, first);
      swapcontext(&running.scheduler, &fiber->context);
    }
  }
}

// kernel<<<blocks, threads, bytes>>>(...), as launch(blocks, threads, [&] { kernel(...); }, bytes).
template <typename Kernel>
void launch(unsigned int blocks, unsigned int threads, Kernel&& kernel, size_t bytes = 0) {
  constexpr size_t stack_bytes = 128 * 1024;
  gridDim.x = blocks;
  blockDim.x = threads;
  const auto memory = std::make_unique<uint64_t[]>((bytes + 7) / 8);
  dynamic_memory = reinterpret_cast<uint8_t*>(memory.get());
  std::memset(dynamic_memory, 0x5A, (bytes + 7) / 8 * 8);  // not zero, as on the device, and large if read as a count

  const auto body = [&] {
    for (unsigned int b = 0; b < blocks; ++b) {
      blockIdx.x = b;
      kernel();
      __syncthreads();  // the next block uses the same shared memory
    }
  };
  running.body = [](void* argument) { (*static_cast<decltype(body)*>(argument))(); };
  running.argument = const_cast<void*>(static_cast<const void*>(&body));
  running.barrier = std::make_unique<Barrier>(threads);
  running.warps.clear();
  for (unsigned int t = 0; t < threads; t += 32) {
    running.warps.push_back(std::unique_ptr<Warp>(new Warp{Barrier(threads - t < 32 ? threads - t : 32), {}}));
  }
#ifdef __SANITIZE_THREAD__
  running.sanitizer = __tsan_get_current_fiber();
#endif
  running.fibers.clear();
  for (unsigned int t = 0; t < threads; ++t) {
    auto fiber = std::make_unique<Fiber>();
    fiber->thread.x = t;
    if (t >= running.stacks.size()) running.stacks.emplace_back(new char[stack_bytes]);
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = running.stacks[t].get();
    fiber->context.uc_stack.ss_size = stack_bytes;
    makecontext(&fiber->context, run_fiber, 0);
#ifdef __SANITIZE_THREAD__
    if (t >= running.sanitizers.size()) running.sanitizers.push_back(__tsan_create_fiber(0));
    fiber->sanitizer = running.sanitizers[t];
#endif
    running.fibers.push_back(std::move(fiber));
  }
  run_fibers();
}
