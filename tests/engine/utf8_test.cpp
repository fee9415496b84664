#include "engine/utf8.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace vase::engine {
namespace {

TEST(FindInvalidUtf8, AcceptsEveryLength) {
  EXPECT_EQ(find_invalid_utf8(""), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8F\xBA"), std::nullopt);
  EXPECT_EQ(find_invalid_utf8(std::string_view("\0", 1)), std::nullopt);
}

TEST(FindInvalidUtf8, FindsWhereItGoesWrong) {
  EXPECT_EQ(find_invalid_utf8("ab\xFF"), 2U);
  EXPECT_EQ(find_invalid_utf8("a\x80"), 1U) << "a continuation byte alone";
  EXPECT_EQ(find_invalid_utf8("\xC0\xAF"), 0U) << "overlong";
  EXPECT_EQ(find_invalid_utf8("\xE0\x80\x80"), 0U) << "overlong";
  EXPECT_EQ(find_invalid_utf8("\xED\xA0\x80"), 0U) << "surrogate";
  EXPECT_EQ(find_invalid_utf8("\xF4\x90\x80\x80"), 0U) << "above U+10FFFF";
  EXPECT_EQ(find_invalid_utf8("abc\xE2\x82"), 3U) << "unfinished";
}

TEST(Utf8Assembler, WaitsForWholeCharacters) {
  Utf8Assembler assembler;
  EXPECT_EQ(assembler.push("a\xF0\x9F"), "a");
  EXPECT_EQ(assembler.push("\x8F"), "");
  EXPECT_EQ(assembler.push("\xBA!"), "\xF0\x9F\x8F\xBA!");
  EXPECT_EQ(assembler.finish(), "");
}

TEST(Utf8Assembler, ReplacesWhatCannotBeACharacter) {
  Utf8Assembler assembler;
  EXPECT_EQ(assembler.push("a\xFFz"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(assembler.push("\xE2\x82"), "");
  EXPECT_EQ(assembler.push("b"),
            "\xEF\xBF\xBD"
            "b")
      << "the character was broken off";
  EXPECT_EQ(assembler.push("\xE2\x82"), "");
  EXPECT_EQ(assembler.finish(), "\xEF\xBF\xBD");
}

TEST(Utf8Assembler, GivesTheSameTextHoweverItIsCut) {
  const std::string text = "na\xC3\xAFve \xE2\x82\xAC 5 \xF0\x9F\x8F\xBA \xE4\xB8\xAD\xE6\x96\x87";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    Utf8Assembler assembler;
    std::string result;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      const std::string part = assembler.push(std::string_view(text).substr(at, piece));
      EXPECT_EQ(find_invalid_utf8(part), std::nullopt);
      result += part;
    }
    EXPECT_EQ(result + assembler.finish(), text) << "pieces of " << piece;
  }
}

TEST(Utf8Assembler, AlwaysGivesValidText) {
  std::uint32_t state = 1;
  Utf8Assembler assembler;
  for (int i = 0; i < 20000; ++i) {
    state = state * 1664525U + 1013904223U;
    const char byte = static_cast<char>(state >> 24U);
    ASSERT_EQ(find_invalid_utf8(assembler.push(std::string_view(&byte, 1))), std::nullopt);
  }
}

}  // namespace
}  // namespace vase::engine
