#include "eval/equation.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <utility>

#include "eval/answer.hpp"
#include "eval/thought.hpp"

namespace vase::eval {
namespace {

constexpr int kDeepest = 64;
constexpr char kFraction = 'F';  // \frac, whose two groups follow

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// One character for each sign; what LaTeX adds for looks goes. Other characters stay.
std::string plain_signs(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 17> kSigns = {{
      {"\\times", "*"},
      {"\\cdot", "*"},
      {"\\div", "/"},
      {"\\dfrac", "F"},
      {"\\tfrac", "F"},
      {"\\frac", "F"},
      {"\\left", ""},
      {"\\right", ""},
      {"\xc3\x97", "*"},
      {"\xc2\xb7", "*"},
      {"\xc3\xb7", "/"},
      {"\xe2\x88\x92", "-"},
      {"\xe2\x80\x93", "-"},
      {"{", "("},
      {"}", ")"},
      {"[", "("},
      {"]", ")"},
  }};
  std::string plain;
  for (std::size_t i = 0; i < text.size();) {
    const auto sign = std::ranges::find_if(
        kSigns, [&](const auto &s) { return text.substr(i).starts_with(s.first); });
    if (sign == kSigns.end()) {
      plain += text[i] == kFraction ? '?' : text[i];
      ++i;
    } else {
      plain += sign->second;
      i += sign->first.size();
    }
  }
  return plain;
}

std::optional<Rational> reduced(std::int64_t numerator, std::int64_t denominator) {
  constexpr std::int64_t kLeast = INT64_MIN;
  if (denominator == 0 || numerator == kLeast || denominator == kLeast) return std::nullopt;
  const std::int64_t common = std::gcd(numerator, denominator);
  const std::int64_t sign = denominator < 0 ? -1 : 1;
  return Rational{sign * numerator / common, sign * denominator / common};
}

std::optional<Rational> apply(char sign, const Rational &a, const Rational &b) {
  std::int64_t x = 0, y = 0, numerator = 0, denominator = 0;
  bool over = false;
  if (sign == '*' || sign == '/') {
    const Rational other = sign == '*' ? b : Rational{b.denominator, b.numerator};
    over = __builtin_mul_overflow(a.numerator, other.numerator, &numerator) ||
           __builtin_mul_overflow(a.denominator, other.denominator, &denominator);
  } else {
    over = __builtin_mul_overflow(a.numerator, b.denominator, &x) ||
           __builtin_mul_overflow(b.numerator, a.denominator, &y) ||
           __builtin_mul_overflow(a.denominator, b.denominator, &denominator) ||
           (sign == '+' ? __builtin_add_overflow(x, y, &numerator)
                        : __builtin_sub_overflow(x, y, &numerator));
  }
  return over ? std::nullopt : reduced(numerator, denominator);
}

// sum = product {(+|-) product}, product = factor {(*|/) factor}.
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  std::optional<Evaluated> all() {
    const auto value = sum(0);
    if (!value || next() != 0) return std::nullopt;
    return Evaluated{*value, std::move(numbers_)};
  }

 private:
  char next() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
    return rest_.empty() ? '\0' : rest_[0];
  }
  bool take(char c) {
    if (next() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::optional<Rational> chain(int depth, char one, char other) {
    const bool sums = one == '+';
    auto value = sums ? chain(depth, '*', '/') : factor(depth);
    for (char sign = next(); value && (sign == one || sign == other); sign = next()) {
      take(sign);
      const auto right = sums ? chain(depth, '*', '/') : factor(depth);
      value = right ? apply(sign, *value, *right) : std::nullopt;
    }
    return value;
  }
  std::optional<Rational> sum(int depth) { return chain(depth, '+', '-'); }

  std::optional<Rational> group(int depth) {
    if (!take('(')) return std::nullopt;
    const auto value = sum(depth + 1);
    return take(')') ? value : std::nullopt;
  }
  std::optional<Rational> factor(int depth) {
    if (depth > kDeepest) return std::nullopt;
    if (take('-')) {
      const auto value = factor(depth + 1);
      return value ? apply('-', {}, *value) : std::nullopt;
    }
    if (take(kFraction)) {
      const auto above = group(depth);
      const auto below = group(depth);
      return above && below ? apply('/', *above, *below) : std::nullopt;
    }
    if (next() == '(') return group(depth);
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    if (error != std::errc() || !is_digit(next())) return std::nullopt;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    numbers_.push_back(number);
    return Rational{number, 1};
  }

  std::string_view rest_;
  std::vector<std::int64_t> numbers_;
};

std::string_view trimmed_of(std::string_view text, std::string_view before,
                            std::string_view behind) {
  const auto first = text.find_first_not_of(before);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(behind) - first + 1);
}

}  // namespace

std::string text_of(const EquationTask &task) {
  return fmt::format("{} from {} of {}", task.target, task.all ? "all" : "some",
                     fmt::join(task.numbers, ", "));
}

std::optional<EquationTask> parse_equation_task(std::string_view text) {
  EquationTask task;
  task.all = text.find(" from all of ") != text.npos;
  const std::string_view middle = task.all ? " from all of " : " from some of ";
  const auto at = text.find(middle);
  if (at == text.npos) return std::nullopt;
  if (std::from_chars(text.data(), text.data() + at, task.target).ptr != text.data() + at) {
    return std::nullopt;
  }
  const char *end = text.data() + text.size();
  for (const char *next = text.data() + at + middle.size(); next < end;) {
    std::int64_t number = 0;
    const auto [behind, error] = std::from_chars(next, end, number);
    if (error != std::errc()) return std::nullopt;
    task.numbers.push_back(number);
    next = std::find_if(behind, end, is_digit);
  }
  return task;
}

std::optional<Evaluated> evaluate(std::string_view expression) {
  return Parser(plain_signs(expression)).all();
}

std::optional<std::string> equation_in(std::string_view reply) {
  const std::string_view said = after_thinking(reply);
  std::optional<std::string> field = last_boxed(said);
  if (!field) field = last_tagged(said);
  const std::string plain = plain_signs(field ? *field : said);
  constexpr std::string_view kOf = "0123456789+-*/()F \t";
  std::optional<std::string> last;
  for (std::size_t i = 0; i < plain.size();) {
    auto end = std::min(plain.find_first_not_of(kOf, i), plain.size());
    const std::string_view run = std::string_view(plain).substr(i, end - i);
    const std::string_view expression = trimmed_of(run, " \t+*/)", " \t+-*/(F");
    i = end + 1;
    const bool digits = std::ranges::any_of(expression, is_digit);
    const auto sign = expression.find_first_of("+-*/F", expression.starts_with('-') ? 1 : 0);
    if (digits && sign != expression.npos) last = std::string(expression);
  }
  return last;
}

bool solves(std::string_view expression, const EquationTask &task) {
  const auto evaluated = Parser(expression).all();
  if (!evaluated || evaluated->value.numerator != task.target ||
      evaluated->value.denominator != 1) {
    return false;
  }
  std::vector<std::int64_t> used = evaluated->numbers, given = task.numbers;
  std::ranges::sort(used);
  std::ranges::sort(given);
  return task.all ? used == given : std::ranges::includes(given, used);
}

}  // namespace vase::eval
