// The ledger against a simple model of llama.cpp's cells: each cell has a label and, of every head,
// the token whose row it holds.
#include "llama/keeper/ledger.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>

#include "vase/llama.hpp"

namespace vase::tests {
namespace {

constexpr int32_t kSequences = 3, kHeads = 3, kBudget = 12, kCells = 24;
constexpr int32_t kRecency = 4;

class CellModel {
 public:
  struct Cell {
    std::optional<int64_t> label;
    std::vector<int64_t> row = std::vector<int64_t>(kHeads, -1);  // token of each head
    std::vector<float> sum = std::vector<float>(kHeads);  // what was found of that row so far
  };

  int64_t tokens() const { return tokens_; }
  int32_t used() const {
    return static_cast<int32_t>(
        std::ranges::count_if(cells_, [](const Cell &cell) { return cell.label.has_value(); }));
  }
  // Any free cell: llama.cpp may take another than one would think.
  int32_t append(std::mt19937 &random) {
    std::vector<int32_t> free;
    for (int32_t i = 0; i < kCells; ++i)
      if (!cells_[static_cast<size_t>(i)].label) free.push_back(i);
    const int32_t chosen = free[random() % free.size()];
    cells_[static_cast<size_t>(chosen)] = {tokens_, std::vector<int64_t>(kHeads, tokens_),
                                           std::vector<float>(kHeads)};
    ++tokens_;
    return chosen;
  }
  // As llama_memory_seq_rm: by label, whatever lies in the cell.
  void remove(int64_t first, int64_t end) {
    for (Cell &cell : cells_)
      if (cell.label && *cell.label >= first && *cell.label < end) cell.label.reset();
  }
  void forget_tokens_from(int64_t tokens) {
    remove(tokens, tokens_);
    tokens_ = tokens;
  }
  void clear() { *this = {}; }
  std::vector<int32_t> by_label() const {
    std::map<int64_t, int32_t> order;
    for (int32_t i = 0; i < kCells; ++i)
      if (const auto &label = cells_[static_cast<size_t>(i)].label) order[*label] = i;
    std::vector<int32_t> cells;
    for (const auto &[label, cell] : order) cells.push_back(cell);
    return cells;
  }
  Cell &at(int32_t cell) { return cells_[static_cast<size_t>(cell)]; }
  const Cell &at(int32_t cell) const { return cells_[static_cast<size_t>(cell)]; }

  // The first token from which on all labels tell the truth in all heads.
  int64_t first_own() const {
    int64_t first = tokens_;
    const std::vector<int32_t> order = by_label();
    for (auto cell = order.rbegin(); cell != order.rend(); ++cell) {
      const Cell &own = at(*cell);
      if (std::ranges::any_of(own.row, [&](int64_t token) { return token != *own.label; })) break;
      first = *own.label;
    }
    return first;
  }

 private:
  std::vector<Cell> cells_ = std::vector<Cell>(kCells);
  int64_t tokens_ = 0;
};

// Evicts from both: each head keeps rows of its own choice and the newest kRecency tokens, and
// moves those in the oldest cells into cells of rows that it gives up. If `sums_up`, something is
// found of each row first; else what was found before is forgotten.
void evict(CellModel &model, Ledger &ledger, int32_t sequence, std::mt19937 &random,
           bool sums_up = false) {
  SequenceRows &rows = ledger.rows_to_evict(sequence);
  const std::vector<int32_t> order = model.by_label();
  const auto n = static_cast<int32_t>(order.size());
  const int32_t freed = n - kBudget;
  rows.keep_sums(sums_up);
  for (int32_t head = 0; head < kHeads; ++head) {
    const auto h = static_cast<size_t>(head);
    for (const int32_t cell : order) {
      float &sum = model.at(cell).sum[h];
      sum = sums_up ? sum + static_cast<float>(random() % 100) : 0.0f;
    }
    std::vector<int32_t> choice(order.size());
    for (int32_t i = 0; i < n; ++i) choice[static_cast<size_t>(i)] = i;
    std::ranges::shuffle(choice, random);
    const auto recent = [&](int32_t i) {
      return model.at(order[static_cast<size_t>(i)]).row[h] >= model.tokens() - kRecency;
    };
    std::ranges::stable_partition(choice, recent);  // kept first
    std::vector<bool> keep(order.size());
    for (int32_t i = 0; i < kBudget; ++i)
      keep[static_cast<size_t>(choice[static_cast<size_t>(i)])] = true;
    int32_t hole = freed;
    for (int32_t i = 0; i < freed; ++i) {
      if (!keep[static_cast<size_t>(i)]) continue;
      while (keep[static_cast<size_t>(hole)]) ++hole;
      CellModel::Cell &to = model.at(order[static_cast<size_t>(hole)]);
      const CellModel::Cell &from = model.at(order[static_cast<size_t>(i)]);
      to.row[h] = from.row[h];
      to.sum[h] = from.sum[h];
      ++hole;
    }
    std::vector<int32_t> positions;
    for (const int32_t cell : order)
      positions.push_back(static_cast<int32_t>(model.at(cell).row[h]));
    rows.set_survivors(head, positions, freed);
    if (!sums_up) continue;
    std::vector<float> sums;
    for (const int32_t cell : order) sums.push_back(model.at(cell).sum[h]);
    rows.set_sums(head, sums, freed);
  }
  model.remove(0, model.tokens() - kBudget);
  rows.drop_oldest(freed);
  ledger.add_eviction(sequence, 1);
}

void expect_same(const CellModel &model, const Ledger &ledger, int32_t sequence) {
  const SequenceRows &rows = ledger.rows(sequence);
  ASSERT_EQ(rows.tokens(), model.tokens());
  ASSERT_EQ(rows.rows(), model.used());
  const std::vector<int32_t> cells = model.by_label();
  ASSERT_TRUE(std::ranges::equal(rows.cells(), cells));
  ASSERT_EQ(rows.oldest_label(),
            rows.rows() == 0 ? model.tokens() : *model.at(cells.front()).label);
  for (int32_t head = 0; head < kHeads; ++head) {
    std::vector<int32_t> positions(cells.size());
    rows.positions(head, positions);
    for (size_t i = 0; i < cells.size(); ++i)
      ASSERT_EQ(positions[i], model.at(cells[i]).row[static_cast<size_t>(head)]) << "row " << i;
    std::vector<float> sums(cells.size());
    rows.sums(head, sums);
    for (size_t i = 0; i < cells.size(); ++i)
      ASSERT_EQ(sums[i], model.at(cells[i]).sum[static_cast<size_t>(head)]) << "row " << i;
  }
  if (rows.rows() == 0) return;
  ASSERT_EQ(ledger.first_own(sequence), model.first_own());
}

TEST(LedgerProperty, SaysWhatLiesInTheCellsWhateverIsDone) {
  int refused = 0, truncated = 0;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<CellModel> models(kSequences);
    Ledger ledger(kSequences, kHeads, kBudget, kCells);
    std::vector<int64_t> evictions(kSequences);
    for (int step = 0; step < 600; ++step) {
      const auto s = static_cast<int32_t>(random() % kSequences);
      CellModel &model = models[static_cast<size_t>(s)];
      const auto what = static_cast<int32_t>(random() % 100);
      if (what < 80) {
        if (model.used() == kCells) {
          evict(model, ledger, s, random, random() % 8 != 0);
          ++evictions[static_cast<size_t>(s)];
        }
        ledger.append({s, model.append(random)});
      } else if (what < 84 && model.used() > kBudget) {
        evict(model, ledger, s, random, true);
        ++evictions[static_cast<size_t>(s)];
      } else if (what < 92 && model.tokens() > 0) {
        const auto back = static_cast<int64_t>(1 + random() % 8);
        const int64_t to = std::max<int64_t>(0, model.tokens() - back);
        if (to < model.first_own()) {
          EXPECT_THROW(ledger.truncate(s, to), Error);
          ++refused;
        } else {
          ledger.truncate(s, to);
          model.forget_tokens_from(to);
          ++truncated;
        }
      } else if (what < 95) {
        const auto to = static_cast<int32_t>(random() % kSequences);
        ledger.copy(s, to);
        models[static_cast<size_t>(to)] = model;
        evictions[static_cast<size_t>(to)] = evictions[static_cast<size_t>(s)];
      } else if (what < 96) {
        ledger.clear(s);
        model.clear();
        evictions[static_cast<size_t>(s)] = 0;
      } else {
        // Through plain data into a ledger that held something else.
        Ledger other(kSequences, kHeads, kBudget, kCells);
        for (int32_t cell = 0; cell < 5; ++cell) other.append({s, cell});
        other.restore(s, ledger.save(s));
        expect_same(model, other, s);
        ledger.restore(s, other.save(s));
      }
      for (int32_t each = 0; each < kSequences; ++each) {
        expect_same(models[static_cast<size_t>(each)], ledger, each);
        if (testing::Test::HasFatalFailure()) return;
        ASSERT_EQ(ledger.evictions(each), evictions[static_cast<size_t>(each)]);
      }
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(truncated, 1000);
}

// Where survivors are kept elsewhere, first_own() may be later than need be, never earlier.
TEST(LedgerProperty, OfADeviceNeverPromisesARowThatMoved) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    CellModel model;
    Ledger known(1, kHeads, kBudget, kCells), device(1, 0, 0, kCells);
    for (int step = 0; step < 400; ++step) {
      if (model.used() == kCells || (model.used() > kBudget && random() % 8 == 0)) {
        const int32_t freed = model.used() - kBudget;
        evict(model, known, 0, random);
        device.rows_to_evict(0).drop_oldest(freed, kRecency);
      }
      const int32_t cell = model.append(random);
      known.append({0, cell});
      device.append({0, cell});
      ASSERT_GE(device.first_own(0), model.first_own());
      ASSERT_LE(device.first_own(0), model.tokens());
      ASSERT_TRUE(std::ranges::equal(device.rows(0).cells(), known.rows(0).cells()));
    }
    EXPECT_GE(device.first_own(0), model.tokens() - kCells);
  }
}

TEST(Ledger, TakesThePromptBackWithItsTokens) {
  Ledger ledger(1, 1, 4, 8);
  for (int32_t cell = 0; cell < 6; ++cell) ledger.append({0, cell});
  ledger.set_prompts(0, {.newest_end = 5});
  ledger.truncate(0, 5);
  EXPECT_EQ(ledger.prompts(0).newest_end, 5);
  ledger.truncate(0, 3);
  EXPECT_EQ(ledger.prompts(0).newest_end, 3);
  ledger.truncate(0, 7);  // there are none from 7 on
  EXPECT_EQ(ledger.tokens(0), 3);
}

TEST(Ledger, ATurnLeavesTheFirstPromptWhereItWas) {
  Ledger ledger(1, 1, 4, 16);
  for (int32_t cell = 0; cell < 12; ++cell) ledger.append({0, cell});
  ledger.set_prompts(0, {.newest_end = 5});
  ledger.begin_turn(0);
  EXPECT_EQ(ledger.prompts(0).first_end, 5);
  EXPECT_EQ(ledger.prompts(0).newest_begin, 12);
  ledger.begin_turn(0);
  EXPECT_EQ(ledger.prompts(0).first_end, 5);
  ledger.truncate(0, 9);
  EXPECT_EQ(ledger.prompts(0).first_end, 5);
  EXPECT_EQ(ledger.prompts(0).newest_begin, 9);
  ledger.truncate(0, 3);  // into the first
  EXPECT_EQ(ledger.prompts(0).first_end, 0);
  EXPECT_EQ(ledger.prompts(0).newest_begin, 0);
}

TEST(Ledger, RefusesWhatDoesNotFit) {
  Ledger large(1, 2, 4, 8), small(1, 2, 4, 4), narrow(1, 1, 4, 8);
  for (int32_t cell = 0; cell < 6; ++cell) large.append({0, cell});
  small.append({0, 3});
  EXPECT_THROW(small.restore(0, large.save(0)), Error);
  EXPECT_EQ(small.tokens(0), 1);
  EXPECT_EQ(small.rows(0).cells().front(), 3);
  Ledger::Record record = large.save(0);
  record.rows.n_survivors = 2;  // of no head
  EXPECT_THROW(narrow.restore(0, record), Error);
  record = large.save(0);
  record.rows.cells.front() = 8;
  EXPECT_THROW(narrow.restore(0, record), Error);
  EXPECT_THROW(large.tokens(1), Error);
  EXPECT_THROW(large.append({-1, 0}), Error);
}

}  // namespace
}  // namespace vase::tests
