#include "server/json.hpp"

#include <gtest/gtest.h>

#include "server/error.hpp"

namespace vase::server {
namespace {

std::string field_of_error(const std::string &text) {
  try {
    parse_json(text);
  } catch (const ApiError &error) {
    EXPECT_EQ(error.status(), 400);
    EXPECT_EQ(std::string(error.what()).rfind(error.param(), 0), 0U) << error.what();
    return error.param();
  }
  return "no error";
}

TEST(ParseJson, ReadsWhatJsonCanSay) {
  const std::string text = R"({"a":[1,-2,3.5,true,null,{"b":"c"}],"d":{}})";
  EXPECT_EQ(parse_json(text).dump(), text);
}

TEST(ParseJson, LetsTheLastOfTwoEqualKeysCount) {
  EXPECT_EQ(parse_json(R"({"a":1,"a":2})").dump(), R"({"a":2})");
}

TEST(ParseJson, NamesTheFieldWhereTheTextGoesWrong) {
  EXPECT_EQ(field_of_error(""), "request body");
  EXPECT_EQ(field_of_error("{"), "request body");
  EXPECT_EQ(field_of_error("{} x"), "request body");
  EXPECT_EQ(field_of_error(R"({"a":)"), "a");
  EXPECT_EQ(field_of_error(R"({"a":[1,2,)"), "a[2]");
  EXPECT_EQ(field_of_error(R"({"a":[{"b":tru}]})"), "a[0].b");
  EXPECT_EQ(field_of_error(R"({"a":[[1],[2,x]]})"), "a[1][1]");
  EXPECT_EQ(field_of_error("{\"a\":{\"b\":\"\xff\"}}"), "a.b");
  EXPECT_EQ(field_of_error(R"({"a":{"b":1},"c":1e999})"), "c");
  EXPECT_EQ(field_of_error(R"({"a":"\ud800"})"), "a");
}

TEST(ParseJson, LimitsDepth) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_NO_THROW(parse_json(nested(kMaxDepth)));
  EXPECT_THROW(parse_json(nested(kMaxDepth + 1)), ApiError);
  EXPECT_THROW(parse_json(std::string(1 << 20, '[')), ApiError);
}

TEST(ParseJson, LimitsTheNumberOfValues) {
  std::string text = "[0";
  for (std::size_t i = 0; i + 2 < kMaxValues; ++i) text += ",0";
  EXPECT_NO_THROW(parse_json(text + "]"));
  EXPECT_THROW(parse_json(text + ",0]"), ApiError);
}

TEST(Dump, ReplacesWhatIsNotUtf8) { EXPECT_EQ(dump(OrderedJson("a\xff")), "\"a\xEF\xBF\xBD\""); }

}  // namespace
}  // namespace vase::server
