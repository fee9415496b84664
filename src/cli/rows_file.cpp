#include "cli/rows_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

namespace vase::cli {
namespace {

constexpr int kFormat = 1;

std::ofstream open_file(const std::string &path, std::ios::openmode mode) {
  errno = 0;
  std::ofstream file(path, mode | std::ios::binary);
  if (!file) throw Error(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  return file;
}

}  // namespace

KeptRows kept_rows(const BoundedContext &context, std::int32_t sequence,
                   std::span<const llama_token> tokens) {
  const SequenceStatistics statistics = context.statistics(sequence);
  tokens = tokens.first(std::min(tokens.size(), static_cast<std::size_t>(statistics.tokens)));
  KeptRows rows{.policy = context.params(sequence),
                .evictions = statistics.evictions,
                .tokens = {tokens.begin(), tokens.end()}};
  for (std::int32_t layer = 0; layer < context.bounded_layers(); ++layer) {
    auto &heads = rows.positions.emplace_back();
    for (std::int32_t head = 0; head < context.heads(layer); ++head) {
      std::ranges::sort(heads.emplace_back(context.positions(sequence, layer, head)));
    }
  }
  return rows;
}

void check_rows_file(const std::string &path) { open_file(path, std::ios::app); }

void write_rows_file(const std::string &path, const KeptRows &rows) {
  using Json = nlohmann::ordered_json;
  std::ofstream file = open_file(path, std::ios::trunc);
  file << Json{{"vase_rows", kFormat},         {"policy", vase_policy_name(rows.policy.policy)},
               {"budget", rows.policy.budget}, {"seed", rows.policy.seed},
               {"evictions", rows.evictions},  {"tokens", rows.tokens}}
       << '\n';
  for (std::size_t layer = 0; layer < rows.positions.size(); ++layer) {
    file << Json{{"layer", layer}, {"heads", rows.positions[layer]}} << '\n';
  }
  file.close();
  if (!file) throw Error(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
}

}  // namespace vase::cli
