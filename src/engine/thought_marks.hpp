// The marks between which models think.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "llama.h"

namespace vase::engine {

struct ThoughtMarks {
  std::string_view open;
  std::string_view close;
  /// What to write to end a thought and begin the answer, where that is more than `close`.
  std::string_view ending = {};

  constexpr std::string_view how_to_end() const { return ending.empty() ? close : ending; }
};

/// Those of gpt-oss, Magistral, Seed-OSS, Kimi, Command A, OpenThinker, Gemma 4, MiniMax M3, Kimi
/// K3, Hunyuan 3, and what most others use.
inline constexpr std::array<ThoughtMarks, 15> kThoughtMarks = {{
    {"<think>", "</think>"},
    {"<thinking>", "</thinking>"},
    {"<thought>", "</thought>"},
    {"<reasoning>", "</reasoning>"},
    {"<|begin_of_thought|>", "<|end_of_thought|>"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
    {"<|channel|>analysis", "<|channel|>final",
     "<|end|><|start|>assistant<|channel|>final<|message|>"},
    {"<|channel|>commentary", "<|channel|>final",
     "<|end|><|start|>assistant<|channel|>final<|message|>"},
    {"[THINK]", "[/THINK]"},
    {"<seed:think>", "</seed:think>"},
    {"<|channel>thought", "<channel|>"},
    {"<mm:think>", "</mm:think>"},
    {"<|open|>think<|sep|>", "<|close|>think<|sep|>"},
    {"<think:opensource>", "</think:opensource>"},
    {"\xe2\x97\x81think\xe2\x96\xb7", "\xe2\x97\x81/think\xe2\x96\xb7"},
}};

/// The marks whose opening one ends a prompt, as some chat templates do; null: it opens no thought.
/// A reply to such a prompt begins inside the thought.
const ThoughtMarks *thought_opened_by(std::string_view prompt);

/// How many tokens at the beginning of a reply are an opening mark, with the white space around it;
/// 0: it begins with another text. Where the prompt leaves that mark to the model it is pinned with
/// the prompt, as it is where the template writes it: a model that has lost it does not know any
/// more that it thinks (docs/results.md, natural chains). Looks at kTokensOfMark tokens at most.
std::size_t tokens_of_opening_mark(const llama_vocab *vocab, std::span<const llama_token> reply);

inline constexpr std::size_t kTokensOfMark = 24;  // of a mark and the space around it, at most

}  // namespace vase::engine
