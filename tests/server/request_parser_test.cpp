#include "server/request_parser.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

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

TEST(ParseRequest, ReadsWhatWasThought) {
  const auto messages = [](const std::string &reasoning) {
    return R"({"messages":[{"role":"assistant","content":"4","reasoning_content":)" + reasoning +
           "}]}";
  };
  const auto thought_in = [&](const std::string &reasoning) {
    return parse_request(Api::chat, messages(reasoning), test_rules()).messages.at(0).reasoning;
  };
  EXPECT_EQ(thought_in(R"("2 + 2")"), "2 + 2");
  EXPECT_EQ(thought_in("null"), "");
  try {
    thought_in("[4]");
    ADD_FAILURE() << "an array was taken for a text";
  } catch (const ApiError &error) {
    EXPECT_EQ(error.param(), "messages[0].reasoning_content");
  }
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

TEST(ParseRequest, RunsNoSelection) {
  try {
    parse_chat(R"(,"vase":{"policy":"quest"})");
    FAIL() << "a selection is no policy";
  } catch (const ApiError &error) {
    EXPECT_EQ(error.param(), "vase.policy");
    EXPECT_NE(std::string(error.what()).find("quest is a selection"), std::string::npos)
        << error.what();
  }
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

  RequestRules small = test_rules();
  small.policy = vase_params_default(vase_policy_find("vase-plus"), 64);
  EXPECT_EQ(wrong_field(R"(,"vase":{"policy":"random"})", small), "vase") << "it keeps 64 newest";

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
  EXPECT_EQ(wrong_field(R"(,"vase":{"policy":"triattention"})", rules), "vase.policy");
  rules.calibrated = true;
  EXPECT_EQ(wrong_field(R"(,"vase":{"policy":"triattention"})", rules), "no error");
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

TEST(ParseRequest, TakesSeedsOf63Bits) {
  EXPECT_EQ(parse_chat(R"(,"seed":9223372036854775807)").sampling.seed, 0x80000000U);
  EXPECT_NE(parse_chat(R"(,"seed":4611686018427387905)").sampling.seed,
            parse_chat(R"(,"seed":4611686018427387906)").sampling.seed);
  EXPECT_EQ(parse_chat(R"(,"seed":-7)").sampling.seed, parse_chat(R"(,"seed":-7)").sampling.seed);
  EXPECT_EQ(parse_chat(R"(,"vase":{"seed":9223372036854775807})").policy.seed,
            9223372036854775807U);
  EXPECT_EQ(wrong_field(R"(,"seed":9223372036854775808)"), "seed");
  EXPECT_EQ(wrong_field(R"(,"seed":1e30)"), "seed");
  EXPECT_EQ(wrong_field(R"(,"vase":{"seed":9223372036854775808})"), "vase.seed");
}

TEST(ParseRequest, TakesLlamaCppsNameForTheLength) {
  EXPECT_EQ(parse_chat(R"(,"n_predict":7)").max_tokens, 7);
  EXPECT_EQ(parse_chat(R"(,"n_predict":-1)").max_tokens, test_rules().max_tokens);
  EXPECT_EQ(parse_chat(R"(,"n_predict":7,"max_tokens":8)").max_tokens, 8);
  EXPECT_EQ(wrong_field(R"(,"n_predict":"many")"), "n_predict");
}

TEST(ParseRequest, RefusesWhatConstrainsInOtherServers) {
  const std::vector<std::pair<std::string, std::string>> asked = {
      {"grammar", R"("root ::= \"a\"")"},
      {"json_schema", "{}"},
      {"json_schema", R"({"type":"object"})"},
      {"repeat_penalty", "1.1"},
      {"repeat_penalty", "0"},
      {"typical_p", "0.5"},
      {"top_n_sigma", "1"},
      {"xtc_probability", "0.1"},
      {"dry_multiplier", "0.8"},
      {"dynatemp_range", "0.5"},
      {"mirostat", "2"},
      {"samplers", R"(["top_k"])"},
      {"n_probs", "5"},
      {"t_max_predict_ms", "100"},
      {"lora", R"([{"id":0,"scale":1}])"},
      {"chat_template_kwargs", R"({"enable_thinking":false})"},  // without Jinja
      {"repetition_penalty", "1.2"},
      {"min_tokens", "3"},
      {"stop_token_ids", "[2]"},
      {"guided_json", "{}"},
      {"guided_choice", R"(["a"])"},
      {"tool_choice", R"("required")"},
      {"modalities", R"(["text","audio"])"},
      {"reasoning_effort", R"("low")"}};
  for (const auto &[name, value] : asked) {
    EXPECT_EQ(wrong_field(",\"" + name + "\":" + value), name) << value;
  }
  EXPECT_EQ(wrong_field(R"(,"response_format":{"type":"text","schema":{}})"),
            "response_format.schema");
}

TEST(ParseRequest, SetsVariablesOfAChatTemplateInJinja) {
  RequestRules rules = test_rules();
  rules.jinja = true;
  const auto variables = [&](const std::string &fields) {
    return parse_chat(fields, rules).variables;
  };
  EXPECT_EQ(variables(R"(,"chat_template_kwargs":{"enable_thinking":false,"a":["b"]})"),
            (engine::TemplateVariables{{"a", R"(["b"])"}, {"enable_thinking", "false"}}));
  EXPECT_EQ(variables(R"(,"reasoning_effort":"low")"),
            (engine::TemplateVariables{{"reasoning_effort", R"("low")"}}));
  EXPECT_EQ(variables(R"(,"reasoning_effort":"none")"),
            (engine::TemplateVariables{{"enable_thinking", "false"}}));
  EXPECT_EQ(wrong_field(R"(,"chat_template_kwargs":[1])", rules), "chat_template_kwargs");
  EXPECT_EQ(wrong_field(R"(,"chat_template_kwargs":{"enable_thinking":"no"})", rules),
            "chat_template_kwargs.enable_thinking");
}

TEST(ParseRequest, TakesWhatAsksForNothing) {
  EXPECT_EQ(wrong_field(R"(,"grammar":"","json_schema":null,"repeat_penalty":1.0,"typical_p":1.0,
      "top_n_sigma":-1,"xtc_probability":0.0,"dry_multiplier":0.0,"dynatemp_range":0,"mirostat":0,
      "samplers":[],"n_probs":0,"lora":[],"chat_template_kwargs":{},"repetition_penalty":1,
      "min_tokens":0,"tool_choice":"auto","modalities":["text"],"reasoning_effort":"none",
      "cache_prompt":true,"response_format":{"type":"text"})"),
            "no error");
}

std::string wrong_field_of_messages(const std::string &messages) {
  try {
    parse_request(Api::chat, R"({"messages":[)" + messages + "]}", test_rules());
  } catch (const ApiError &error) {
    return error.param();
  }
  return "no error";
}

TEST(ParseRequest, DropsNothingOfAMessage) {
  EXPECT_EQ(
      wrong_field_of_messages(
          R"({"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function"}]})"),
      "messages[0].tool_calls");
  EXPECT_EQ(
      wrong_field_of_messages(R"({"role":"assistant","content":"x","function_call":{"name":"f"}})"),
      "messages[0].function_call");
  EXPECT_EQ(wrong_field_of_messages(R"({"role":"tool","tool_call_id":"a","content":"4"})"),
            "messages[0].role");
  EXPECT_EQ(wrong_field_of_messages(R"({"role":"assistant","content":"x","tool_calls":[]})"),
            "no error");
  EXPECT_EQ(wrong_field_of_messages(R"({"role":"assistant","content":"x","refusal":null})"),
            "no error");
}

TEST(ParseRequest, NeedsAChatTemplateToChat) {
  RequestRules rules = test_rules();
  rules.has_chat_template = false;
  EXPECT_EQ(wrong_field("", rules), "messages");
}

}  // namespace
}  // namespace vase::server
