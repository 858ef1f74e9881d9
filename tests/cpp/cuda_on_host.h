// Runs CUDA kernels on the host: blocks one after the other, the threads of a block as real threads.
// Include it before a *_kernels.cuh. A data race between kernel threads is one of the host's, too,
// so ThreadSanitizer sees it. Blocks of up to 1024 threads; where warps talk, whole ones.

#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

struct Dim3 {
  unsigned int x = 1, y = 1, z = 1;
};

inline Dim3 blockDim, gridDim;
inline thread_local Dim3 blockIdx, threadIdx;

// Barrier of the block's threads that also combines a value of each.
class BlockBarrier {
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

inline BlockBarrier block_barrier;

inline void __syncthreads() {
  block_barrier.wait_or(0);
}

inline int __syncthreads_or(int value) {
  return block_barrier.wait_or(value);
}

inline int atomicMax(int* address, int value) {
  int seen = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (seen < value &&
         !__atomic_compare_exchange_n(address, &seen, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return seen;
}

inline int __syncthreads_and(int value) {
  return !block_barrier.wait_or(!value);
}

// ---- warps ----

inline BlockBarrier warp_barriers[32];
inline uint64_t warp_values[32][32];

// What lane `from` of this thread's warp brought.
template <typename T>
T exchange(T value, unsigned int from) {
  const unsigned int warp = threadIdx.x / 32;
  std::memcpy(&warp_values[warp][threadIdx.x % 32], &value, sizeof(T));
  warp_barriers[warp].wait_or(0);
  std::memcpy(&value, &warp_values[warp][from], sizeof(T));
  warp_barriers[warp].wait_or(0);
  return value;
}

template <typename T>
T __shfl_xor_sync(unsigned int, T value, int lane_mask) {
  return exchange(value, threadIdx.x % 32 ^ static_cast<unsigned int>(lane_mask));
}

inline unsigned int __ballot_sync(unsigned int, int predicate) {
  const unsigned int warp = threadIdx.x / 32;
  warp_values[warp][threadIdx.x % 32] = predicate != 0;
  warp_barriers[warp].wait_or(0);
  unsigned int votes = 0;
  for (int lane = 0; lane < 32; ++lane) votes |= static_cast<unsigned int>(warp_values[warp][lane]) << lane;
  warp_barriers[warp].wait_or(0);
  return votes;
}

inline int __popc(unsigned int value) {
  return __builtin_popcount(value);
}

inline int __ffs(unsigned int value) {
  return __builtin_ffs(static_cast<int>(value));
}

inline float __fdividef(float a, float b) {
  return a / b;
}

#define __forceinline__ inline
#define __launch_bounds__(...)
#define __global__
#define __device__
#define __shared__ static

// kernel<<<blocks, threads>>>(...), as launch(blocks, threads, [&] { kernel(...); }).
template <typename Kernel>
void launch(unsigned int blocks, unsigned int threads, Kernel&& kernel) {
  gridDim.x = blocks;
  blockDim.x = threads;
  block_barrier.reset(threads);
  for (BlockBarrier& barrier : warp_barriers) barrier.reset(32);
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
