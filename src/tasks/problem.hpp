// What a reasoning problem is, and how it is written down for a chat model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vase::tasks {

/// How long the chain of thought is, in tokens of SmolLM2: about 1, 2, 4 or 8 thousand.
enum class Tier { k1k, k2k, k4k, k8k };
inline constexpr Tier kAllTiers[] = {Tier::k1k, Tier::k2k, Tier::k4k, Tier::k8k};

/// Which part of all possible problems a problem belongs to. The split is a function of the problem
/// itself (see split_of), so no problem can be in two of them.
enum class Split { kTrain, kTune, kTest };

/// One problem with a worked solution.
struct Problem {
  std::string id;          ///< task, tier, split and seed in one word
  std::string task;        ///< for example "tracking"
  Tier tier = Tier::k1k;   ///< length of the chain
  std::uint64_t seed = 0;  ///< make_problem with this seed gives this problem again
  std::string question;    ///< what the user asks
  std::string chain;       ///< what a careful reasoner writes between <think> and </think>
  std::string answer;      ///< the final answer, a number or a name
};

/// Lengths that a problem of one tier keeps to, in tokens as count_tokens counts them.
struct Lengths {
  int min_chain;     ///< shortest chain
  int max_chain;     ///< longest chain
  int max_question;  ///< longest question
  bool few_parts;    ///< whether the question must stay small to keep to these lengths
};

/// The whole sequence (question, chain, answer and chat marks) stays within this many tokens.
inline constexpr int kContext = 8192;

Lengths lengths_of(Tier tier);

std::string_view name_of(Tier tier);
std::string_view name_of(Split split);
std::optional<Tier> tier_from_name(std::string_view name);
std::optional<Split> split_from_name(std::string_view name);

/// The split of a problem, from a hash of its content: its numbers and its structure, without
/// wording and names. 1 in 16 is kTest, 1 in 16 is kTune, the others are kTrain.
Split split_of(std::string_view content);

/// The number of SmolLM2 tokens in a text, for the words that the tasks use: a word with the space
/// before it is one token, so is each digit, each space before a digit and each sign.
int count_tokens(std::string_view text);

/// The user's message in ChatML, up to where the assistant begins to write.
std::string chat_prompt(std::string_view question);

/// What the assistant writes for this problem: chain and answer.
std::string chat_reply(const Problem& problem);

}  // namespace vase::tasks
