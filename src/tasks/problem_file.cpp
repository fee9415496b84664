#include "tasks/problem_file.hpp"

#include <cstdio>
#include <istream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace vase::tasks {

std::string to_json_line(const Problem& problem, bool with_chain) {
  char seed[17];
  std::snprintf(seed, sizeof seed, "%016llx", static_cast<unsigned long long>(problem.seed));
  nlohmann::ordered_json line = {
      {"id", problem.id}, {"task", problem.task},         {"tier", name_of(problem.tier)},
      {"seed", seed},     {"question", problem.question}, {"answer", problem.answer}};
  if (with_chain) line["chain"] = problem.chain;
  return line.dump();
}

std::vector<Problem> read_problems(std::istream& in) {
  std::vector<Problem> problems;
  std::string text;
  for (int number = 1; std::getline(in, text); ++number) {
    if (text.empty()) continue;
    try {
      const nlohmann::json line = nlohmann::json::parse(text);
      Problem problem;
      problem.id = line.at("id");
      problem.task = line.at("task");
      const auto tier = tier_from_name(line.at("tier").get<std::string>());
      if (!tier) throw std::runtime_error("no tier is called " + line.at("tier").dump());
      problem.tier = *tier;
      problem.seed = std::stoull(line.at("seed").get<std::string>(), nullptr, 16);
      problem.question = line.at("question");
      problem.chain = line.value("chain", "");
      problem.answer = line.at("answer");
      problems.push_back(std::move(problem));
    } catch (const std::exception& error) {
      throw std::runtime_error("line " + std::to_string(number) + ": " + error.what());
    }
  }
  return problems;
}

}  // namespace vase::tasks
