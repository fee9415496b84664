#include "eval/question_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "eval/csv.hpp"
#include "eval/puzzle_format.hpp"
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

using Objects = std::vector<std::pair<int, json>>;

Objects numbered(json &list) {
  Objects objects;
  for (json &object : list) objects.emplace_back(std::ssize(objects) + 1, std::move(object));
  return objects;
}

// An object that holds the questions in its one list of objects, as BIG-Bench-Hard's "examples".
std::optional<Objects> objects_inside(json &whole) {
  json *found = nullptr;
  for (json &member : whole) {
    if (!member.is_array() || member.empty() || !member.front().is_object()) continue;
    if (found != nullptr) return std::nullopt;
    found = &member;
  }
  return found == nullptr ? std::nullopt : std::optional(numbered(*found));
}

void refuse_other_formats(const std::string &text) {
  using namespace std::string_view_literals;
  if (text.starts_with("PAR1")) {
    throw Error(
        "it is a Parquet file; JSON Lines are wanted: python3 -c 'import pandas, sys; "
        "pandas.read_parquet(sys.argv[1]).to_json(sys.argv[2], orient=\"records\", lines=True)' "
        "FILE.parquet FILE.jsonl");
  }
  for (const std::string_view packed : {"\x1f\x8b"sv,
                                        "\xfd"
                                        "7zXZ"sv,
                                        "PK\x03\x04"sv, "BZh"sv, "\x28\xb5\x2f\xfd"sv}) {
    if (text.starts_with(packed)) throw Error("it is compressed: unpack it first");
  }
}

// The objects of a file with their line numbers.
Objects objects_of(const std::string &text, const std::string &extension) {
  refuse_other_formats(text);
  if (extension == ".csv") return read_csv(text);
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first != text.npos && text[first] == '[') {
    json list = json::parse(text);
    return numbered(list);
  }
  if (json whole = json::parse(text, nullptr, false); whole.is_object()) {
    if (auto objects = objects_inside(whole)) return *objects;
    return {{1, std::move(whole)}};
  }
  Objects objects;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    try {
      objects.emplace_back(number, json::parse(line));
    } catch (const json::exception &error) {
      throw Error(
          fmt::format("line {}: {} (JSON Lines, JSON or CSV are wanted)", number, error.what()));
    }
  }
  return objects;
}

std::string id_of(const json &object) {
  for (const char *name : {"id", "index", "idx"}) {
    if (!object.contains(name)) continue;
    const json &id = object.at(name);
    if (id.is_string()) return id.get<std::string>();
    if (id.is_number_integer()) return id.dump();
  }
  return {};
}

// A question, and how it may be graded.
struct ReadQuestion {
  Question question;
  bool mathematics = false;
};

ReadQuestion read_one(const json &object, int number, const std::string &file) {
  try {
    if (!object.is_object()) throw Error("not a JSON object");
    if (object.contains("tier") && object.contains("seed")) {
      std::istringstream line(object.dump());
      return {question_of(tasks::read_problems(line).at(0)), false};
    }
    // Files of many tasks, as reasoning-gym's, say which one.
    const bool of_many = object.contains("task") && object.at("task").is_string();
    const std::string task = of_many ? object.at("task").get<std::string>() : file;
    if (auto puzzle = read_puzzle(object, task)) {
      puzzle->id = id_of(object);
      if (puzzle->id.empty()) puzzle->id = fmt::format("{}-{}", task, number);
      return {std::move(*puzzle), false};
    }
    Question question = read_shared(object, task);
    if (question.id.empty()) question.id = fmt::format("{}-{}", task, number);
    return {std::move(question), is_mathematics(object)};
  } catch (const std::exception &error) {
    throw Error(fmt::format("line {}: {}", number, error.what()));
  }
}

bool is_expression(const std::string &answer) {
  return answer.find_first_of("\\^") != answer.npos || answer.find("sqrt") != answer.npos;
}

// Mathematics is graded by one rule in the whole file, so that a set that holds fractions is not
// graded in two ways. Elsewhere numbers are numbers, and all else is words.
std::vector<Question> with_graders(std::vector<ReadQuestion> read, const ReadOptions &options) {
  struct Kind {
    bool numbers = true, mathematics = false;
  };
  std::map<std::string, Kind> kinds;
  for (const auto &[question, mathematics] : read) {
    if (question.grader != Grader::latex) continue;
    Kind &kind = kinds[question.task];
    kind.numbers = kind.numbers && is_number(question.expected);
    kind.mathematics = kind.mathematics || mathematics || is_expression(question.expected);
  }
  std::vector<Question> questions;
  for (auto &[question, mathematics] : read) {
    if (question.grader == Grader::latex) {
      const Kind &kind = kinds[question.task];
      const bool number = kind.numbers || (!kind.mathematics && is_number(question.expected));
      if (number) question.grader = Grader::number;
      if (!number && !kind.mathematics) question.grader = Grader::exact;
    }
    if (question.grader != Grader::reasoner) {
      if (options.grader) question.grader = *options.grader;
      question.text +=
          options.instruction ? *options.instruction : instruction_for(question.grader);
    }
    questions.push_back(std::move(question));
  }
  return questions;
}

std::string lower_case(std::string text) {
  for (char &c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// "level=1,2,3": whether the object's field is one of these. "Level 2" is 2 in the field "level".
bool is_where(const json &object, const std::string &condition, bool &known) {
  const auto equal = condition.find('=');
  if (equal == condition.npos || equal == 0) {
    throw Error(fmt::format("\"{}\" is no condition: FIELD=VALUE[,VALUE] is wanted", condition));
  }
  const std::string field = condition.substr(0, equal);
  if (!object.is_object() || !object.contains(field)) return false;
  known = true;
  const json &value = object.at(field);
  const std::string text = lower_case(value.is_string() ? value.get<std::string>() : value.dump());
  const std::string named = lower_case(field) + " ";
  std::istringstream wanted(lower_case(condition.substr(equal + 1)));
  for (std::string one; std::getline(wanted, one, ',');) {
    if (text == one || text == named + one) return true;
  }
  return false;
}

void keep_where(Objects &objects, const std::vector<std::string> &where) {
  for (const std::string &condition : where) {
    bool known = false;
    std::string fields;
    for (const auto &[name, value] :
         objects.empty() ? json::object().items() : objects[0].second.items())
      fields += (fields.empty() ? "" : ", ") + name;
    std::erase_if(objects, [&](const auto &o) { return !is_where(o.second, condition, known); });
    if (objects.empty()) {
      throw Error(fmt::format("no question has {}{}", condition,
                              known ? "" : fmt::format("; there are the fields {}", fields)));
    }
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
                                     const ReadOptions &options) {
  const std::string text = read_text_file(path);
  std::vector<ReadQuestion> read;
  std::size_t left_out = 0;
  try {
    Objects objects = objects_of(text, path.extension().string());
    keep_where(objects, options.where);
    for (const auto &[number, object] : objects) {
      if (!options.grader && object.is_object() && has_many_answers(object)) {
        ++left_out;
        continue;
      }
      read.push_back(read_one(object, number, path.stem().string()));
    }
  } catch (const std::exception &error) {
    throw Error(fmt::format("{}, {}", path.string(), error.what()));
  }
  if (left_out > 0 && options.notes != nullptr) {
    options.notes->push_back(fmt::format(
        "{}: {} questions have many right answers (word ladders and their like) and are left out; "
        "--grader exact takes the file's own answer for the only one",
        path.string(), left_out));
  }
  if (read.empty()) throw Error(fmt::format("{} holds no questions", path.string()));
  std::vector<Question> questions = with_graders(std::move(read), options);
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
