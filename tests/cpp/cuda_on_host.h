// Runs CUDA kernels on the host: blocks one after the other, the threads of a block as real threads.
// Include it before a *_kernels.cuh. A data race between kernel threads is one of the host's, too,
// so ThreadSanitizer sees it.

#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

struct Dim3 {
  unsigned int x = 1, y = 1, z = 1;
};

inline Dim3 blockDim, gridDim;
inline thread_local Dim3 blockIdx, threadIdx;

// Barrier of threads that also combines a value of each.
class Barrier {
 public:
  void reset(unsigned int threads) {
    threads_ = threads;
  }

  int wait_or(int value) {
    std::unique_lock<std::mutex> lock(mutex_);
    pending_ |= value != 0;
    const unsigned long round = round_;
    if (++arrived_ == threads_) {
      result_ = pending_;
      pending_ = 0;
      arrived_ = 0;
      ++round_;
      all_here_.notify_all();
    } else {
      all_here_.wait(lock, [&] { return round_ != round; });
    }
    return result_;  // not overwritten before every thread has left: it takes all of them to finish a round
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  unsigned int threads_ = 1, arrived_ = 0;
  unsigned long round_ = 0;
  int pending_ = 0, result_ = 0;
};

inline Barrier block_barrier;

// The threads of a warp: a barrier, and what each lane shows the others. Two sets in turn: a lane may show its next
// value while others still read the last.
struct Warp {
  Barrier barrier;
  uint64_t shown[2][32];
};

inline std::vector<std::unique_ptr<Warp>> warps;
inline thread_local unsigned int exchanges = 0;

inline void __syncthreads() {
  block_barrier.wait_or(0);
}

inline int __syncthreads_or(int value) {
  return block_barrier.wait_or(value);
}

// Warp-wide operations, for whole warps.
template <typename T>
T __shfl_sync(uint32_t, T value, int lane) {
  static_assert(sizeof(T) <= 8);
  Warp& warp = *warps[threadIdx.x / 32];
  uint64_t* shown = warp.shown[exchanges++ % 2];
  std::memcpy(&shown[threadIdx.x % 32], &value, sizeof(T));
  warp.barrier.wait_or(0);
  std::memcpy(&value, &shown[lane % 32], sizeof(T));
  return value;
}

template <typename T>
T __shfl_xor_sync(uint32_t mask, T value, int bits) {
  return __shfl_sync(mask, value, static_cast<int>(threadIdx.x % 32) ^ bits);
}

inline void __syncwarp() {
  warps[threadIdx.x / 32]->barrier.wait_or(0);
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

// f on the low and on the high 16 bits.
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

// Dynamic shared memory: `bytes` of it, in an allocation of their own, so that a step outside is found.
inline uint8_t* dynamic_memory = nullptr;

inline uint8_t* dynamic_shared() {
  return dynamic_memory;
}

inline int atomicMax(int* address, int value) {
  int seen = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (seen < value &&
         !__atomic_compare_exchange_n(address, &seen, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return seen;
}

inline int atomicAdd(int* address, int value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

// kernel<<<blocks, threads, bytes>>>(...), as launch(blocks, threads, [&] { kernel(...); }, bytes).
template <typename Kernel>
void launch(unsigned int blocks, unsigned int threads, Kernel&& kernel, size_t bytes = 0) {
  gridDim.x = blocks;
  blockDim.x = threads;
  block_barrier.reset(threads);
  warps.clear();
  for (unsigned int t = 0; t < threads; t += 32) {
    warps.push_back(std::make_unique<Warp>());
    warps.back()->barrier.reset(threads - t < 32 ? threads - t : 32);
  }
  const auto memory = std::make_unique<uint64_t[]>((bytes + 7) / 8);
  dynamic_memory = reinterpret_cast<uint8_t*>(memory.get());
  std::memset(dynamic_memory, 0xA5, (bytes + 7) / 8 * 8);  // dirty, as the device gives it
  std::vector<std::thread> pool;
  for (unsigned int t = 0; t < threads; ++t) {
    pool.emplace_back([&, t] {
      threadIdx.x = t;
      for (unsigned int b = 0; b < blocks; ++b) {
        blockIdx.x = b;
        kernel();
        __syncthreads();  // shared memory passes from block to block
      }
    });
  }
  for (auto& thread : pool) thread.join();
}
