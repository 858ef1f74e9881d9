// Scratch memory of the CPU kernels.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace topo {

struct ScratchBlock {
  std::unique_ptr<char[]> memory;
  int64_t bytes = 0;
};

// The page faults of fresh memory cost more than the sweeps that write it, so each thread keeps the blocks of its last
// calls. Those that have not been used for the longest time come first, and are the first to go.
class KeptBlocks {
 public:
  KeptBlocks() = default;
  ~KeptBlocks() {
    everywhere() -= bytes_;
  }
  KeptBlocks(const KeptBlocks&) = delete;
  KeptBlocks& operator=(const KeptBlocks&) = delete;

  // The smallest kept block that fits, unless it is much too large; otherwise a new one.
  ScratchBlock take(int64_t bytes) {
    auto best = blocks_.end();
    for (auto block = blocks_.begin(); block != blocks_.end(); ++block) {
      const bool fits = block->bytes >= bytes && block->bytes / 2 <= std::max(bytes, kSmallBytes);
      if (fits && (best == blocks_.end() || block->bytes <= best->bytes)) best = block;
    }
    if (best == blocks_.end()) return {std::unique_ptr<char[]>(new char[bytes]), bytes};
    ScratchBlock block = std::move(*best);
    blocks_.erase(best);
    count(-block.bytes);
    return block;
  }

  void give(ScratchBlock block) {
    count(block.bytes);
    blocks_.push_back(std::move(block));
    // One thread may keep what the others leave of the common part, so that a single large image does not lose its
    // scratch with every call.
    const int64_t most = std::max(kMostBytes, kMostBytesEverywhere - (everywhere() - bytes_));
    size_t dropped = blocks_.size() > kMostBlocks ? 1 : 0;
    int64_t left = bytes_ - (dropped ? blocks_[0].bytes : 0);
    while (left > most) left -= blocks_[dropped++].bytes;
    blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<int64_t>(dropped));
    count(left - bytes_);
  }

 private:
  static constexpr int64_t kSmallBytes = 4096;
  static constexpr int64_t kMostBytes = int64_t(64) << 20;             // per thread, always
  static constexpr int64_t kMostBytesEverywhere = int64_t(256) << 20;  // of all threads, if one keeps more
  static constexpr size_t kMostBlocks = 128;                           // per thread; each call searches them

  static std::atomic<int64_t>& everywhere() {
    static std::atomic<int64_t> bytes{0};
    return bytes;
  }
  void count(int64_t change) {
    bytes_ += change;
    everywhere() += change;
  }

  std::vector<ScratchBlock> blocks_;
  int64_t bytes_ = 0;
};

inline KeptBlocks& kept_blocks() {
  static thread_local KeptBlocks kept;
  return kept;
}

// Uninitialised scratch memory. A change of size loses the contents.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t count) {
    resize(count);
  }
  ~Buffer() {
    if (block_.memory) kept_blocks().give(std::move(block_));
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void resize(int64_t count) {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    if (bytes > block_.bytes) {
      if (block_.memory) kept_blocks().give(std::move(block_));
      block_ = kept_blocks().take(bytes);
    }
    count_ = count;
  }
  template <typename Iterator>
  void assign(Iterator first, Iterator last) {
    resize(last - first);
    std::copy(first, last, begin());
  }
  void swap(Buffer& other) {
    std::swap(count_, other.count_);
    std::swap(block_, other.block_);
  }

  T* data() {
    return reinterpret_cast<T*>(block_.memory.get());
  }
  T* begin() {
    return data();
  }
  T* end() {
    return data() + count_;
  }
  T& operator[](int64_t i) {
    return data()[i];
  }

 private:
  int64_t count_ = 0;
  ScratchBlock block_;
};

}  // namespace topo
