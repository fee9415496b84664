// Damaged requests: whatever comes, the parser answers or refuses, and refusals name a field. The
// same under libFuzzer is in fuzz/.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "parser_rules.hpp"
#include "server/error.hpp"
#include "server/request_parser.hpp"

namespace vase::server {
namespace {

const std::vector<std::string> &good_requests() {
  static const std::vector<std::string> requests = {
      R"({"messages":[{"role":"user","content":"Hi \u00e9 \ud83d\ude00"}],"n":2,"stop":["a"]})",
      R"({"messages":[{"role":"system","content":[{"type":"text","text":"a"}]}],"stream":true,)"
      R"("stream_options":{"include_usage":true},"logprobs":true,"top_logprobs":3})",
      R"({"prompt":[1,2,3],"temperature":0.5,"top_p":1,"top_k":40,"min_p":0.05,"seed":123})",
      R"({"prompt":["a","b"],"max_tokens":10,"vase":{"policy":"rkv","budget":128,"seed":1}})"};
  return requests;
}

// Replaces, inserts, drops or repeats something, mostly what matters to JSON.
void damage(std::string &text, std::mt19937 &random) {
  const std::vector<std::string> pieces = {
      "[",       "{",       "\"", "1e999", "-", "null", "\xff",
      "\\ud800", "[[[[[[[", ",",  ":",     "}", "]",    "99999999999999999999",
      "\\u0000", "true",    "0.5"};
  const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
  const std::size_t at = text.empty() ? 0 : pick(text.size());
  switch (pick(5)) {
    case 0:
      if (!text.empty()) text[at] = static_cast<char>(random());
      break;
    case 1:
      text.insert(at, pieces[pick(pieces.size())]);
      break;
    case 2:
      text.erase(at, 1 + pick(8));
      break;
    case 3:
      text.insert(at, text.substr(pick(text.size() + 1), pick(40)));
      break;
    default:
      text.resize(at);
  }
}

TEST(DamagedRequests, AreReadOrRefusedWithTheNameOfAField) {
  std::mt19937 random(1);
  int refused = 0;
  for (int round = 0; round < 40000; ++round) {
    std::string text = good_requests()[random() % good_requests().size()];
    for (auto times = 1 + random() % 4; times > 0; --times) damage(text, random);
    try {
      parse_request(round % 2 == 0 ? Api::chat : Api::completions, text, test_rules());
    } catch (const ApiError &error) {
      ++refused;
      ASSERT_EQ(error.status(), 400);
      ASSERT_FALSE(error.param().empty());
      ASSERT_EQ(std::string(error.what()).rfind(error.param(), 0), 0U) << error.what();
      ASSERT_FALSE(error.body().empty());
    }
  }
  EXPECT_GT(refused, 20000);
  EXPECT_LT(refused, 40000);
}

}  // namespace
}  // namespace vase::server
