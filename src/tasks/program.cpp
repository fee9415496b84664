// Program execution: a few variables and several loops, each with a short body; every loop prints
// a variable at its end. Asked is the sum of the prints, modulo 100.
//
// The chain runs every statement of every round on a line of its own and restates all variables.
// After each round it undoes the round backwards as a check. Working set of a step: the statement
// (copied from the round before, or in a loop's first round recalled from the question) and the
// last line, together at most about 150 tokens back. Late recalls: the bodies of later loops, the
// prints of all loops at the end.
#include <algorithm>
#include <optional>

#include "tasks/tasks.hpp"
#include "tasks/words.hpp"

namespace vase::tasks {
namespace {

struct Operand {
  std::optional<int> variable;  // else the number
  int number = 0;
};

struct Condition {
  int variable;
  bool greater;  // else less
  int number;
};

/// "x += y" or "x -= y", perhaps with "if z > 50: " before it. x and y are never the same variable,
/// nor x and z, so that a statement can be undone.
struct Statement {
  std::optional<Condition> condition;
  int target;
  bool adds;  // else subtracts
  Operand operand;
};

struct Loop {
  int times;
  std::vector<Statement> body;
  int prints;
  int printed = 0;
};

using Values = std::vector<int>;

std::string name_of_variable(int i) { return std::string(1, static_cast<char>('a' + i)); }

int value_of(const Values& values, int variable) {
  return values[static_cast<std::size_t>(variable)];
}

int value_of(const Values& values, const Operand& operand) {
  return operand.variable ? value_of(values, *operand.variable) : operand.number;
}

std::string state_text(const Values& values) {
  std::vector<std::string> parts;
  for (int i = 0; i < static_cast<int>(values.size()); ++i) {
    parts.push_back(cat(name_of_variable(i), " = ", value_of(values, i)));
  }
  return join(parts);
}

std::string statement_text(const Statement& statement) {
  std::string text;
  if (statement.condition) {
    text = cat("if ", name_of_variable(statement.condition->variable),
               statement.condition->greater ? " > " : " < ", statement.condition->number, ": ");
  }
  return cat(text, name_of_variable(statement.target), statement.adds ? " += " : " -= ",
             statement.operand.variable ? name_of_variable(*statement.operand.variable)
                                        : cat(statement.operand.number));
}

bool holds(const Statement& statement, const Values& values) {
  if (!statement.condition) return true;
  const int value = value_of(values, statement.condition->variable);
  return statement.condition->greater ? value > statement.condition->number
                                      : value < statement.condition->number;
}

/// "14 + 37 = 51"; sets the target.
std::string step(const Statement& statement, bool adds, Values& values) {
  int& target = values[static_cast<std::size_t>(statement.target)];
  const int by = value_of(values, statement.operand);
  const int result = adds ? target + by : target - by;
  std::string text = cat(target, adds ? " + " : " - ", by, " = ", wrapped(result));
  target = wrap(result);
  return text;
}

Statement random_statement(Rng& rng, int variables, int target, bool conditional) {
  const auto other = [&rng, variables, target] {
    int variable = rng.between(0, variables - 2);
    return variable + (variable >= target ? 1 : 0);
  };
  Statement statement{std::nullopt, target, rng.chance(60), {}};
  if (conditional) statement.condition = Condition{other(), rng.chance(50), rng.between(3, 7) * 10};
  if (rng.chance(70)) {
    statement.operand.variable = other();
  } else {
    statement.operand.number = rng.between(2, 49);
  }
  return statement;
}

Loop random_loop(Rng& rng, int variables, int rounds) {
  Loop loop{rounds, {}, rng.between(0, variables - 1), 0};
  std::vector<int> targets;
  for (int i = 0; i < variables; ++i) targets.push_back(i);
  const int statements = rng.between(2, 3);
  const int conditional = rng.between(0, statements);  // may be none of them
  targets = rng.sample(targets, std::min(statements, variables));
  for (int i = 0; i < static_cast<int>(targets.size()); ++i) {
    loop.body.push_back(
        random_statement(rng, variables, targets[static_cast<std::size_t>(i)], i == conditional));
  }
  return loop;
}

void run_statement(ChainText& chain, const Statement& statement, Values& values) {
  std::string text = cat(statement_text(statement), ": ");
  if (statement.condition) {
    text += cat(value_of(values, statement.condition->variable),
                statement.condition->greater ? " > " : " < ", statement.condition->number,
                holds(statement, values) ? " is true, " : " is false, ");
  }
  text += holds(statement, values) ? step(statement, statement.adds, values) : "nothing to do";
  chain.line(text, ". Now ", state_text(values), ".");
}

/// Undoes a round backwards, which must lead to the values before it.
void undo_round(ChainText& chain, const Voice& voice, const Loop& loop, Values values) {
  std::vector<std::string> steps;
  for (auto it = loop.body.rbegin(); it != loop.body.rend(); ++it) {
    if (!holds(*it, values)) continue;
    const std::string name = name_of_variable(it->target);
    steps.push_back(cat(name, ": ", step(*it, !it->adds, values)));
  }
  chain.line(voice.check, " backwards: ", steps.empty() ? "nothing changed" : join(steps, "; "),
             ". Before it was ", state_text(values), ". ", voice.good);
}

std::string times_text(int times) { return cat(times, " times"); }

}  // namespace

Draft make_program(Rng& rng, const Lengths& lengths) {
  const Voice voice = draw_voice(rng);
  const int variables = rng.between(3, lengths.few_parts ? 3 : 4);
  Values start;
  for (int i = 0; i < variables; ++i) start.push_back(rng.between(1, 99));

  ChainText chain;
  chain.line(voice.opening);
  Values values = start;
  std::vector<Loop> loops;
  const int goal = draw_goal(rng, lengths, 700, 100);
  while (chain.tokens() < goal && loops.size() < 12) {
    loops.push_back(random_loop(rng, variables, rng.between(4, lengths.few_parts ? 6 : 9)));
    Loop& loop = loops.back();
    const int number = static_cast<int>(loops.size());
    chain.line("Loop ", number, " runs ", times_text(loop.times), " and starts with ",
               state_text(values), ".");
    for (int round = 1; round <= loop.times; ++round) {
      chain.line("Loop ", number, ", round ", round, " of ", loop.times, ":");
      for (const Statement& statement : loop.body) run_statement(chain, statement, values);
      undo_round(chain, voice, loop, values);
    }
    loop.printed = value_of(values, loop.prints);
    chain.line("After ", loop.times, " rounds ", state_text(values), ". Loop ", number, " prints ",
               name_of_variable(loop.prints), ", which is ", loop.printed, ".");
  }

  chain.line(voice.closing);
  int total = 0;
  for (std::size_t i = 0; i < loops.size(); ++i) {
    const int number = static_cast<int>(i) + 1;
    if (i == 0) {
      chain.line("Loop ", number, " printed ", loops[i].printed, ".");
    } else {
      chain.line("Loop ", number, " printed ", loops[i].printed, ": ", total, " + ",
                 loops[i].printed, " = ", wrapped(total + loops[i].printed), ".");
    }
    total = wrap(total + loops[i].printed);
  }
  chain.line("The total is ", total, ".");

  Draft draft;
  draft.question =
      cat("Run this program. Values stay modulo 100 (keep the last two digits; below zero, add "
          "100).\nStart: ",
          state_text(start), "\n");
  draft.content = state_text(start);
  for (std::size_t i = 0; i < loops.size(); ++i) {
    std::vector<std::string> body;
    for (const Statement& statement : loops[i].body) body.push_back(statement_text(statement));
    const std::string text = cat(times_text(loops[i].times), ": ", join(body, "; "),
                                 "; then print ", name_of_variable(loops[i].prints));
    draft.question += cat("Loop ", static_cast<int>(i) + 1, ", ", text, "\n");
    draft.content += cat(";", text);
  }
  draft.question += "What is the sum of all printed values, modulo 100?";
  draft.chain = chain.text();
  draft.answer = cat(total);
  return draft;
}

}  // namespace vase::tasks
