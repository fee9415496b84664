#include "cli/replica_speed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "eval/text_file.hpp"
#include "vase/llama.hpp"

namespace vase::cli {

ReplicaSpeed parse_bench(const std::string &text, const std::string &name) {
  ReplicaSpeed speed;
  try {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const nlohmann::json bench = nlohmann::json::parse(line);
      const auto sequences = bench.at("sequences").get<std::int32_t>();
      const auto &window = bench.at("depths").back().at("bounded");
      speed.steps.push_back({.at_work = sequences,
                             .seconds = sequences / window.at("tokens_per_second").get<double>()});
      if (sequences < speed.slots) continue;
      speed.slots = sequences;
      speed.prompt_tokens_per_second = window.at("prompt").at("tokens_per_second").get<double>();
    }
  } catch (const nlohmann::json::exception &) {
    speed.slots = 0;
  }
  if (speed.slots == 0) throw Error(fmt::format("{} is not what `vase bench --json` writes", name));
  std::ranges::sort(speed.steps, {}, &StepTime::at_work);
  return speed;
}

ReplicaSpeed read_bench(const std::string &path) {
  return parse_bench(eval::read_text_file(path), path);
}

}  // namespace vase::cli
