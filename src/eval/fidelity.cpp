#include "eval/fidelity.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <tuple>
#include <utility>

#include "core/thread_pool.hpp"
#include "eval/divergence.hpp"

namespace vase::eval {
namespace {

// What one position adds to a bucket, and, divided by their number, its means.
struct Sums {
  double kl = 0, nll = 0, nll_full = 0, same_top = 0;

  void add(const Sums &other, double weight = 1) {
    kl += weight * other.kl;
    nll += weight * other.nll;
    nll_full += weight * other.nll_full;
    same_top += weight * other.same_top;
  }
};

FidelityBucket bucket_of(const FidelityEntry &entry, std::int64_t from, std::int64_t to,
                         const Sums &sums) {
  Sums means;
  means.add(sums, 1 / static_cast<double>(to - from));
  return {.policy = entry.policy,
          .budget = entry.budget,
          .rows = entry.lane.params.budget,
          .from = from,
          .to = to,
          .kl = means.kl,
          .nll = means.nll,
          .nll_full = means.nll_full,
          .same_top = means.same_top};
}

// The lanes of one context and the entries that they stand for.
struct Group {
  std::vector<std::size_t> entries;
  Lanes lanes;
};

// Lanes of one context all evict, or all select, or neither, and agree on the query window; those
// without queries capture none.
std::vector<Group> make_groups(const FidelityPlan &plan) {
  std::map<std::tuple<bool, std::int32_t, bool>, std::vector<std::size_t>> by_needs;
  for (std::size_t i = 0; i < plan.entries.size(); ++i) {
    const vase_params &params = plan.entries[i].lane.params;
    const bool queries = vase_policy_needs_queries(params.policy) != 0;
    by_needs[{vase_policy_evicts(params.policy) != 0, queries ? params.window : 0,
              plan.entries[i].lane.selection.has_value()}]
        .push_back(i);
  }
  std::vector<Group> groups;
  for (const auto &[needs, entries] : by_needs) {
    std::vector<Lane> lanes;
    for (const std::size_t entry : entries) {
      lanes.push_back(plan.entries[entry].lane);
      lanes.back().n_prompt = plan.n_prompt;
      if (plan.n_prompt == 0) lanes.back().pin_prompt = 0;  // or the first step would be pinned
    }
    groups.push_back({entries, Lanes(plan.host, lanes)});
  }
  return groups;
}

Lanes make_reference(const FidelityPlan &plan) {
  LaneHost host = plan.host;
  host.context.type_k = host.context.type_v = GGML_TYPE_F16;
  return {host, {{.params = vase_params_default(vase_policy_full(), 1)}}};
}

void set_peaks(const std::vector<Group> &groups,
               std::vector<std::vector<FidelityBucket>> &buckets) {
  for (const Group &group : groups) {
    for (std::int32_t lane = 0; lane < group.lanes.size(); ++lane) {
      for (FidelityBucket &bucket : buckets[group.entries[static_cast<std::size_t>(lane)]]) {
        bucket.peak_kv_bytes = group.lanes.peak_kv_bytes(lane);
      }
    }
  }
}

// Sums of all entries up to the end of the open bucket, and the buckets that are closed.
class Buckets {
 public:
  explicit Buckets(const FidelityPlan &plan)
      : plan_(plan),
        sums_(plan.entries.size()),
        closed_(plan.entries.size()),
        from_(std::max<std::int64_t>(plan.n_prompt - 1, 0)),
        done_(from_) {}

  void add(const std::vector<Sums> &position) {
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i].add(position[i]);
    if (++done_ - from_ == plan_.bucket) close();
  }

  std::vector<FidelityBucket> finish(const std::vector<Group> &groups) {
    if (done_ > from_) close();
    set_peaks(groups, closed_);
    std::vector<FidelityBucket> all;
    for (const auto &buckets : closed_) all.insert(all.end(), buckets.begin(), buckets.end());
    return all;
  }

 private:
  void close() {
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      const Sums sums = std::exchange(sums_[i], {});
      closed_[i].push_back(bucket_of(plan_.entries[i], from_, done_, sums));
    }
    from_ = done_;
  }

  const FidelityPlan &plan_;
  std::vector<Sums> sums_;                           // [entries]
  std::vector<std::vector<FidelityBucket>> closed_;  // [entries]
  std::int64_t from_, done_;
};

// Where the logits of one position lie.
struct Position {
  const float *full = nullptr;
  std::vector<const float *> entries;  // [entries]
  llama_token next = 0;                // the token that follows in the text
};

std::vector<Sums> compare(const Position &position, std::size_t n_vocab) {
  const Logits full({position.full, n_vocab});
  std::vector<Sums> results;
  for (const float *entry : position.entries) {
    const Logits logits({entry, n_vocab});
    results.push_back({.kl = full.divergence_to(logits),
                       .nll = logits.nll(position.next),
                       .nll_full = full.nll(position.next),
                       .same_top = logits.likeliest() == full.likeliest() ? 1.0 : 0.0});
  }
  return results;
}

std::vector<Position> positions_of(const Lanes &full, const std::vector<Group> &groups,
                                   std::size_t n_entries, std::span<const llama_token> next) {
  std::vector<Position> positions;
  for (std::int32_t token = 0; token < std::ssize(next); ++token) {
    Position position{.full = full.logits(0, token),
                      .entries = std::vector<const float *>(n_entries),
                      .next = next[static_cast<std::size_t>(token)]};
    for (const Group &group : groups) {
      for (std::int32_t lane = 0; lane < group.lanes.size(); ++lane) {
        position.entries[group.entries[static_cast<std::size_t>(lane)]] =
            group.lanes.logits(lane, token);
      }
    }
    positions.push_back(std::move(position));
  }
  return positions;
}

// Tokens of the next step: within it no cache evicts, and the prompt's end is the end of a step.
std::int64_t step_length(const FidelityPlan &plan, const Lanes &full,
                         const std::vector<Group> &groups, std::int64_t done) {
  const std::int64_t end = done < plan.n_prompt ? plan.n_prompt : std::ssize(plan.tokens) - 1;
  std::int64_t count = std::min<std::int64_t>(plan.host.chunk, end - done);
  count = std::min(count, full.largest_step());
  for (const Group &group : groups) count = std::min(count, group.lanes.largest_step());
  return count;
}

// One result for each position, in parallel.
std::vector<std::vector<Sums>> compare_all(const std::vector<Position> &positions,
                                           std::size_t n_vocab, ThreadPool &pool) {
  std::vector<std::vector<Sums>> results(positions.size());
  pool.parallel_for(static_cast<int>(positions.size()), [&](int index, int) {
    const auto i = static_cast<std::size_t>(index);
    results[i] = compare(positions[i], n_vocab);
  });
  return results;
}

}  // namespace

std::vector<FidelityBucket> measure_fidelity(const FidelityPlan &plan) {
  Lanes full = make_reference(plan);
  std::vector<Group> groups = make_groups(plan);
  Buckets buckets(plan);
  ThreadPool pool(std::max(plan.host.context.n_threads, 1));
  const auto text = std::span(plan.tokens);
  const auto total = std::ssize(text) - 1;  // the last token predicts nothing in the text
  for (std::int64_t done = 0; done < total;) {
    const std::int64_t count = step_length(plan, full, groups, done);
    const auto first = static_cast<std::size_t>(done);
    const auto tokens = text.subspan(first, static_cast<std::size_t>(count));
    try {
      full.decode(tokens);
      for (Group &group : groups) group.lanes.decode(tokens);
    } catch (const Stopped &) {
      break;
    }
    done += count;
    if (done == plan.n_prompt) {
      for (Group &group : groups) group.lanes.set_prompt_end();
    }
    if (done >= plan.n_prompt) {
      std::vector<Position> positions =
          positions_of(full, groups, plan.entries.size(), text.subspan(first + 1, tokens.size()));
      if (done == plan.n_prompt) positions.erase(positions.begin(), positions.end() - 1);
      for (const auto &result : compare_all(positions, plan.n_vocab, pool)) buckets.add(result);
    }
    if (!plan.progress(done, total)) break;
  }
  return buckets.finish(groups);
}

std::vector<FidelityBucket> overall(const std::vector<FidelityBucket> &buckets) {
  std::vector<FidelityBucket> totals;
  for (const FidelityBucket &bucket : buckets) {
    const bool same = !totals.empty() && totals.back().policy == bucket.policy &&
                      totals.back().budget == bucket.budget;
    if (!same) {
      totals.push_back(bucket);
      continue;
    }
    FidelityBucket &total = totals.back();
    const auto before = static_cast<double>(total.to - total.from);
    const double share = 1 - before / static_cast<double>(bucket.to - total.from);
    total.kl += share * (bucket.kl - total.kl);
    total.nll += share * (bucket.nll - total.nll);
    total.nll_full += share * (bucket.nll_full - total.nll_full);
    total.same_top += share * (bucket.same_top - total.same_top);
    total.to = bucket.to;
  }
  return totals;
}

nlohmann::ordered_json to_json(const FidelityBucket &bucket) {
  return {{"policy", bucket.policy},
          {"budget", bucket.budget},
          {"rows", bucket.rows},
          {"from", bucket.from},
          {"to", bucket.to},
          {"kl", bucket.kl},
          {"nll", bucket.nll},
          {"nll_full", bucket.nll_full},
          {"same_top", bucket.same_top},
          {"peak_kv_bytes", bucket.peak_kv_bytes}};
}

FidelityBucket bucket_from_json(const nlohmann::json &line) {
  return {.policy = line.at("policy"),
          .budget = line.at("budget"),
          .rows = line.at("rows"),
          .from = line.at("from"),
          .to = line.at("to"),
          .kl = line.at("kl"),
          .nll = line.at("nll"),
          .nll_full = line.at("nll_full"),
          .same_top = line.at("same_top"),
          .peak_kv_bytes = line.value("peak_kv_bytes", std::int64_t{0})};
}

}  // namespace vase::eval
