#include "interpose/report.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace vase::interpose {
namespace {

double seconds(const std::atomic<int64_t> &microseconds) {
  return static_cast<double>(microseconds.load()) / 1e6;
}

// Says at the end of the process what was done. A program that made no context has nothing to say
// about: it may be a shell, or a tool that only reads a model.
struct Farewell {
  ~Farewell() {
    const Counts &all = counts();
    if (all.contexts == 0) return;
    const double evicting = seconds(all.eviction_microseconds),
                 decoding = seconds(all.decode_microseconds);
    say(
        fmt::format("{} tokens decoded, {} evictions in {:.2f} s ({:.1f}% of decoding), {} rows "
                    "moved; {} sequences put aside, {} taken back",
                    all.tokens.load(), all.evictions.load(), evicting,
                    decoding > 0 ? 100 * evicting / decoding : 0.0, all.rows_moved.load(),
                    all.snapshots.load(), all.restored.load()));
  }
};

}  // namespace

void say(const std::string &line) { std::fprintf(stderr, "vase exec: %s\n", line.c_str()); }

Counts &counts() {
  static auto *const all = new Counts;
  static const Farewell farewell;
  return *all;
}

}  // namespace vase::interpose
