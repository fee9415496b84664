#include "eval/question_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "eval/shared_format.hpp"
#include "eval/text_file.hpp"
#include "tasks/problem_file.hpp"
#include "tasks/registry.hpp"
#include "vase/llama.hpp"

namespace vase::eval {
namespace {

using nlohmann::json;

bool named(const std::vector<std::string> &names, std::string_view name) {
  return std::ranges::any_of(names, [&](const auto &n) { return n == "all" || n == name; });
}

Question question_of(const tasks::Problem &problem) {
  // Half as much again as the longest right chain: who needs more is lost.
  const int limit = tasks::lengths_of(problem.tier).max_chain * 3 / 2 + 64;
  return {.id = problem.id,
          .task = problem.task,
          .tier = std::string(tasks::name_of(problem.tier)),
          .text = problem.question,
          .expected = problem.answer,
          .grader = Grader::reasoner,
          .limit = limit};
}

std::vector<const tasks::Task *> tasks_named(const std::vector<std::string> &names) {
  for (const std::string &name : names) {
    if (name == "all" || tasks::find_task(name) != nullptr) continue;
    throw Error(fmt::format("no task is called \"{}\"; `vase tasks list` names them", name));
  }
  std::vector<const tasks::Task *> found;
  for (const tasks::Task &task : tasks::all_tasks()) {
    if (named(names, task.name)) found.push_back(&task);
  }
  return found;
}

std::vector<tasks::Tier> tiers_named(const std::vector<std::string> &names) {
  for (const std::string &name : names) {
    if (name == "all" || tasks::tier_from_name(name)) continue;
    throw Error(fmt::format("no tier is called \"{}\"; there are 1k, 2k, 4k, 8k and all", name));
  }
  std::vector<tasks::Tier> found;
  for (const tasks::Tier tier : tasks::kAllTiers) {
    if (named(names, tasks::name_of(tier))) found.push_back(tier);
  }
  return found;
}

// The objects of a file with their line numbers.
std::vector<std::pair<int, json>> objects_of(const std::string &text) {
  std::vector<std::pair<int, json>> objects;
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first != text.npos && text[first] == '[') {
    for (json &object : json::parse(text)) {
      objects.emplace_back(static_cast<int>(objects.size()) + 1, std::move(object));
    }
    return objects;
  }
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    try {
      objects.emplace_back(number, json::parse(line));
    } catch (const json::exception &error) {
      throw Error(fmt::format("line {}: {}", number, error.what()));
    }
  }
  return objects;
}

Question read_one(const json &object, int number, const std::string &task) {
  try {
    if (!object.is_object()) throw Error("not a JSON object");
    if (object.contains("tier") && object.contains("seed")) {
      std::istringstream line(object.dump());
      return question_of(tasks::read_problems(line).at(0));
    }
    Question question = read_shared(object, task);
    if (question.id.empty()) question.id = fmt::format("{}-{}", task, number);
    return question;
  } catch (const std::exception &error) {
    throw Error(fmt::format("line {}: {}", number, error.what()));
  }
}

// One rule for the whole file, so that a set that holds fractions is not graded in two ways.
void choose_graders(std::vector<Question> &questions, std::optional<Grader> grader) {
  const bool all_numbers = std::ranges::all_of(questions, [](const Question &q) {
    return q.grader != Grader::latex || is_number(q.expected);
  });
  for (Question &question : questions) {
    if (question.grader == Grader::reasoner) continue;
    if (grader) {
      question.grader = *grader;
    } else if (question.grader == Grader::latex && all_numbers) {
      question.grader = Grader::number;
    }
    question.text += instruction_for(question.grader);
  }
}

}  // namespace

std::vector<Question> make_questions(const TaskSelection &selection) {
  const auto split = tasks::split_from_name(selection.split);
  if (!split) {
    throw Error(
        fmt::format("no split is called \"{}\"; there are train, tune and test", selection.split));
  }
  std::vector<Question> questions;
  const std::vector<tasks::Tier> tiers = tiers_named(selection.tiers);
  for (const tasks::Task *task : tasks_named(selection.tasks)) {
    for (const tasks::Tier tier : tiers) {
      for (const tasks::Problem &problem :
           tasks::make_problems(*task, tier, *split, selection.seed, selection.count)) {
        questions.push_back(question_of(problem));
      }
    }
  }
  return questions;
}

std::vector<Question> read_questions(const std::filesystem::path &path,
                                     std::optional<Grader> grader) {
  const std::string text = read_text_file(path);
  std::vector<Question> questions;
  try {
    for (const auto &[number, object] : objects_of(text)) {
      questions.push_back(read_one(object, number, path.stem().string()));
    }
  } catch (const std::exception &error) {
    throw Error(fmt::format("{}, {}", path.string(), error.what()));
  }
  if (questions.empty()) throw Error(fmt::format("{} holds no questions", path.string()));
  choose_graders(questions, grader);
  std::set<std::string> ids;
  for (const Question &question : questions) {
    if (!ids.insert(question.id).second) {
      throw Error(fmt::format("{}: two questions have the id \"{}\"", path.string(), question.id));
    }
  }
  return questions;
}

std::vector<Question> select(std::vector<Question> questions, const TaskSelection &selection) {
  std::map<std::string, int> taken;
  std::erase_if(questions, [&](const Question &q) {
    if (!named(selection.tasks, q.task)) return true;
    if (!q.tier.empty() && !named(selection.tiers, q.tier)) return true;
    return ++taken[group_of(q.task, q.tier)] > selection.count;
  });
  if (questions.empty()) {
    throw Error("no question is left: the files hold none of the tasks and tiers asked for");
  }
  return questions;
}

}  // namespace vase::eval
