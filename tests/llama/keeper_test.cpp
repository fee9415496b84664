// The keeper with labels and an evictor that do as they are told, to see what it does when they
// fail.
#include "llama/keeper/keeper.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "contexts.hpp"

namespace vase::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Calls {
  std::vector<std::tuple<int32_t, int64_t, int64_t>> removed;
  std::set<int32_t> stuck;  // sequences whose labels cannot be freed
  int cleared = 0;
};

class FakeLabels final : public Labels {
 public:
  explicit FakeLabels(Calls &calls) : calls_(calls) {}
  bool remove(int32_t sequence, int64_t first, int64_t end) override {
    calls_.removed.emplace_back(sequence, first, end);
    return !calls_.stuck.contains(sequence);
  }
  void copy(int32_t, int32_t) override {}
  void clear(bool) override { ++calls_.cleared; }

 private:
  Calls &calls_;
};

// Keeps the newest rows.
class FakeEvictor final : public Evictor {
 public:
  explicit FakeEvictor(const std::set<int32_t> &refused) : refused_(refused) {}
  int32_t survivor_heads() const override { return 1; }
  QueryStore *queries() override { return nullptr; }
  size_t bytes() const override { return 0; }
  void reserve(const vase_params &) override {}
  void copy(int32_t, int32_t) override {}
  KeptOfSequence save(int32_t, const SequenceRows &) const override { return {}; }
  void restore(int32_t, const SequenceRows &, const KeptOfSequence &) override {}
  void evict(std::span<Eviction> evictions, const FreeLabels &free_labels) override {
    for (Eviction &eviction : evictions) {
      if (refused_.contains(eviction.stream)) throw Error("refused");
      const int32_t freed = eviction.rows->rows() - eviction.params.budget;
      if (!free_labels(eviction, freed)) continue;
      std::vector<int32_t> own(static_cast<size_t>(eviction.rows->rows()));
      eviction.rows->positions(0, own);
      eviction.rows->set_survivors(0, own, freed);
      eviction.rows->drop_oldest(freed);
      eviction.moved = 2;
      eviction.done = true;
    }
  }
  std::vector<int32_t> positions(int32_t, size_t, int32_t head,
                                 const SequenceRows &rows) const override {
    std::vector<int32_t> positions(static_cast<size_t>(rows.rows()));
    rows.positions(head, positions);
    return positions;
  }

 private:
  const std::set<int32_t> &refused_;
};

class KeeperTest : public testing::Test {
 protected:
  static constexpr int32_t kBudget = 96, kInterval = 32, kCells = 256;

  KeeperTest()
      : keeper_({options_for("vase-plus", kBudget).policy, 0.0f, 3, kCells},
                std::make_unique<FakeLabels>(calls_), nullptr,
                std::make_unique<FakeEvictor>(refused_)) {}

  void decode(const std::vector<llama_seq_id> &sequences, bool succeeds = true,
              const std::vector<int32_t> &passing = {}) {
    keeper_.before_decode({.sequences = sequences, .passing = passing});
    keeper_.after_decode(succeeds);
  }
  void feed(int32_t sequence, int32_t tokens) {
    decode(std::vector<llama_seq_id>(static_cast<size_t>(tokens), sequence));
  }
  int64_t tokens(int32_t sequence) const { return keeper_.ledger().tokens(sequence); }
  int32_t rows(int32_t sequence) const { return keeper_.ledger().rows(sequence).rows(); }
  std::string error_of(const std::function<void()> &call) {
    try {
      call();
    } catch (const Error &error) {
      return error.what();
    }
    return "";
  }

  Calls calls_;
  std::set<int32_t> refused_;
  Keeper keeper_;
};

TEST_F(KeeperTest, SettlesWhatIsDueOfThoseItIsGiven) {
  feed(0, kBudget + kInterval);
  feed(1, kBudget + kInterval - 1);
  feed(2, kBudget + kInterval);
  keeper_.settle(std::vector<int32_t>{0, 1}, When::kFull);
  EXPECT_TRUE(calls_.removed.empty());
  keeper_.settle(std::vector<int32_t>{0, 1}, When::kDue);
  EXPECT_THAT(calls_.removed, ElementsAre(std::tuple(0, 0, kInterval)));
  EXPECT_EQ(rows(0), kBudget);
  EXPECT_EQ(rows(1), kBudget + kInterval - 1);
  EXPECT_EQ(rows(2), kBudget + kInterval);
  EXPECT_EQ(keeper_.ledger().evictions(0), 1);
  EXPECT_EQ(keeper_.ledger().rows_moved(0), 2);
}

TEST_F(KeeperTest, LeavesASequenceAsItWasWhoseLabelsStay) {
  for (const int32_t sequence : {0, 1, 2}) feed(sequence, kBudget + kInterval);
  calls_.stuck = {1};
  const std::string error = error_of([&] {
    keeper_.settle(std::vector<int32_t>{0, 1, 2}, When::kDue);
  });
  EXPECT_THAT(error, HasSubstr("positions 0 to 31 of sequence 1"));
  EXPECT_EQ(rows(1), kBudget + kInterval);
  EXPECT_EQ(keeper_.ledger().evictions(1), 0);
  for (const int32_t sequence : {0, 2}) {
    EXPECT_EQ(rows(sequence), kBudget);
    EXPECT_EQ(keeper_.ledger().evictions(sequence), 1);
  }
  calls_.stuck.clear();  // and it can be tried again
  keeper_.settle(std::vector<int32_t>{1}, When::kDue);
  EXPECT_EQ(rows(1), kBudget);
}

TEST_F(KeeperTest, CountsWhatWasEvictedBeforeAnError) {
  for (const int32_t sequence : {0, 1}) feed(sequence, kBudget + kInterval);
  refused_ = {1};
  EXPECT_THROW(keeper_.settle(std::vector<int32_t>{0, 1}, When::kDue), Error);
  EXPECT_EQ(keeper_.ledger().evictions(0), 1);
  EXPECT_EQ(rows(0), kBudget);
  EXPECT_EQ(keeper_.ledger().evictions(1), 0);
  EXPECT_EQ(rows(1), kBudget + kInterval);
}

TEST_F(KeeperTest, AFailedDecodeLeavesNoToken) {
  feed(0, 10);
  decode({0, 0, 2}, false);
  EXPECT_EQ(tokens(0), 10);
  EXPECT_EQ(tokens(2), 0);
  EXPECT_THAT(calls_.removed,
              ElementsAre(std::tuple(0, 10, kAllLabels), std::tuple(2, 0, kAllLabels)));
  calls_.stuck = {2};
  EXPECT_THAT(error_of([&] { decode({0, 2}, false); }), HasSubstr("sequence 2"));
}

// A batch that nobody knows may have held any sequence.
TEST_F(KeeperTest, AFailedDecodeOfAnUnknownBatchIsTakenBackEverywhere) {
  feed(1, 4);
  decode({}, false);
  EXPECT_THAT(calls_.removed,
              ElementsAre(std::tuple(0, 0, kAllLabels), std::tuple(1, 4, kAllLabels),
                          std::tuple(2, 0, kAllLabels)));
}

TEST_F(KeeperTest, PassingTokensAreNotKept) {
  feed(1, 5);
  decode({0, 1, 2}, true, {1});
  EXPECT_EQ(tokens(0), 1);
  EXPECT_EQ(tokens(1), 5);
  EXPECT_THAT(calls_.removed, ElementsAre(std::tuple(1, 5, kAllLabels)));
  calls_.stuck = {1};
  EXPECT_THAT(error_of([&] { decode({0, 1, 2}, true, {1}); }), HasSubstr("sequence 1"));
  EXPECT_EQ(tokens(0), 2);  // what was to stay is counted all the same
}

TEST_F(KeeperTest, TakesBackOnlyWhatIsStillInItsPlace) {
  feed(0, kBudget + kInterval);
  keeper_.settle(std::vector<int32_t>{0}, When::kDue);
  feed(0, 10);
  const int64_t all = kBudget + kInterval + 10, first = keeper_.ledger().first_own(0);
  EXPECT_EQ(first, kInterval);  // the fake moves nothing
  calls_.removed.clear();
  EXPECT_FALSE(keeper_.seq_rm(0, first - 1, -1));
  EXPECT_FALSE(keeper_.seq_rm(0, all - 5, all - 2));  // a hole
  EXPECT_TRUE(keeper_.seq_rm(0, all, -1));            // nothing
  EXPECT_TRUE(calls_.removed.empty());
  EXPECT_TRUE(keeper_.seq_rm(0, all - 3, -1));
  EXPECT_EQ(tokens(0), all - 3);
  calls_.stuck = {0};
  EXPECT_FALSE(keeper_.seq_rm(0, all - 6, all));
  EXPECT_EQ(tokens(0), all - 3);
  calls_.stuck.clear();
  EXPECT_TRUE(keeper_.seq_rm(0, 0, -1));
  EXPECT_EQ(tokens(0), 0);
  EXPECT_EQ(keeper_.ledger().evictions(0), 0);
}

TEST_F(KeeperTest, ClearsTheMemoryOnlyWhereNothingElseIs) {
  feed(0, 3);
  feed(1, 3);
  calls_.stuck = {0};
  EXPECT_THROW(keeper_.clear(0), Error);
  EXPECT_EQ(tokens(0), 3);
  calls_.stuck.clear();
  keeper_.clear(0);
  EXPECT_EQ(tokens(0), 0);
  EXPECT_EQ(calls_.cleared, 0);
  keeper_.clear(1);
  EXPECT_EQ(calls_.cleared, 1);
  EXPECT_THROW(keeper_.clear(3), Error);
}

TEST_F(KeeperTest, ACopyIsEvictedFirstAndDrawsOnItsOwn) {
  feed(0, kBudget + kInterval);
  keeper_.set_params(0, options_for("random", kBudget).policy, 0.5f);
  keeper_.seq_cp(0, 2);
  EXPECT_EQ(rows(2), kBudget);
  EXPECT_EQ(keeper_.ledger().evictions(2), 1);
  EXPECT_EQ(keeper_.pin_prompt(2), 0.5f);
  EXPECT_EQ(keeper_.params(2).policy, vase_policy_find("random"));
  EXPECT_EQ(keeper_.params(1).policy, vase_policy_find("vase-plus"));
}

}  // namespace
}  // namespace vase::tests
