// Countdown and its like: is this an equation from the given numbers that gives the target?
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vase::eval {

/// What is asked for, written as "17 from all of 24, 47, 89, 95" ("some of": each at most once).
struct EquationTask {
  std::int64_t target = 0;
  std::vector<std::int64_t> numbers;
  bool all = false;
};
std::string text_of(const EquationTask &task);
/// Nothing if `text` is not as above.
std::optional<EquationTask> parse_equation_task(std::string_view text);

/// An exact fraction in lowest terms.
struct Rational {
  std::int64_t numerator = 0, denominator = 1;
};

struct Evaluated {
  Rational value;
  std::vector<std::int64_t> numbers;  ///< in their order
};

/// The value of an expression of whole numbers, + - * /, parentheses and \frac, exactly. Also reads
/// \times, \cdot, \div and the signs that are printed for them. Nothing if it is none, divides by
/// zero, nests deeper than 64 or leaves 64 bits.
std::optional<Evaluated> evaluate(std::string_view expression);

/// The last expression with an operator in the answer: in the box, else the answer tag, else in
/// all that was said after the thinking.
std::optional<std::string> equation_in(std::string_view reply);

/// Whether `expression` uses only the task's numbers, each at most once (all: each once), and gives
/// its target.
bool solves(std::string_view expression, const EquationTask &task);

}  // namespace vase::eval
