#include "eval/packing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <utility>

#include "eval/answer.hpp"
#include "eval/look_back.hpp"
#include "eval/shared_format.hpp"
#include "eval/thought.hpp"
#include "tasks/random.hpp"
#include "vase/llama.hpp"

namespace vase::eval {
namespace {

constexpr std::int64_t kTurnLimit = 512;  // tokens of an answer, where nobody says otherwise

// The questions of each task in groups of `size`, drawn without replacement.
std::vector<std::vector<Question>> draw_groups(const std::vector<Question> &questions,
                                               const Packing &packing) {
  std::map<std::string, std::vector<Question>> by_task;
  for (const Question &question : questions) by_task[question.task].push_back(question);
  std::vector<std::vector<Question>> groups;
  const auto size = static_cast<std::size_t>(packing.size);
  for (auto &[task, all] : by_task) {
    if (all.size() < size) {
      throw Error(fmt::format("{} has {} questions, too few for {} in one conversation", task,
                              all.size(), packing.size));
    }
    tasks::Rng(packing.seed ^ tasks::hash_text(task)).shuffle(all);
    const std::size_t count = std::min(all.size() / size, static_cast<std::size_t>(packing.count));
    for (std::size_t i = 0; i < count; ++i) {
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(i * size);
      groups.emplace_back(first, first + packing.size);
    }
  }
  return groups;
}

Question conversation_of(const std::vector<Question> &group, const std::string &tier,
                         std::map<std::string, int> &numbers) {
  const std::string &task = group.front().task;
  Question question;
  question.task = task;
  question.tier = tier;
  question.id = fmt::format("{}/{}-{}", task, tier, ++numbers[task]);
  return question;
}

/// "Question 3" or "### **3.** ...": what a line begins with.
struct Heading {
  std::size_t number = 0;  ///< 0: none
  bool named = false;      ///< "Question", "Problem" or "Answer" stands before it
};

Heading heading_of(std::string_view line) {
  const auto skip = [&line](std::string_view marks) {
    line.remove_prefix(std::min(line.find_first_not_of(marks), line.size()));
  };
  skip(" \t#*_-");
  bool named = false;
  for (const std::string_view word : {"Question", "Problem", "Answer", "question", "problem"}) {
    if (!line.starts_with(word)) continue;
    line.remove_prefix(word.size());
    named = true;
    break;
  }
  if (named) {
    if (line.starts_with(" to ")) line.remove_prefix(4);
    skip(" #");
    if (line.starts_with("Question ") || line.starts_with("question ")) line.remove_prefix(9);
  }
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc{}) return {};
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  // "3. Janet", not "3.5 dollars" nor "3 apples".
  const bool marked = line.starts_with(". ") || line.starts_with(") ") || line.starts_with(": ") ||
                      line.starts_with("**") || line == "." || line == ")" || line == ":" ||
                      line.starts_with(".*") || line.starts_with(":*");
  if (!marked && !named) return {};
  return {number, named};
}

// Where the sections of the answers begin: at lines with the next number. Where the first is named,
// so are the others, and plain numbers are those of lists inside an answer.
std::vector<std::size_t> section_begins(std::string_view said, std::size_t count, bool named) {
  std::vector<std::size_t> begins;
  for (std::size_t at = 0; at < said.size() && begins.size() < count;) {
    const std::size_t end = std::min(said.find('\n', at), said.size());
    const Heading heading = heading_of(said.substr(at, end - at));
    if (heading.number == begins.size() + 1 && (heading.named || !named)) begins.push_back(at);
    at = end + 1;
  }
  return begins;
}

}  // namespace

std::vector<Question> pack(const std::vector<Question> &questions, const Packing &packing) {
  const std::string tier = fmt::format("pack{}", packing.size);
  std::map<std::string, int> numbers;
  std::vector<Question> packs;
  for (std::vector<Question> &group : draw_groups(questions, packing)) {
    Question question = conversation_of(group, tier, numbers);
    const bool letters = group.front().grader == Grader::choice;
    question.text = fmt::format(
        "Here are {} questions. Answer them one after the other, in this order. For each, write "
        "its number, think step by step, and put {} within \\boxed{{}}.",
        packing.size, letters ? "the letter of its final answer" : "its final answer");
    if (packing.instruction) question.text += " " + *packing.instruction;
    for (std::size_t i = 0; i < group.size(); ++i) {
      question.text += fmt::format("\n\nQuestion {}. {}", i + 1, group[i].text);
    }
    question.packed = std::move(group);
    packs.push_back(std::move(question));
  }
  return packs;
}

std::vector<Question> take_in_turns(const std::vector<Question> &questions,
                                    const Packing &packing) {
  const std::string tier = fmt::format("turns{}", packing.size);
  std::map<std::string, int> numbers;
  std::vector<Question> conversations;
  for (const std::vector<Question> &group : draw_groups(questions, packing)) {
    Question conversation = conversation_of(group, tier, numbers);
    std::vector<std::string> texts;
    for (const Question &question : group) {
      texts.push_back(question.text);
      Question turn = question;
      turn.text = fmt::format("Question {}. {}{}", texts.size(), texts.back(),
                              packing.instruction.value_or(instruction_for(question.grader)));
      if (turn.limit == 0) turn.limit = kTurnLimit;
      conversation.turns.push_back(std::move(turn));
    }
    const std::uint64_t seed = packing.seed ^ tasks::hash_text(conversation.id);
    for (Question &turn : look_backs(conversation, texts, seed)) {
      conversation.turns.push_back(std::move(turn));
    }
    conversations.push_back(std::move(conversation));
  }
  return conversations;
}

std::vector<std::string> parts_of(std::string_view reply, std::size_t count) {
  const std::string_view said = after_thinking(reply);
  std::vector<std::string> parts(count);
  std::vector<std::size_t> begins = section_begins(said, count, true);
  if (begins.empty()) begins = section_begins(said, count, false);
  const std::vector<std::string> boxes = all_boxed(said);
  std::size_t boxed_sections = 0;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const std::size_t end = i + 1 < begins.size() ? begins[i + 1] : said.size();
    parts[i] = said.substr(begins[i], end - begins[i]);
    if (last_boxed(parts[i])) ++boxed_sections;
  }
  // Sections that hold the boxes are sections; a list of steps, say, holds few of them.
  if (2 * boxed_sections >= std::min(boxes.size(), count) && boxed_sections > 0) return parts;
  for (std::size_t i = 0; i < count; ++i) {
    parts[i] = i < boxes.size() ? "\\boxed{" + boxes[i] + "}" : "";
  }
  return parts;
}

}  // namespace vase::eval
