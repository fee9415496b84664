#include "eval/ungraded_answers.hpp"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "vase/llama.hpp"

namespace vase::eval {

UngradedAnswers::UngradedAnswers(std::filesystem::path path) : path_(std::move(path)) {
  if (!std::filesystem::exists(path_)) return;
  const std::string text = read_text_file(path_);
  std::size_t whole = 0;  // a torn last line is no answer
  for (std::size_t end; (end = text.find('\n', whole)) != text.npos; whole = end + 1) {
    try {
      found_.push_back(
          record_from_json(nlohmann::json::parse(text.substr(whole, end - whole)), ""));
    } catch (const nlohmann::json::exception &error) {
      throw Error(fmt::format("{} holds answers that are not graded yet, and is damaged: {}",
                              path_.string(), error.what()));
    }
    waiting_.insert(key_of(found_.back()));
  }
  file_ = std::make_unique<LineFile>(path_);
  if (whole < text.size()) file_->cut(whole);
  if (waiting_.empty()) forget_all();
}

UngradedAnswers::~UngradedAnswers() = default;

std::vector<Record> UngradedAnswers::left() const {
  std::vector<Record> records;
  for (const Record &record : found_) {
    if (waiting_.contains(key_of(record))) records.push_back(record);
  }
  return records;
}

void UngradedAnswers::add(const Record &record) {
  if (!file_) file_ = std::make_unique<LineFile>(path_);
  file_->append(
      to_json(record).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  waiting_.insert(key_of(record));
}

void UngradedAnswers::remove(const Record &record) {
  if (waiting_.erase(key_of(record)) > 0 && waiting_.empty()) forget_all();
}

void UngradedAnswers::forget_all() {
  file_.reset();
  std::error_code error;  // what is left there is known to be graded when it is read again
  std::filesystem::remove(path_, error);
}

}  // namespace vase::eval
