#include "solvers.hpp"

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace vase::tasks {
namespace {

using Matches = std::vector<std::smatch>;

Matches find_all(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  return {std::sregex_iterator(text.begin(), text.end(), regex), std::sregex_iterator()};
}

std::smatch find_one(const std::string& text, const std::string& pattern) {
  const Matches found = find_all(text, pattern);
  if (found.size() != 1) throw std::runtime_error("not once in the question: " + pattern);
  return found.front();
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (std::size_t to = 0; to != std::string::npos; from = to + separator.size()) {
    to = text.find(separator, from);
    parts.push_back(text.substr(from, to - from));
  }
  return parts;
}

int last_two_digits(long value) { return static_cast<int>((value % 100 + 100) % 100); }

/// Reads "53 * (n + 29)". Only the result is brought to two digits, which must not matter.
class Formula {
 public:
  Formula(const std::string& text, int n) : in_(text), n_(n) {}

  long value() {
    long result = operand();
    char operation = 0;
    while (in_ >> operation && operation != ')') {
      const long right = operand();
      result = operation == '+'   ? result + right
               : operation == '-' ? result - right
                                  : result * right;
    }
    return result;
  }

 private:
  long operand() {
    char next = 0;
    in_ >> next;
    if (next == '(') return value();
    if (next == 'n') return n_;
    in_.putback(next);
    long number = 0;
    in_ >> number;
    return number;
  }

  std::istringstream in_;
  int n_;
};

std::string solve_arithmetic(const std::string& question) {
  std::map<std::string, std::string> machines;
  for (const auto& match : find_all(question, R"(The (\w+) turns n into ([^.]+)\.)")) {
    machines[match[1]] = match[2];
  }
  long total = 0;
  for (const auto& match : find_all(question, R"(\w+: (\d+), ([a-z, ]+)\.\n)")) {
    int value = std::stoi(match[1]);
    for (const std::string& machine : split(match[2], ", ")) {
      value = last_two_digits(Formula(machines.at(machine), value).value());
    }
    total += value;
  }
  return std::to_string(last_two_digits(total));
}

std::string solve_tracking(const std::string& question) {
  std::map<std::string, std::string> holds;
  const std::string list = find_one(question, R"(hold one thing: ([^.]+)\.)")[1];
  for (const std::string& part : split(list, ", ")) {
    const std::vector<std::string> words = split(part, " the ");
    holds[words.at(0)] = words.at(1);
  }
  std::map<std::string, std::vector<std::string>> games;
  for (const auto& match : find_all(question, R"(In the (\w+) game these trade: ([^.]+)\.)")) {
    games[match[1]] = split(match[2], ", ");
  }
  const std::smatch order = find_one(question, R"(They play ([a-z, ]+) and then from the front)");
  const std::vector<std::string> colours = split(order[1], ", ");
  const int count = std::stoi(find_one(question, R"(again, (\d+) games)")[1]);
  const std::smatch asked = find_one(question, R"(at the end what (\w+) held after game (\d+))");
  std::string thing;
  for (int game = 1; game <= count; ++game) {
    for (const std::string& trade :
         games.at(colours[static_cast<std::size_t>(game - 1) % colours.size()])) {
      const std::vector<std::string> two = split(trade, "-");
      std::swap(holds.at(two.at(0)), holds.at(two.at(1)));
    }
    if (game == std::stoi(asked[2])) thing = holds.at(asked[1]);
  }
  for (const auto& [person, held] : holds) {
    if (held == thing) return person;
  }
  throw std::runtime_error("nobody holds the thing");
}

std::string solve_graph(const std::string& question) {
  constexpr int kFar = 1000;
  std::map<std::pair<std::string, std::string>, int> distance;
  std::vector<std::string> towns;
  for (const auto& match : find_all(question, R"(From (\w+): ([^.]+)\.)")) {
    towns.push_back(match[1]);
    for (const std::string& end : split(match[2], ", ")) distance[{match[1], end}] = 1;
  }
  const auto get = [&distance](const std::string& a, const std::string& b) {
    const auto found = distance.find({a, b});
    return found == distance.end() ? kFar : found->second;
  };
  for (const std::string& via : towns) {
    for (const std::string& a : towns) {
      for (const std::string& b : towns) {
        distance[{a, b}] = std::min(get(a, b), get(a, via) + get(via, b));
      }
    }
  }
  int total = 0;
  const std::string trips = find_one(question, R"(Trips: ([^.]+)\.)")[1];
  for (const auto& match : find_all(trips, R"((\w+) to (\w+))")) {
    const int length = get(match[1], match[2]);
    total += length >= kFar ? 0 : length;
  }
  return std::to_string(total);
}

std::string solve_deduction(const std::string& question) {
  struct Rule {
    std::vector<std::string> needs;
    std::string gives;
  };
  std::vector<Rule> rules;
  for (const auto& match : find_all(question, R"(Rule \d+: ([a-z ]+) makes? (\w+)\.)")) {
    rules.push_back({split(match[1], " and "), match[2]});
  }
  const std::string goal = find_one(question, R"(Who becomes (\w+))")[1];
  std::size_t total = 0;
  for (const auto& match : find_all(question, R"(\w+ starts ([a-z, ]+)\.)")) {
    const std::vector<std::string> start = split(match[1], ", ");
    std::set<std::string> traits(start.begin(), start.end());
    for (std::size_t before = 0; before != traits.size();) {
      before = traits.size();
      for (const Rule& rule : rules) {
        if (std::all_of(rule.needs.begin(), rule.needs.end(),
                        [&traits](const std::string& need) { return traits.count(need) > 0; })) {
          traits.insert(rule.gives);
        }
      }
    }
    if (traits.count(goal) > 0) total += traits.size();
  }
  return std::to_string(total);
}

class Program {
 public:
  explicit Program(const std::string& start) {
    for (const auto& match : find_all(start, R"((\w) = (\d+))")) {
      values_[match[1]] = std::stol(match[2]);
    }
  }

  void run(const std::string& statement) {
    std::string text = statement;
    if (text.rfind("if ", 0) == 0) {
      const std::smatch condition = find_one(text, R"(if (\w) ([<>]) (\d+): )");
      const long value = values_.at(condition[1]);
      const long number = std::stol(condition[3]);
      if (condition[2] == ">" ? value <= number : value >= number) return;
      text = condition.suffix();
    }
    const std::smatch parts = find_one(text, R"((\w) ([+-])= (\w+))");
    const auto variable = values_.find(parts[3]);
    const long by = variable == values_.end() ? std::stol(parts[3]) : variable->second;
    long& target = values_.at(parts[1]);
    target = last_two_digits(parts[2] == "+" ? target + by : target - by);
  }

  long value(const std::string& name) const { return values_.at(name); }

 private:
  std::map<std::string, long> values_;
};

std::string solve_program(const std::string& question) {
  Program program(find_one(question, R"(Start: ([^\n]+)\n)")[1]);
  long total = 0;
  for (const auto& match :
       find_all(question, R"(Loop \d+, (\d+) times: ([^\n]+); then print (\w)\n)")) {
    for (int round = 0; round < std::stoi(match[1]); ++round) {
      for (const std::string& statement : split(match[2], "; ")) program.run(statement);
    }
    total += program.value(match[3]);
  }
  return std::to_string(last_two_digits(total));
}

std::string solve_subset(const std::string& question) {
  std::vector<int> numbers;
  const std::string list = find_one(question, R"(the numbers ([\d, ]+)\.)")[1];
  for (const std::string& number : split(list, ", ")) numbers.push_back(std::stoi(number));
  int total = 0;
  const std::string targets = find_one(question, R"(Targets: ([^.]+)\.)")[1];
  for (const auto& match : find_all(targets, R"(\d+ is (\d+))")) {
    int sets = 0;
    for (unsigned set = 1; set < (1U << numbers.size()); ++set) {
      int sum = 0;
      int smallest = 1000;
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        if ((set >> i & 1U) == 0) continue;
        sum += numbers[i];
        smallest = std::min(smallest, numbers[i]);
      }
      if (sum != std::stoi(match[1])) continue;
      total += smallest;
      ++sets;
    }
    if (sets > 1) throw std::runtime_error("more than one set for a target");
  }
  return std::to_string(total);
}

}  // namespace

std::string solve(const std::string& task, const std::string& question) {
  if (task == "arithmetic") return solve_arithmetic(question);
  if (task == "tracking") return solve_tracking(question);
  if (task == "graph") return solve_graph(question);
  if (task == "deduction") return solve_deduction(question);
  if (task == "program") return solve_program(question);
  if (task == "subset") return solve_subset(question);
  throw std::runtime_error("no solver for the task " + task);
}

}  // namespace vase::tasks
