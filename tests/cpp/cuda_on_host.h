// Runs CUDA kernels on the host: blocks one after the other, the threads of a block as real threads.
// Include it before a *_kernels.cuh. A data race between kernel threads is one of the host's, too,
// so ThreadSanitizer sees it.

#pragma once

#include <atomic>
#include <condition_variable>
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

inline int atomicAdd(int* address, int value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static

// kernel<<<blocks, threads>>>(...), as launch(blocks, threads, [&] { kernel(...); }).
template <typename Kernel>
void launch(unsigned int blocks, unsigned int threads, Kernel&& kernel) {
  gridDim.x = blocks;
  blockDim.x = threads;
  block_barrier.reset(threads);
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
