// What writes a conversation as a model wants it, and what reads the answer: llama.cpp's fixed list
// of templates, or its Jinja in a library of its own (src/jinja).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

struct llama_model;

namespace vase::engine {

struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
  /// What the model thought before it said that; "": nothing, or not known. Written where the
  /// template writes earlier thoughts; llama.cpp's fixed list has none that does.
  std::string reasoning = {};
};

/// An answer, or a piece of one.
struct SplitText {
  std::string reasoning = {};
  std::string content = {};
};

/// Reads the answers to one prompt. May be asked by several threads at once.
class AnswerParser {
 public:
  virtual ~AnswerParser() = default;
  /// `answer`: all of it so far, without what the prompt has opened. `whole`: no more will come.
  /// Both parts only grow with the answer. Throws std::exception if it is not what the template's
  /// models write.
  virtual SplitText parse(const std::string &answer, bool whole) const = 0;
};

struct ChatPrompt {
  std::string text = {};
  std::vector<std::string> stops = {};  ///< an answer ends before these, too
  /// Names of control tokens without which an answer cannot be read: they are text.
  std::vector<std::string> marks = {};
  std::shared_ptr<const AnswerParser> parser = {};  ///< null: thoughts are told by kThoughtMarks
};

/// Variables of a template: names and their values in JSON.
using TemplateVariables = std::map<std::string, std::string>;

/// May be asked by several threads at once.
class ChatWriter {
 public:
  virtual ~ChatWriter() = default;
  /// `open_answer`: end with what comes before the assistant's next words. Throws std::exception if
  /// the template cannot write this.
  virtual ChatPrompt write(const std::vector<ChatMessage> &messages, bool open_answer,
                           const TemplateVariables &variables) const = 0;
};

// ---- the library of src/jinja -------------------------------------------------------------------

inline constexpr const char *kJinjaLibrary = "libvase-jinja.so";

/// The function that it exports, as `vase_jinja`. C++ throughout: it is built with the program that
/// loads it.
struct JinjaLibrary {
  const char *llama_version;  ///< that it was built for, as llama_version() says it
  /// `model`: for its own template and its tokens; may be null if `text` is not empty. `text`:
  /// another template. Throws std::exception if it cannot be read.
  std::unique_ptr<ChatWriter> (*open)(const llama_model *model, const std::string &text);
};

}  // namespace vase::engine
