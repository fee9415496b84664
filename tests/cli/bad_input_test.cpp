// Every mistake of the user gives one line that says what is wrong, and an exit code that is not 0.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "ggml-backend.h"
#include "process.hpp"

namespace vase::cli::test {
namespace {

using ::testing::HasSubstr;

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

void expect_one_line(const std::vector<std::string> &arguments, int exit_code,
                     const std::string &message, const RunOptions &options = {}) {
  const Outcome outcome = run_vase(arguments, options);
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(count_lines(outcome.err), 1U) << outcome.err;
  EXPECT_TRUE(outcome.err.starts_with("vase: ")) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(message));
}

class BadInput : public ::testing::Test {
 protected:
  ~BadInput() override { std::filesystem::remove_all(folder_); }
  std::string file(const std::string &name, const std::string &content) const {
    return write_file(folder_ + "/" + name, content);
  }
  std::string folder_ = make_temporary_folder();
};

TEST_F(BadInput, CommandMissingOrUnknown) {
  expect_one_line({}, kWrongUsage, "no command given: run, chat");
  expect_one_line({"rnu"}, kWrongUsage, "unknown command \"rnu\", did you mean \"run\"?");
  expect_one_line({"--frobnicate"}, kWrongUsage, "--frobnicate");
}

TEST_F(BadInput, OptionUnknownOrWithoutValue) {
  expect_one_line({"run", "--frobnicate", "-p", "x"}, kWrongUsage, "--frobnicate");
  expect_one_line({"run", "-p"}, kWrongUsage, "--prompt");
}

TEST_F(BadInput, AnEmptyNameIsNoDefault) {
  for (const char *command : {"run", "chat", "serve", "eval", "recall", "fidelity", "bench", "plan",
                              "inspect", "stress"}) {
    expect_one_line({command, "-m", ""}, kWrongUsage, "--model: the name is empty");
    expect_one_line({command, "--lora", ""}, kWrongUsage, "--lora: the name is empty");
  }
}

TEST_F(BadInput, AFolderIsNoFile) {
  const std::string problems = file("problems.jsonl", "");
  for (const auto &[first, second] : {std::pair(folder_, problems), std::pair(problems, folder_)}) {
    const Outcome outcome = run_vase({"tasks", "grade", first, second});
    EXPECT_EQ(outcome.exit_code, kFailed);
    EXPECT_EQ(outcome.err, "vase tasks: " + folder_ + " is a folder, not a file\n");
  }
  expect_one_line({"serve", "--api-key-file", folder_}, kFailed, folder_ + " is a folder");
}

TEST_F(BadInput, PolicyUnknown) {
  expect_one_line({"run", "-p", "x", "--policy", "vsae"}, kWrongUsage,
                  "unknown policy \"vsae\", did you mean \"vase\"?");
  expect_one_line({"run", "-p", "x", "--policy", "something-else"}, kWrongUsage,
                  "`vase policies` lists them");
}

// Nothing but eval and fidelity runs them; those two say what of them cannot be set.
TEST_F(BadInput, SelectionsAreNoPolicies) {
  for (const char *selection : {"oracle", "quest"}) {
    for (const char *command : {"run", "serve", "chat", "bench", "plan", "exec", "inspect"}) {
      expect_one_line({command, "--policy", selection}, kWrongUsage,
                      std::string(selection) + " is a selection, not a policy");
    }
    expect_one_line({"eval", "--policies", selection + std::string("+prompt")}, kFailed,
                    "no parameters but its budget");
  }
}

TEST_F(BadInput, CacheTypeUnknown) {
  expect_one_line({"run", "-p", "x", "-ctk", "q5"}, kWrongUsage,
                  "unknown cache type \"q5\" (known: bf16, f16, f32, q4_0, q8_0)");
}

TEST_F(BadInput, SplitsOverGpus) {
  expect_one_line({"run", "-p", "x", "-sm", "rows"}, kWrongUsage,
                  "unknown split mode \"rows\" (known: none, layer, row)");
  expect_one_line({"run", "-p", "x", "--split-mode", "tensor"}, kWrongUsage,
                  "which evictions do not reach: take layer, or row");
  expect_one_line({"run", "-p", "x", "-ts", "3,-1"}, kWrongUsage, "--tensor-split");
  expect_one_line({"run", "-p", "x", "-mg", "-1"}, kWrongUsage, "--main-gpu");
}

TEST_F(BadInput, ServersOfDevices) {
  expect_one_line({"bench", "--rpc", "elsewhere"}, kFailed,
                  "--rpc \"elsewhere\": an address is HOST:PORT");
  expect_one_line({"bench", "--rpc", "elsewhere:99999"}, kFailed, "an address is HOST:PORT");
  // Nobody listens at port 1.
  const bool has_backend = ggml_backend_reg_by_name("RPC") != nullptr;
  expect_one_line(
      {"bench", "--rpc", "127.0.0.1:1"}, kFailed,
      has_backend ? "--rpc 127.0.0.1:1: no ggml-rpc-server of the same llama.cpp version answers"
                  : "--rpc: this libllama has no RPC backend; `VASE_BACKENDS=rpc make build`");
}

TEST_F(BadInput, NumbersOutOfRangeOrNone) {
  expect_one_line({"run", "-p", "x", "--budget", "-5"}, kWrongUsage, "at least 1, not -5");
  expect_one_line({"run", "-p", "x", "--budget", "many"}, kWrongUsage, "\"many\" is not a whole");
  expect_one_line({"run", "-p", "x", "-t", "0"}, kWrongUsage, "--threads");
  expect_one_line({"run", "-p", "x", "-n", "-2"}, kWrongUsage, "--n-predict");
  expect_one_line({"run", "-p", "x", "--temp", "-1"}, kWrongUsage, "--temp");
  expect_one_line({"run", "-p", "x", "--temp", "nan"}, kWrongUsage, "--temp");
  expect_one_line({"run", "-p", "x", "--top-p", "2"}, kWrongUsage, "from 0 to 1, not 2");
  expect_one_line({"run", "-p", "x", "--protect", "120%"}, kWrongUsage, "--protect");
  expect_one_line({"run", "-p", "x", "--protect", "-1"}, kWrongUsage, "nor auto");
  expect_one_line({"run", "-p", "x", "--pin-prompt=1.5"}, kWrongUsage, "--pin-prompt");
  expect_one_line({"run", "-p", "x", "--seed", "99999999999999999999"}, kWrongUsage, "--seed");
}

TEST_F(BadInput, ThinkingBudgets) {
  for (const std::vector<std::string> &command :
       {std::vector<std::string>{"run", "-p", "x"}, {"chat"}, {"serve"}, {"eval"}, {"plan"}}) {
    const auto with = [&](const std::vector<std::string> &options) {
      std::vector<std::string> all = command;
      all.insert(all.end(), options.begin(), options.end());
      return all;
    };
    expect_one_line(with({"--reasoning-budget", "-2"}), kWrongUsage, "at least -1, not -2");
    expect_one_line(with({"--reasoning-budget", "100", "-n", "100"}), kFailed,
                    "--reasoning-budget 100 leaves nothing of -n 100 for the answer");
    if (command[0] == "serve") continue;  // requests may have budgets of their own
    expect_one_line(with({"--reasoning-budget-message", "So:"}), kFailed, "--reasoning-budget N");
  }
}

TEST_F(BadInput, ChatTemplates) {
  const std::string empty = folder_ + "/no-template.jinja";
  std::ofstream(empty) << "no braces";
  for (const std::vector<std::string> &command :
       {std::vector<std::string>{"run", "--chat", "-p", "x"}, {"chat"}, {"serve"}, {"eval"}}) {
    const auto with = [&](const std::vector<std::string> &options) {
      std::vector<std::string> all = command;
      all.insert(all.end(), options.begin(), options.end());
      return all;
    };
    expect_one_line(with({"--chat-template-kwargs", "[1]"}), kFailed,
                    "--chat-template-kwargs must be a JSON object, as "
                    "{\"enable_thinking\": false}, not [1]");
    expect_one_line(with({"--chat-template-kwargs", "{\"enable_thinking\": 1}"}), kFailed,
                    "enable_thinking must be true or false, not 1");
    expect_one_line(with({"--chat-template", "chatmel"}), kFailed,
                    "--chat-template chatmel: llama.cpp has none of that name (it has ");
    expect_one_line(with({"--chat-template-file", empty}), kFailed, "there are no braces");
    expect_one_line(with({"--chat-template-file", folder_ + "/nothing"}), kFailed,
                    "cannot read " + folder_ + "/nothing");
    expect_one_line(with({"--reasoning", "maybe"}), kWrongUsage, "--reasoning");
  }
}

TEST_F(BadInput, PromptsThatCannotBePutAside) {
  expect_one_line({"serve", "--cache-ram", "-1"}, kWrongUsage, "at least 0, not -1");
  expect_one_line({"serve", "--cache-ram", "999999999"}, kFailed,
                  "--cache-ram 999999999 is 953.7 TiB, and this machine has ");
  expect_one_line({"serve", "--cache-ram", "0", "--cache-dir", folder_}, kFailed,
                  "--cache-dir keeps what --cache-ram holds");
  expect_one_line({"serve", "--cache-disk", "9"}, kWrongUsage, "--cache-disk requires --cache-dir");
  expect_one_line({"serve", "--cache-disk", "0", "--cache-dir", folder_}, kWrongUsage,
                  "at least 1, not 0");
}

TEST_F(BadInput, BudgetTooSmall) {
  expect_one_line({"run", "-p", "x", "--policy", "vase", "--budget", "60"}, kFailed, "60");
  expect_one_line({"run", "-p", "x", "--budget", "4"}, kFailed, "budget 4 is too small");
  expect_one_line({"policies", "--budget", "4"}, kFailed, "budget 4 is too small");
}

TEST_F(BadInput, OptionsThatThePolicyDoesNotLookAt) {
  struct Case {
    std::vector<std::string> option;
    std::vector<const char *> looks_at_it, does_not;
  };
  const std::vector<Case> cases = {
      {{"--window", "32"}, {"vase", "snapkv", "rkv", "attn-random"}, {"vase-plus", "random"}},
      {{"--temperature-attn", "2"}, {"vase", "snapkv", "rkv"}, {"vase-plus", "vase-cur"}},
      {{"--protect", "25%"}, {"vase", "attn-random"}, {"vase-plus", "snapkv", "rkv", "random"}},
      {{"--lambda", "0.1"}, {"rkv"}, {"vase-plus", "snapkv", "vase", "streaming"}},
      {{"--recency", "32"}, {"vase", "vase-plus", "random"}, {"full"}},
      {{"--pin-prompt", "0.3"}, {"vase", "vase-plus", "random"}, {"full"}},
      {{"--budget", "512"}, {"vase", "vase-plus", "random"}, {"full"}}};
  for (const Case &one : cases) {
    std::vector<std::string> arguments = {"run", "-p", "x", "-m", folder_ + "/none.gguf"};
    arguments.insert(arguments.end(), one.option.begin(), one.option.end());
    for (const char *policy : one.looks_at_it) {
      std::vector<std::string> with = arguments;
      with.insert(with.end(), {"--policy", policy});
      expect_one_line(with, kFailed, "none.gguf");
    }
    for (const char *policy : one.does_not) {
      std::vector<std::string> with = arguments;
      with.insert(with.end(), {"--policy", policy});
      expect_one_line(
          with, kFailed,
          std::string(policy) + " does not look at " + one.option[0] + ": leave it out");
    }
  }
}

TEST_F(BadInput, CalibrationsThatAreMissingOrOfNoUse) {
  expect_one_line({"run", "-p", "x", "--policy", "triattention"}, kFailed,
                  "`vase calibrate -m MODEL -f TEXT -o FILE` measures it");
  for (const auto &command : std::vector<std::vector<std::string>>{
           {"run", "-p", "x", "--calibration", "x.cal"},
           {"eval", "--policies", "vase,random", "--calibration", "x.cal"}})
    expect_one_line(command, kFailed, "needs none; leave it out, or take triattention");
  expect_one_line({"exec", "--calibration", "x.cal", "--", "llama-server"}, kFailed,
                  "vase-plus needs none; leave it out, or take triattention");
  expect_one_line({"calibrate", "-f", "x"}, kWrongUsage, "--out is required");
  expect_one_line({"calibrate", "-f", "x", "-o", "y", "-n", "3"}, kWrongUsage, "at least 64");
}

TEST_F(BadInput, LoopGuardWithAPolicyThatDoesNotEvict) {
  for (const char *command : {"run", "serve"}) {
    std::vector<std::string> arguments = {command, "--policy", "full", "--loop-guard"};
    if (arguments[0] == "run") arguments.insert(arguments.end(), {"-p", "x"});
    expect_one_line(arguments, kFailed, "--loop-guard is for policies that evict, and full");
  }
}

TEST_F(BadInput, ContextSizeWithAPolicyThatEvicts) {
  expect_one_line({"run", "-p", "x", "-c", "4096"}, kFailed, "--ctx-size is for --policy full");
}

TEST_F(BadInput, PromptMissingEmptyOrNotText) {
  expect_one_line({"run", "-p", ""}, kFailed, "the prompt is empty");
  expect_one_line({"run"}, kFailed, "the prompt on the standard input is empty");
  expect_one_line({"run", "-f", folder_ + "/none"}, kFailed, "No such file");
  expect_one_line({"run", "-f", folder_}, kFailed, "cannot read");
  expect_one_line({"run", "-f", file("empty", "\n")}, kFailed, "is empty");
  expect_one_line({"run", "-f", file("binary", "ab\xFF")}, kFailed,
                  "not valid UTF-8 (byte 0xff at offset 2)");
  expect_one_line({"run", "-f", "-"}, kFailed, "not valid UTF-8", {.input = "a\x80"});
  expect_one_line({"run", "-p", "x", "-f", file("text", "y")}, kWrongUsage, "--file");
}

TEST_F(BadInput, ModelMissingOrNotOne) {
  const auto run = [](const std::string &model) {
    return std::vector<std::string>{"run", "-p", "x", "-m", model};
  };
  expect_one_line(run(folder_ + "/none.gguf"), kFailed, folder_ + "/none.gguf");
  expect_one_line(run(folder_), kFailed, folder_);
  expect_one_line(run(file("empty.gguf", "")), kFailed, "empty.gguf");
  expect_one_line(run(file("text.gguf", "not a model at all")), kFailed, "not a GGUF");
  expect_one_line(run(file("short.gguf", "GGUF")), kFailed, "short.gguf");
  expect_one_line(run(file("header.gguf", std::string("GGUF\3\0\0\0\x10", 9))), kFailed,
                  "header.gguf");
}

TEST_F(BadInput, AdapterOrModelMissingInEveryCommand) {
  const std::string text = file("text", "some text");
  const std::string none = folder_ + "/none.gguf";
  const std::string out = folder_ + "/out";
  for (const std::vector<std::string> &command : {std::vector<std::string>{"run", "-p", "x"},
                                                  {"chat"},
                                                  {"serve", "--port", "0"},
                                                  {"eval", "-o", out},
                                                  {"recall", "-f", text, "-o", out},
                                                  {"fidelity", "-f", text, "-o", out},
                                                  {"bench"},
                                                  {"plan"},
                                                  {"inspect", "-f", text},
                                                  {"stress"},
                                                  {"calibrate", "-f", text, "-o", out}}) {
    std::vector<std::string> all = command;
    all.insert(all.end(), {"--lora", none});
    expect_one_line(
        all, kFailed,
        "cannot open the adapter " + none + ": No such file or directory; --lora takes");
    all[all.size() - 2] = "-m";
    expect_one_line(all, kFailed, "cannot open the model " + none + ": No such file or directory");
    EXPECT_FALSE(std::filesystem::exists(out));
  }
}

TEST_F(BadInput, AdapterThatIsNone) {
  const auto run = [](const std::string &adapter) {
    return std::vector<std::string>{"run", "-p", "x", "--lora", adapter};
  };
  const std::string advice = "; --lora takes a LoRA adapter as llama.cpp's";
  expect_one_line(run(folder_), kFailed,
                  folder_ + " is a folder, not a GGUF adapter file" + advice);
  const std::string text = file("text.gguf", "no adapter at all");
  expect_one_line(run(text), kFailed, text + " is not a GGUF adapter file (it does not begin with");
  expect_one_line(run(text), kFailed, advice);
}

TEST_F(BadInput, DefaultModelNotFetched) {
  setenv("VASE_CACHE", folder_.c_str(), 1);
  expect_one_line({"run", "-p", "x"}, kFailed, "make model");
  unsetenv("VASE_CACHE");
}

TEST_F(BadInput, UnwritableJson) {
  expect_one_line({"bench", "--json", folder_ + "/none/x.json"}, kFailed, "cannot write");
}

TEST_F(BadInput, RowsFile) {
  expect_one_line({"run", "-p", "x", "--rows", folder_ + "/none/x"}, kFailed, "cannot write");
  expect_one_line({"run", "-p", "x", "--rows", folder_}, kFailed, "cannot write");
  expect_one_line({"run", "-p", "x", "--policy", "full", "--rows", folder_ + "/x"}, kFailed,
                  "--rows is for policies that evict");
}

TEST_F(BadInput, BenchOfTheFullCacheAgainstItself) {
  expect_one_line({"bench", "--policy", "full"}, kFailed, "choose another --policy");
}

TEST_F(BadInput, SizeThatIsNone) {
  expect_one_line({"plan", "--fit", "lots"}, kWrongUsage, "\"lots\" is not a size");
  expect_one_line({"plan", "--fit", "-1GiB"}, kWrongUsage, "is not a size");
}

}  // namespace
}  // namespace vase::cli::test
