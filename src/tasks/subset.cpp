// Subset search: some numbers, and targets that a set of them may add up to. Each target has one
// such set or none. Asked is the sum of the smallest numbers of these sets.
//
// The chain sorts the numbers, writes down what is left from each number on, and searches every
// target depth first, largest number first: each line restates which numbers are in, out or open
// and what is needed, and then takes a number, leaves it or goes back. Most branches are dead
// ends. Working set of a step: the line before it, at most about 90 tokens. Late recalls: targets
// from the question, the sums "from x on" written once at the start, each target's smallest number
// at the end.
#include <algorithm>
#include <numeric>
#include <optional>

#include "tasks/tasks.hpp"
#include "tasks/words.hpp"

namespace vase::tasks {
namespace {

using Numbers = std::vector<int>;

// A search longer than this is replaced by another target.
constexpr int kMaxSteps = 40;

enum class Mark { kOpen, kIn, kOut };

struct Target {
  int sum = 0;
  int smallest = 0;  // of its set, 0 if there is none
};

std::string number_list(const Numbers& numbers) {
  std::vector<std::string> texts;
  for (const int number : numbers) texts.push_back(cat(number));
  return join(texts);
}

/// How many sets of the numbers add up to the target.
int count_sets(const Numbers& numbers, int target) {
  int count = 0;
  for (unsigned set = 1; set < (1U << numbers.size()); ++set) {
    int sum = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if ((set >> i & 1U) != 0) sum += numbers[i];
    }
    if (sum == target) ++count;
  }
  return count;
}

/// One depth-first search as it goes. Numbers are sorted, the largest first.
struct Search {
  const Numbers& numbers;
  const Numbers& rest;  // rest[i]: sum of numbers[i] and all after it
  std::vector<Mark> marks;
  std::size_t next = 0;  // the first open number
  int need = 0;

  std::string state_text() const {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      parts.push_back(cat(numbers[i], marks[i] == Mark::kIn    ? " in"
                                      : marks[i] == Mark::kOut ? " out"
                                                               : ""));
    }
    return cat(join(parts), ". Need ", need, ".");
  }

  void decide(Mark mark) {
    marks[next] = mark;
    if (mark == Mark::kIn) need -= numbers[next];
    ++next;
  }

  /// The last number that is in, if any.
  std::optional<std::size_t> last_in() const {
    for (std::size_t i = numbers.size(); i-- > 0;) {
      if (marks[i] == Mark::kIn) return i;
    }
    return std::nullopt;
  }

  void take_out(std::size_t i) {
    need += numbers[i];
    std::fill(marks.begin() + static_cast<std::ptrdiff_t>(i), marks.end(), Mark::kOpen);
    marks[i] = Mark::kOut;
    next = i + 1;
  }
};

/// Goes back from a dead end. False if nothing is in, so that the search is over.
bool go_back(ChainText& chain, Search& search, const std::string& before) {
  const std::optional<std::size_t> last = search.last_in();
  if (!last) {
    chain.line(before, "nothing is in, so no set works.");
    return false;
  }
  const int number = search.numbers[*last];
  chain.line(before, "back, take ", number, " out: ", search.need, " + ", number, " = ",
             search.need + number, ".");
  search.take_out(*last);
  return true;
}

/// One line of the search. False when it is over.
bool search_step(ChainText& chain, Search& search) {
  const std::string state = search.state_text();
  if (search.need == 0) {
    chain.line(state, " That is a set.");
    return false;
  }
  if (search.next == search.numbers.size()) {
    return go_back(chain, search, cat(state, " Nothing is open: "));
  }
  const int number = search.numbers[search.next];
  const int rest = search.rest[search.next];
  if (rest < search.need) {
    return go_back(chain, search, cat(state, " From ", number, " on ", rest, ", too little: "));
  }
  const std::string enough = cat(state, " From ", number, " on ", rest, ", enough. ");
  if (number > search.need) {
    chain.line(enough, number, " is too big.");
    search.decide(Mark::kOut);
  } else {
    chain.line(enough, number, " fits: ", search.need, " - ", number, " = ", search.need - number,
               ".");
    search.decide(Mark::kIn);
  }
  return true;
}

/// Searches one target in the chain; the smallest number of its set, 0 if there is none, or nothing
/// if the search took too long.
std::optional<int> search_target(ChainText& chain, const Voice& voice, const Numbers& numbers,
                                 const Numbers& rest, int target, int index) {
  chain.line("Target ", index, " is ", target, ".");
  Search search{numbers, rest, std::vector<Mark>(numbers.size(), Mark::kOpen), 0, target};
  int steps = 0;
  while (search_step(chain, search)) {
    if (++steps > kMaxSteps) return std::nullopt;
  }
  if (search.need != 0) {
    chain.line("Target ", index, " has no set and counts 0.");
    return 0;
  }
  Numbers set;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (search.marks[i] == Mark::kIn) set.push_back(numbers[i]);
  }
  std::string sums = cat(voice.second_look, ": the set is ", number_list(set), ".");
  int sum = set.front();
  for (std::size_t i = 1; i < set.size(); ++i) {
    sums += cat(" ", sum, " + ", set[i], " = ", sum + set[i], ".");
    sum += set[i];
  }
  chain.line(sums, " The target is ", target, ". ", voice.good);
  chain.line("Target ", index, " has the smallest number ", set.back(), ".");
  return set.back();
}

Numbers random_numbers(Rng& rng, int count) {
  Numbers numbers;
  while (static_cast<int>(numbers.size()) < count) {
    const int number = rng.between(10, 69);
    if (std::find(numbers.begin(), numbers.end(), number) == numbers.end()) {
      numbers.push_back(number);
    }
  }
  return numbers;
}

/// A target with exactly one set, or now and then one with none. Some numbers have no such target:
/// then the search for it is given up.
std::optional<int> random_target(Rng& rng, const Numbers& numbers) {
  const int total = std::accumulate(numbers.begin(), numbers.end(), 0);
  const int wanted = rng.chance(25) ? 0 : 1;
  for (int i = 0; i < 100; ++i) {
    const int target = rng.between(total / 6, total - total / 6);
    if (count_sets(numbers, target) == wanted) return target;
  }
  return std::nullopt;
}

}  // namespace

Draft make_subset(Rng& rng, const Lengths& lengths) {
  const Voice voice = draw_voice(rng);
  const Numbers given =
      random_numbers(rng, lengths.few_parts ? rng.between(6, 7) : rng.between(7, 8));
  Numbers numbers = given;
  std::sort(numbers.rbegin(), numbers.rend());
  Numbers rest = numbers;
  for (std::size_t i = rest.size() - 1; i-- > 0;) rest[i] += rest[i + 1];

  ChainText chain;
  chain.line(voice.opening);
  chain.line("Sorted: ", number_list(numbers), ".");
  for (std::size_t i = numbers.size(); i-- > 0;) {
    chain.line(
        "From ", numbers[i], " on: ",
        i + 1 < numbers.size() ? cat(numbers[i], " + ", rest[i + 1], " = ", rest[i]) : cat(rest[i]),
        ".");
  }
  std::vector<Target> targets;
  const int goal = draw_goal(rng, lengths, 900, 100);
  for (int tries = 0; chain.tokens() < goal; ++tries) {
    const std::optional<int> drawn = random_target(rng, numbers);
    if (tries == 200 || !drawn) return {};
    const int target = *drawn;
    const auto same = [target](const Target& other) { return other.sum == target; };
    if (std::any_of(targets.begin(), targets.end(), same)) continue;
    ChainText trial = chain;
    const std::optional<int> smallest =
        search_target(trial, voice, numbers, rest, target, static_cast<int>(targets.size()) + 1);
    if (!smallest) continue;
    chain = trial;
    targets.push_back({target, *smallest});
  }

  chain.line(voice.closing);
  int total = 0;
  std::vector<std::string> list;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const int number = static_cast<int>(i) + 1;
    const std::string counts = targets[i].smallest == 0
                                   ? cat("Target ", number, " counts 0")
                                   : cat("Target ", number, " counts ", targets[i].smallest);
    chain.line(
        counts,
        i == 0 ? ""
               : cat(": ", total, " + ", targets[i].smallest, " = ", total + targets[i].smallest),
        ".");
    total += targets[i].smallest;
    list.push_back(cat(number, " is ", targets[i].sum));
  }
  chain.line("The total is ", total, ".");
  if (total == 0) return {};

  Draft draft;
  draft.question = cat("Given are the numbers ", number_list(given),
                       ". For every target find the numbers that add up to it, each used at most "
                       "once. There is one such set or none.\nTargets: ",
                       join(list),
                       ".\nA target counts the smallest number of its set, or 0 without a set. "
                       "What is the total?");
  draft.content = number_list(given);
  for (const Target& target : targets) draft.content += cat(";", target.sum);
  draft.chain = chain.text();
  draft.answer = cat(total);
  return draft;
}

}  // namespace vase::tasks
