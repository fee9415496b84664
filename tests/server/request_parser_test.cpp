#include "server/request_parser.hpp"

#include <gtest/gtest.h>

#include "parser_rules.hpp"
#include "server/error.hpp"

namespace vase::server {
namespace {

CompletionRequest parse_chat(const std::string &fields, const RequestRules &rules = test_rules()) {
  return parse_request(Api::chat, R"({"messages":[{"role":"user","content":"Hi"}])" + fields + "}",
                       rules);
}

std::string wrong_field(const std::string &fields, const RequestRules &rules = test_rules()) {
  try {
    parse_chat(fields, rules);
  } catch (const ApiError &error) {
    return error.param();
  }
  return "no error";
}

TEST(ParseRequest, TakesDefaultsFromTheServer) {
  RequestRules rules = test_rules();
  rules.sampling.temperature = 0.3f;
  rules.seed = 5;
  const CompletionRequest request = parse_chat("", rules);
  EXPECT_EQ(request.sampling.temperature, 0.3f);
  EXPECT_EQ(request.sampling.seed, 5U);
  EXPECT_EQ(request.policy.seed, 5U);
  EXPECT_EQ(request.policy.budget, 512);
  EXPECT_EQ(request.max_tokens, rules.max_tokens);
  EXPECT_EQ(request.n, 1);
  EXPECT_EQ(request.logprobs, -1);
  EXPECT_FALSE(request.stream);
}

TEST(ParseRequest, ReadsAllFields) {
  const CompletionRequest request = parse_chat(
      R"(,"model":"any","temperature":0.5,"top_p":0.25,"min_p":0.1,"top_k":7,"seed":9,"n":2,
          "max_tokens":11,"stop":["a","b"],"logprobs":true,"top_logprobs":4,"stream":true,
          "stream_options":{"include_usage":true},"ignore_eos":true,"user":"somebody",
          "vase":{"policy":"snapkv","budget":128,"seed":77,"pin_prompt":0.5})");
  EXPECT_EQ(request.sampling.temperature, 0.5f);
  EXPECT_EQ(request.sampling.top_p, 0.25f);
  EXPECT_EQ(request.sampling.min_p, 0.1f);
  EXPECT_EQ(request.sampling.top_k, 7);
  EXPECT_EQ(request.sampling.seed, 9U);
  EXPECT_TRUE(request.sampling.ignore_eog);
  EXPECT_EQ(request.n, 2);
  EXPECT_EQ(request.max_tokens, 11);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.logprobs, 4);
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.include_usage);
  EXPECT_STREQ(vase_policy_name(request.policy.policy), "snapkv");
  EXPECT_EQ(request.policy.budget, 128);
  EXPECT_EQ(request.policy.protect, 32);  // the same share as the server's
  EXPECT_EQ(request.policy.seed, 77U);
  EXPECT_EQ(request.pin_prompt, 0.5f);
}

TEST(ParseRequest, TreatsNullAsAbsent) {
  const CompletionRequest request =
      parse_chat(R"(,"temperature":null,"stop":null,"vase":null,"n":null)");
  EXPECT_EQ(request.n, 1);
  EXPECT_TRUE(request.stop.empty());
}

TEST(ParseRequest, JoinsTheTextPartsOfAMessage) {
  const CompletionRequest request =
      parse_request(Api::chat,
                    R"({"messages":[{"role":"developer","content":[{"type":"text","text":"a"},
          {"type":"text","text":"b"}]}]})",
                    test_rules());
  EXPECT_EQ(request.messages.at(0).content, "ab");
  EXPECT_EQ(request.messages.at(0).role, "system");
}

TEST(ParseRequest, ReadsEveryFormOfAPrompt) {
  const auto prompts = [](const std::string &prompt) {
    return parse_request(Api::completions, R"({"prompt":)" + prompt + "}", test_rules()).prompts;
  };
  EXPECT_EQ(prompts(R"("a")"), std::vector<Prompt>{"a"});
  EXPECT_EQ(prompts(R"(["a","b"])"), (std::vector<Prompt>{"a", "b"}));
  EXPECT_EQ(prompts("[1,2]"), (std::vector<Prompt>{std::vector<std::int32_t>{1, 2}}));
  EXPECT_EQ(prompts("[[1],[2]]").size(), 2U);
}

TEST(ParseRequest, CutsMaxTokensAndPrefersTheNewerName) {
  RequestRules rules = test_rules();
  rules.max_tokens = 100;
  EXPECT_EQ(parse_chat(R"(,"max_tokens":1000)", rules).max_tokens, 100);
  EXPECT_EQ(parse_chat(R"(,"max_tokens":-1)", rules).max_tokens, 100);
  EXPECT_EQ(parse_chat(R"(,"max_tokens":9,"max_completion_tokens":8)", rules).max_tokens, 8);
}

TEST(ParseRequest, AcceptsWholeNumbersHoweverWritten) {
  EXPECT_EQ(parse_chat(R"(,"max_tokens":3.0)").max_tokens, 3);
  EXPECT_EQ(wrong_field(R"(,"max_tokens":3.5)"), "max_tokens");
}

TEST(ParseRequest, KeepsTheBudgetWithinTheServersAndTheModels) {
  RequestRules rules = test_rules();
  rules.least_budget = 200;
  EXPECT_EQ(parse_chat(R"(,"vase":{"budget":200})", rules).policy.budget, 200);
  EXPECT_EQ(wrong_field(R"(,"vase":{"budget":199})", rules), "vase.budget");
  EXPECT_EQ(wrong_field(R"(,"vase":{"budget":513})", rules), "vase.budget");
}

TEST(ParseRequest, GivesEachPolicyItsOwnDefaultsUnlessTheServerSetsThem) {
  RequestRules rules = test_rules();
  rules.policy = vase_params_default(vase_policy_find("vase"), 512);
  const auto parsed = [&](const std::string &cache) {
    return parse_chat(R"(,"vase":{)" + cache + "}", rules);
  };
  EXPECT_EQ(parsed(R"("policy":"vase-plus")").pin_prompt, 0.5f);
  EXPECT_EQ(parsed(R"("policy":"vase-plus","pin_prompt":0)").pin_prompt, 0.0f);
  EXPECT_EQ(parsed(R"("policy":"vase")").pin_prompt, 0.0f);

  rules.policy = vase_params_default(vase_policy_find("vase-plus"), 512);
  EXPECT_EQ(parse_chat("", rules).pin_prompt, 0.5f);

  rules.pin_prompt = 0.25f;
  EXPECT_EQ(parsed(R"("policy":"vase-plus")").pin_prompt, 0.25f);
}

TEST(ParseRequest, GivesEachPolicyAndBudgetItsOwnPaceUnlessTheServerSetsIt) {
  RequestRules rules = test_rules();
  rules.policy = vase_params_default(vase_policy_find("vase-plus"), 4096);
  ASSERT_EQ(rules.policy.interval, 128);
  const auto parsed = [&](const std::string &cache) {
    return parse_chat(R"(,"vase":{)" + cache + "}", rules).policy;
  };
  EXPECT_EQ(parse_chat("", rules).policy.interval, 128);
  EXPECT_EQ(parsed(R"("policy":"vase")").interval, 64);
  EXPECT_EQ(parsed(R"("budget":1024)").interval, 64);
  EXPECT_EQ(parsed(R"("budget":256)").recency, 48);
  EXPECT_EQ(parsed(R"("budget":21)").recency, 16);
  EXPECT_EQ(wrong_field(R"(,"vase":{"budget":20})", rules), "vase.budget");
  EXPECT_EQ(wrong_field(R"(,"vase":{"policy":"vase","budget":68})", rules), "vase.budget");

  rules.policy.recency = 70;
  EXPECT_EQ(parse_chat("", rules).policy.recency, 70);
  rules.recency = 80;
  rules.interval = 100;
  EXPECT_EQ(parsed(R"("policy":"vase","budget":256)").recency, 80);
  EXPECT_EQ(parsed(R"("policy":"vase","budget":256)").interval, 100);

  // The cells of a server that evicts more often hold no longer interval.
  rules.recency = rules.interval = std::nullopt;
  rules.policy = vase_params_default(vase_policy_find("vase"), 4096);
  EXPECT_EQ(parsed(R"("policy":"vase-plus")").interval, 64);
}

TEST(ParseRequest, RefusesPoliciesThatTheServerCannotRun) {
  RequestRules rules = test_rules();
  EXPECT_EQ(wrong_field(R"(,"vase":{"policy":"nobody"})", rules), "vase.policy");
  EXPECT_EQ(wrong_field(R"(,"vase":{"policy":"full"})", rules), "vase.policy");
  rules.keeps_queries = false;
  EXPECT_EQ(wrong_field(R"(,"vase":{"policy":"snapkv"})", rules), "vase.policy");
  EXPECT_EQ(wrong_field(R"(,"vase":{"policy":"vase-cur"})", rules), "no error");
}

TEST(ParseRequest, RefusesWhatItCannotHonour) {
  EXPECT_EQ(wrong_field(R"(,"tools":[{"type":"function"}])"), "tools");
  EXPECT_EQ(wrong_field(R"(,"logit_bias":{"5":1})"), "logit_bias");
  EXPECT_EQ(wrong_field(R"(,"response_format":{"type":"json_schema"})"), "response_format.type");
  EXPECT_EQ(
      wrong_field(R"(,"tools":[],"logit_bias":{},"presence_penalty":0.0,"tool_choice":"none")"),
      "no error");
}

TEST(ParseRequest, NeedsAChatTemplateToChat) {
  RequestRules rules = test_rules();
  rules.has_chat_template = false;
  EXPECT_EQ(wrong_field("", rules), "messages");
}

}  // namespace
}  // namespace vase::server
