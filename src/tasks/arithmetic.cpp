// Arithmetic: a few machines, each a formula in n, and people who put a number through several of
// them. Asked is the sum of all results, modulo 100.
//
// The chain takes each person in turn. A machine's formula is copied from the question (a short
// recall, keyed by the machine's name) with the number put in, reduced one operation a line, every
// line checked by the inverse operation or by expanding the other factor, and restated. Working
// set of a step: the formula so far, at most 15 tokens, and the line before it, about 60 together.
// Late recalls: formulas and start numbers from the question, each person's result at the end.
#include <memory>

#include "tasks/tasks.hpp"
#include "tasks/words.hpp"

namespace vase::tasks {
namespace {

struct Expression {
  enum class Kind { kInput, kNumber, kOperation };

  Kind kind = Kind::kInput;
  int number = 0;
  char operation = '+';
  std::unique_ptr<Expression> left, right;
};
using Node = std::unique_ptr<Expression>;

Node number_node(int number) {
  auto node = std::make_unique<Expression>();
  node->kind = Expression::Kind::kNumber;
  node->number = number;
  return node;
}

Node operation_node(char operation, Node left, Node right) {
  auto node = std::make_unique<Expression>();
  node->kind = Expression::Kind::kOperation;
  node->operation = operation;
  node->left = std::move(left);
  node->right = std::move(right);
  return node;
}

Node copy_with_input(const Expression& from, int input) {
  if (from.kind == Expression::Kind::kInput) return number_node(input);
  if (from.kind == Expression::Kind::kNumber) return number_node(from.number);
  return operation_node(from.operation, copy_with_input(*from.left, input),
                        copy_with_input(*from.right, input));
}

std::string to_text(const Expression& node, bool outermost = true) {
  if (node.kind == Expression::Kind::kInput) return "n";
  if (node.kind == Expression::Kind::kNumber) return cat(node.number);
  std::string text = cat(to_text(*node.left, false), " ", std::string(1, node.operation), " ",
                         to_text(*node.right, false));
  return outermost ? text : cat("(", text, ")");
}

int apply(char operation, int a, int b) {
  return operation == '+' ? a + b : operation == '-' ? a - b : a * b;
}

bool is_number(const Node& node) { return node->kind == Expression::Kind::kNumber; }

/// The first operation whose two sides are numbers, seen from the left or from the right.
Expression* innermost(Expression& node, bool from_left) {
  if (node.kind != Expression::Kind::kOperation) return nullptr;
  if (is_number(node.left) && is_number(node.right)) return &node;
  Expression* found = innermost(from_left ? *node.left : *node.right, from_left);
  return found ? found : innermost(from_left ? *node.right : *node.left, from_left);
}

void reduce(Expression& node) {
  node.number = wrap(apply(node.operation, node.left->number, node.right->number));
  node.kind = Expression::Kind::kNumber;
  node.left.reset();
  node.right.reset();
}

/// "82 * 36: 82 * 30 = 2460, 82 * 6 = 492, together 2952, so 52"
std::string multiply(int a, int b) {
  const int tens = b / 10 * 10;
  const int ones = b % 10;
  if (tens == 0 || ones == 0) return cat(a, " * ", b, " = ", wrapped(a * b));
  return cat(a, " * ", b, ": ", a, " * ", tens, " = ", a * tens, ", ", a, " * ", ones, " = ",
             a * ones, ", together ", wrapped(a * b));
}

std::string compute(char operation, int a, int b) {
  if (operation == '*') return multiply(a, b);
  return cat(a, " ", std::string(1, operation), " ", b, " = ", wrapped(apply(operation, a, b)));
}

/// The same result another way: the inverse operation, or the factors exchanged.
std::string inverse(char operation, int a, int b) {
  const int result = wrap(apply(operation, a, b));
  if (operation == '*') return multiply(b, a);
  return operation == '+' ? compute('-', result, b) : compute('+', result, b);
}

/// The same operation with its sides exchanged, for the second look.
std::string exchanged(char operation, int a, int b) {
  if (operation == '-') return cat("100 - ", b, " + ", a, " = ", wrapped(100 - b + a));
  return compute(operation, b, a);
}

Node random_formula(Rng& rng) {
  const auto constant = [&rng] { return number_node(rng.between(3, 69)); };
  const auto plus_or_minus = [&rng] { return rng.chance(50) ? '+' : '-'; };
  const auto input = [] { return std::make_unique<Expression>(); };
  Node first = rng.chance(70) ? operation_node(plus_or_minus(), input(), constant())
                              : operation_node('-', constant(), input());
  Node second = rng.chance(50) ? constant()
                               : operation_node(plus_or_minus(),
                                                rng.chance(50) ? input() : constant(), constant());
  if (second->kind == Expression::Kind::kNumber || rng.chance(70)) {
    return rng.chance(50) ? operation_node('*', std::move(first), std::move(second))
                          : operation_node('*', std::move(second), std::move(first));
  }
  return operation_node(plus_or_minus(), std::move(first), std::move(second));
}

struct Machine {
  std::string name;
  Node formula;
};

struct Run {
  std::string person;
  int start = 0;
  std::vector<int> machines;
  int result = 0;
};

/// Writes how one machine turns `input` into its result, and returns the result.
int run_machine(ChainText& chain, const Voice& voice, const Machine& machine, int input) {
  Node work = copy_with_input(*machine.formula, input);
  chain.line("The ", machine.name, " turns n into ", to_text(*machine.formula),
             ". With n = ", input, " that is ", to_text(*work), ".");
  while (Expression* node = innermost(*work, true)) {
    const int a = node->left->number;
    const int b = node->right->number;
    chain.line(compute(node->operation, a, b), ". ", voice.check, ": ",
               inverse(node->operation, a, b), ". ", voice.good);
    reduce(*node);
    if (work->kind == Expression::Kind::kOperation) chain.line("That leaves ", to_text(*work), ".");
  }
  chain.line("So the ", machine.name, " gives ", work->number, ".");
  return work->number;
}

/// Goes over one machine again from the right, with the sides of every operation exchanged.
void look_again(ChainText& chain, const Voice& voice, const std::string& person,
                const Machine& machine, int input) {
  Node work = copy_with_input(*machine.formula, input);
  std::string text = cat(voice.second_look, " at the ", machine.name, " with n = ", input,
                         ", from the right: ", to_text(*work), ".");
  while (Expression* node = innermost(*work, false)) {
    text += cat(" ", exchanged(node->operation, node->left->number, node->right->number), ".");
    reduce(*node);
  }
  chain.line(text, " So ", person, " ends with ", work->number, ".");
}

}  // namespace

Draft make_arithmetic(Rng& rng, const Lengths& lengths) {
  const Voice voice = draw_voice(rng);
  std::vector<Machine> machines;
  for (const std::string& name :
       rng.sample(tasks::machines(), lengths.few_parts ? 2 : rng.between(3, 5))) {
    machines.push_back({name, random_formula(rng)});
  }
  const std::vector<std::string> names = rng.sample(people(), 20);
  const int per_person = rng.between(3, lengths.few_parts ? 4 : 6);

  ChainText chain;
  chain.line(voice.opening);
  std::vector<Run> runs;
  const int goal = draw_goal(rng, lengths, 130 * per_person + 80, 120);
  while (chain.tokens() < goal && runs.size() < names.size()) {
    Run run{names[runs.size()], rng.between(2, 99), {}, 0};
    for (int i = 0; i < per_person; ++i) {
      run.machines.push_back(rng.between(0, static_cast<int>(machines.size()) - 1));
    }
    std::vector<std::string> path;
    for (const int m : run.machines) path.push_back(machines[static_cast<std::size_t>(m)].name);
    chain.line(run.person, " starts with ", run.start, " and uses the ", join(path), ".");
    int value = run.start;
    int last_input = value;
    for (std::size_t i = 0; i < path.size(); ++i) {
      const Machine& machine = machines[static_cast<std::size_t>(run.machines[i])];
      last_input = value;
      value = run_machine(chain, voice, machine, value);
      if (i + 1 < path.size()) {
        chain.line(run.person, " has ", value, " and next: ",
                   join({path.begin() + static_cast<std::ptrdiff_t>(i) + 1, path.end()}), ".");
      }
    }
    run.result = value;
    look_again(chain, voice, run.person, machines[static_cast<std::size_t>(run.machines.back())],
               last_input);
    runs.push_back(run);
  }

  chain.line(voice.closing);
  int total = 0;
  for (const Run& run : runs) {
    if (&run == &runs.front()) {
      chain.line(run.person, " has ", run.result, ".");
    } else {
      chain.line(run.person, " has ", run.result, ": ", total, " + ", run.result, " = ",
                 wrapped(total + run.result), ".");
    }
    total = wrap(total + run.result);
  }
  chain.line("The total is ", total, ".");

  Draft draft;
  draft.question =
      "Some machines compute with numbers, always modulo 100 (keep the last two digits; below "
      "zero, add 100).";
  for (const Machine& machine : machines) {
    draft.question += cat(" The ", machine.name, " turns n into ", to_text(*machine.formula), ".");
    draft.content += cat(to_text(*machine.formula), ";");
  }
  draft.question += "\n";
  for (const Run& run : runs) {
    std::vector<std::string> path;
    for (const int m : run.machines) {
      path.push_back(machines[static_cast<std::size_t>(m)].name);
      draft.content += cat(m, ",");
    }
    draft.content += cat(run.start, ";");
    draft.question += cat(run.person, ": ", run.start, ", ", join(path), ".\n");
  }
  draft.question +=
      "Each person puts the number through the machines in this order. What is the sum of all "
      "results, modulo 100?";
  draft.chain = chain.text();
  draft.answer = cat(total);
  return draft;
}

}  // namespace vase::tasks
