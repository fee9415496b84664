// Which queries of a ubatch are copied, and where to.
#include "llama/graph/query_tap.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

namespace vase {
namespace {

using testing::ElementsAre;
using Copied = std::tuple<int32_t, int64_t, int64_t, int32_t>;  // sequence, stream, token, slot

class Store final : public QueryStore {
 public:
  int32_t window() const override { return 4; }
  size_t bytes() const override { return 0; }
  void store(std::span<const LayerQueries>, std::span<const WantedQuery> wanted) noexcept override {
    for (const WantedQuery &query : wanted)
      copied.emplace_back(query.sequence, query.stream, query.token, query.slot);
  }
  std::vector<Copied> copied;
};

class QueryTapTest : public testing::Test {
 protected:
  QueryTapTest() {
    attention_.src[0] = &queries_;
    tap_.start(&store_, std::vector<const ggml_tensor *>{&queries_}, 0);
  }

  // One ubatch of `tokens` tokens of each sequence, in which the graph stops if it must.
  void run(const std::vector<int32_t> &sequences, int32_t tokens) {
    std::vector<Placement> placements;
    for (const int32_t sequence : sequences)
      for (int32_t i = 0; i < tokens; ++i) placements.push_back({sequence, i});
    tap_.begin_ubatch(placements);
    if (tap_.must_stop_at(0, &attention_)) tap_.store_stopped(0, &attention_);
  }

  Store store_;
  QueryTap tap_;
  ggml_tensor queries_{}, attention_{};
};

TEST_F(QueryTapTest, CopiesWhatIsWantedOfEachSequence) {
  tap_.begin_decode(
      std::vector<QueryWish>{{.tokens = 10, .from = 11}, {}, {.tokens = 3, .from = 0}});
  run({0, 1, 2}, 2);
  EXPECT_THAT(store_.copied,
              ElementsAre(Copied{0, 0, 1, 3}, Copied{2, 2, 0, 3}, Copied{2, 2, 1, 0}));
  store_.copied.clear();
  run({0}, 1);  // the next ubatch of the same decode
  EXPECT_THAT(store_.copied, ElementsAre(Copied{0, 0, 0, 0}));
}

TEST_F(QueryTapTest, StopsOnlyWhereAnythingIsWanted) {
  tap_.begin_decode(std::vector<QueryWish>{{.tokens = 0, .from = 100}});
  run({0}, 50);
  EXPECT_TRUE(store_.copied.empty());
  tap_.begin_decode({});
  run({0}, 50);
  EXPECT_TRUE(store_.copied.empty());
}

// Stores may copy in parallel, so no slot may come twice in a call.
TEST_F(QueryTapTest, OfMoreTokensThanSlotsCopiesTheNewest) {
  tap_.begin_decode(std::vector<QueryWish>{{.tokens = 0, .from = 0}, {.tokens = 2, .from = 0}});
  run({0, 1}, 9);
  EXPECT_THAT(store_.copied, ElementsAre(Copied{0, 0, 5, 1}, Copied{0, 0, 6, 2}, Copied{0, 0, 7, 3},
                                         Copied{0, 0, 8, 0}, Copied{1, 1, 5, 3}, Copied{1, 1, 6, 0},
                                         Copied{1, 1, 7, 1}, Copied{1, 1, 8, 2}));
}

}  // namespace
}  // namespace vase
