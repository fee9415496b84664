// A tiny model of random weights, whose tokens are characters, and a text to read to it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "../engine/loaded_text_model.hpp"
#include "../llama/tiny_models.hpp"
#include "engine/log.hpp"
#include "engine/model.hpp"
#include "recall/deal.hpp"

namespace vase::recall::test {

inline std::string story(int sentences = 400) {
  std::string text;
  for (int i = 0; i < sentences; ++i)
    text += "On day " + std::to_string(i) + " it rained.\n" + (i % 7 == 0 ? "\n" : "");
  return text;
}

class WithModel : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = engine::test::loaded_text_model(); }
  static void TearDownTestSuite() { model_.reset(); }

  static Prompt prompt() { return {*model_, engine::ChatTemplate("chatml"), ""}; }
  static std::vector<Source> sources() {
    std::vector<Source> sources;
    sources.emplace_back("story", story(), *model_);
    return sources;
  }
  static Deal deal(const std::vector<std::string> &names, int items = 1) {
    Deal deal{.categories = {}, .depths = {0.2, 0.7}, .items = items, .after = 100};
    for (const std::string &name : names) deal.categories.push_back(&find_category(name));
    return deal;
  }
  static std::string plain(std::span<const llama_token> tokens) {
    std::string text;
    for (const llama_token token : tokens) text += model_->piece(token, true);
    return text;
  }

  static inline std::unique_ptr<engine::Model> model_;
};

}  // namespace vase::recall::test
