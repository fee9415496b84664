#include "server/json.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "server/error.hpp"

namespace vase::server {
namespace {

std::string complaint_about(std::size_t position, std::string_view reason) {
  const auto has = [&](std::string_view word) { return reason.find(word) != reason.npos; };
  const std::string where = " at byte " + std::to_string(position);
  if (has("ill-formed UTF-8")) return "is not valid UTF-8" + where;
  if (has("surrogate")) return "has half a surrogate pair" + where;
  if (has("out_of_range")) return "is a number out of range";
  return "is not valid JSON" + where;
}

// A name that a client made up, fit for an error message.
std::string printable(std::string name) {
  constexpr std::size_t kLongest = 64;
  if (name.size() > kLongest) name = name.substr(0, kLongest) + "...";
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return name;
}

// Builds the document and knows at each moment in which field it is. The parser behind it does not
// recurse, so deep nesting costs no stack.
// NOLINTNEXTLINE(bugprone-exception-escape): takes the library's noexcept moves for throwing
class Builder : public Json::json_sax_t {
 public:
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t & /*text*/) override { return add(value); }
  bool string(string_t &value) override { return add(std::move(value)); }
  bool binary(binary_t & /*value*/) override { return false; }  // JSON text has none

  bool start_object(std::size_t /*size*/) override { return open(Json::object()); }
  bool start_array(std::size_t /*size*/) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t &value) override {
    key_ = value;
    return true;
  }

  bool parse_error(std::size_t position, const std::string & /*token*/,
                   const nlohmann::detail::exception &error) override {
    throw invalid_field(path(), complaint_about(position, error.what()), "invalid_json");
  }

 private:
  Json &place(Json value) {
    if (++n_values_ > kMaxValues) {
      throw invalid_field(path(), "makes more than " + std::to_string(kMaxValues) + " values",
                          "invalid_json");
    }
    if (open_.empty()) return root_ = std::move(value);
    Json &parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return parent.back();
    }
    return parent[key_] = std::move(value);
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json container) {
    if (std::ssize(open_) == kMaxDepth) {
      throw invalid_field(path(), "is nested deeper than " + std::to_string(kMaxDepth) + " levels",
                          "invalid_json");
    }
    // Containers move when their parent grows, but only the last child of each is open.
    open_.push_back(&place(std::move(container)));
    names_.push_back(std::exchange(key_, {}));
    return true;
  }

  bool close() {
    key_ = names_.back();
    open_.pop_back();
    names_.pop_back();
    return true;
  }

  // "messages[2].content" for what comes next.
  std::string path() const {
    if (open_.empty()) return "request body";
    std::string path;
    for (std::size_t i = 0; i < open_.size(); ++i) {
      if (open_[i]->is_array()) {
        path += "[" + std::to_string(open_[i]->size() - (i + 1 < open_.size() ? 1 : 0)) + "]";
      } else {
        const std::string &name = i + 1 < open_.size() ? names_[i + 1] : key_;
        if (!path.empty() && !name.empty()) path += ".";
        path += printable(name);
      }
    }
    return path.empty() ? "request body" : path;
  }

  std::size_t n_values_ = 0;
  Json root_;
  std::vector<Json *> open_;
  std::vector<std::string> names_;  // of the open containers, in theirs; of no use in arrays
  std::string key_;
};

}  // namespace

Json parse_json(std::string_view text) {
  Builder builder;
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

}  // namespace vase::server
