#include "cli/tasks.hpp"

#include <cstdint>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "eval/text_file.hpp"
#include "tasks/grade.hpp"
#include "tasks/problem_file.hpp"
#include "tasks/registry.hpp"

namespace vase::cli {
namespace {

using tasks::Problem;
using tasks::Split;
using tasks::Task;
using tasks::Tier;

struct MakeOptions {
  std::string task = "all";
  std::string tier = "all";
  std::string split = "test";
  std::string output = "-";
  std::uint64_t seed = 1;
  int count = 64;
  bool with_chain = false;
};

struct GradeOptions {
  std::string problems;
  std::string answers;
};

[[noreturn]] void fail(const std::string& message) { throw std::runtime_error(message); }

std::vector<const Task*> tasks_named(const std::string& name) {
  std::vector<const Task*> found;
  for (const Task& task : tasks::all_tasks()) {
    if (name == "all" || name == task.name) found.push_back(&task);
  }
  if (found.empty()) fail("no task is called '" + name + "'; `vase tasks list` names them");
  return found;
}

std::vector<Tier> tiers_named(const std::string& name) {
  std::vector<Tier> found;
  for (const Tier tier : tasks::kAllTiers) {
    if (name == "all" || name == tasks::name_of(tier)) found.push_back(tier);
  }
  if (found.empty()) fail("no tier is called '" + name + "'; there are 1k, 2k, 4k, 8k and all");
  return found;
}

void write_problems(const MakeOptions& options, std::ostream& out) {
  const std::optional<Split> split = tasks::split_from_name(options.split);
  if (!split) fail("no split is called '" + options.split + "'; there are train, tune and test");
  const std::vector<Tier> tiers = tiers_named(options.tier);
  for (const Task* task : tasks_named(options.task)) {
    for (const Tier tier : tiers) {
      for (const Problem& problem :
           tasks::make_problems(*task, tier, *split, options.seed, options.count)) {
        out << tasks::to_json_line(problem, options.with_chain) << '\n';
      }
    }
  }
  out.flush();
  if (!out) fail("cannot write " + options.output);
}

void make(const MakeOptions& options) {
  if (options.output == "-") {
    write_problems(options, std::cout);
    return;
  }
  std::ofstream out(options.output, std::ios::binary);
  if (!out) fail("cannot write " + options.output);
  write_problems(options, out);
}

void list() {
  for (const Task& task : tasks::all_tasks()) {
    std::cout << task.name << std::string(12 - task.name.size(), ' ') << task.summary << '\n';
  }
}

/// Replies by problem id, from JSON lines with the fields id and reply.
std::map<std::string, std::string> read_replies(std::istream& in, const std::string& path) {
  std::map<std::string, std::string> replies;
  std::string text;
  for (int number = 1; std::getline(in, text); ++number) {
    if (text.empty()) continue;
    try {
      const nlohmann::json line = nlohmann::json::parse(text);
      replies[line.at("id").get<std::string>()] = line.at("reply").get<std::string>();
    } catch (const nlohmann::json::exception& error) {
      fail(path + ", line " + std::to_string(number) + ": " + error.what());
    }
  }
  return replies;
}

struct Score {
  int right = 0;
  int total = 0;
};

void grade(const GradeOptions& options) {
  std::istringstream problem_file(eval::read_text_file(options.problems));
  std::vector<Problem> problems;
  try {
    problems = tasks::read_problems(problem_file);
  } catch (const std::runtime_error& error) {
    fail(options.problems + ", " + error.what());
  }
  std::istringstream answer_file(eval::read_text_file(options.answers));
  const auto replies = read_replies(answer_file, options.answers);

  std::map<std::pair<std::string, Tier>, Score> scores;
  int missing = 0;
  for (const Problem& problem : problems) {
    const auto reply = replies.find(problem.id);
    if (reply == replies.end()) ++missing;
    Score& score = scores[{problem.task, problem.tier}];
    ++score.total;
    if (reply != replies.end() && tasks::is_correct(reply->second, problem.answer)) ++score.right;
  }
  for (const auto& [key, score] : scores) {
    std::cout << key.first << ' ' << tasks::name_of(key.second) << ' ' << score.right << '/'
              << score.total << '\n';
  }
  if (missing > 0) std::cout << missing << " problems have no reply and count as wrong\n";
}

/// Runs an action and turns its errors into a message and an exit status of 1.
template <typename Action>
void guarded(const Action& action) {
  try {
    action();
  } catch (const std::exception& error) {
    std::cerr << "vase tasks: " << error.what() << '\n';
    throw CLI::RuntimeError(1);
  }
}

}  // namespace

void add_tasks_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("tasks", "Make, list and grade reasoning problems");
  command->require_subcommand(1);

  CLI::App* make_command = command->add_subcommand("make", "Make problems from a seed");
  const auto options = std::make_shared<MakeOptions>();
  make_command->add_option("--task", options->task, "Task, or all")->capture_default_str();
  make_command->add_option("--tier", options->tier, "1k, 2k, 4k, 8k or all")->capture_default_str();
  make_command->add_option("--count", options->count, "Problems for each task and tier")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  make_command->add_option("--seed", options->seed, "Seed")->capture_default_str();
  make_command->add_option("--split", options->split, "train, tune or test")->capture_default_str();
  make_command->add_flag("--with-chain", options->with_chain, "Also write the worked solutions");
  make_command->add_option("-o,--output", options->output, "File to write, - for stdout")
      ->capture_default_str();
  make_command->callback([options] { guarded([&] { make(*options); }); });

  command->add_subcommand("list", "List the tasks")->callback([] { guarded(list); });

  CLI::App* grade_command =
      command->add_subcommand("grade", "Grade replies: JSON lines with the fields id and reply");
  const auto files = std::make_shared<GradeOptions>();
  grade_command->add_option("problems", files->problems, "Problems, from `make`")->required();
  grade_command->add_option("answers", files->answers, "Replies")->required();
  grade_command->callback([files] { guarded([&] { grade(*files); }); });
}

}  // namespace vase::cli
