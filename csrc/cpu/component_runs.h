// Connected components of one image on the CPU, by the runs of its rows: runs of neighbouring rows that touch are
// united. Cost: O(H W / 64) and O(1) per run.

#pragma once

#include "components.h"
#include "cpu/bits.h"
#include "cpu/components_simd.h"

namespace topo {

class ComponentRuns {
 public:
  explicit ComponentRuns(const ComponentParams& p)
      : p_(p),
        first_(p.height + 1),
        edges_(p.height * 2 * ((p.width + 1) / 2) + kEdgeSlack),
        labels_(p.height * ((p.width + 1) / 2)) {}

  // Finds the components of the set bits, or of the others, which are then adjacent across corners where set bits are
  // not.
  void find(const uint64_t* bits, bool background) {
    const int64_t words = words_of(p_.width);
    const bool diagonal = p_.diagonal != background;
    first_[0] = 0;
    for (int64_t y = 0; y < p_.height; ++y) {
      const int32_t first = first_[y];
      const uint64_t* row = bits + y * words;
      const int64_t found = TOPO_SIMD_CALL(find_runs, row, p_.width, background, edges_.data() + 2 * int64_t(first));
      first_[y + 1] = first + static_cast<int32_t>(found);
      for (int32_t run = first; run < first_[y + 1]; ++run) labels_[run] = run;
      if (y == 0) continue;
      TOPO_SIMD_CALL(unite_rows, y > 1 ? row - 2 * words : nullptr, row - words, row, p_.width, background, diagonal,
                     first_[y - 1], first, labels_.data());
    }
    number();
  }

  // 32 bits are enough: 2^15 rows of 2^14 runs.
  int64_t runs() {
    return first_[p_.height];
  }
  int64_t components() const {
    return count_;
  }
  int32_t first_run(int64_t y) {
    return first_[y];
  }
  int32_t begin(int64_t run) {
    return edges_[2 * run];
  }
  int32_t end(int64_t run) {
    return edges_[2 * run + 1];
  }
  // The component of a run: 1, 2, ...
  int32_t label(int64_t run) {
    return labels_[run];
  }
  const int32_t* labels() {
    return labels_.data();
  }

  // Adds up the pixels of each component: areas[label].
  void measure(Buffer<int32_t>& areas) {
    areas.resize(count_ + 1);
    std::fill(areas.begin(), areas.end(), 0);
    for (int64_t run = 0; run < runs(); ++run) areas[label(run)] += end(run) - begin(run);
  }

  // Writes one value per run, and 0 between them.
  void write(const int32_t* values, int32_t* out) {
    in_row_parts(p_.height, p_.width, [&](int64_t from, int64_t to) {
      for (int64_t y = from; y < to; ++y) {
        TOPO_SIMD_CALL(write_runs, edges_.data() + 2 * first_[y], first_[y + 1] - first_[y], values + first_[y],
                       p_.width, out + y * p_.width);
      }
    });
  }

 private:
  // Roots come before the other runs of their components, and are numbered in order.
  void number() {
    int32_t count = 0;
    for (int64_t run = 0; run < runs(); ++run) {
      const int32_t parent = labels_[run], theirs = labels_[parent];
      count += parent == run;
      labels_[run] = parent == run ? count : theirs;
    }
    count_ = count;
  }

  ComponentParams p_;
  Buffer<int32_t> first_;   // [H + 1], the first run of each row
  Buffer<uint16_t> edges_;  // of all runs
  Buffer<int32_t> labels_;  // until they are numbered, an earlier run of the component or the run itself
  int64_t count_ = 0;
};

}  // namespace topo
