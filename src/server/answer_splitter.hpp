// Tells what a model thinks from what it says, as the answer comes.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "engine/chat_writer.hpp"

namespace vase::server {

using engine::SplitText;

/// Takes one answer in pieces, which may end inside a mark.
class AnswerSplitter {
 public:
  virtual ~AnswerSplitter() = default;
  virtual SplitText push(std::string_view text) = 0;
  /// Ends the answer: returns what was held back.
  virtual SplitText finish() = 0;
  /// True until the reasoning is closed, while there is any.
  virtual bool reasoning() const = 0;
};

/// Makes one for each answer to a request.
using SplitterMaker = std::function<std::unique_ptr<AnswerSplitter>()>;

}  // namespace vase::server
