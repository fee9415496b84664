// Models by name: the catalogue, `vase models`, and -m.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/model_catalogue.hpp"
#include "process.hpp"
#include "vase/llama.hpp"

namespace vase::cli::test {
namespace {

using ::testing::HasSubstr;

// A cache of its own, empty.
class Models : public ::testing::Test {
 protected:
  Models() { setenv("VASE_CACHE", folder_.c_str(), 1); }
  ~Models() override {
    unsetenv("VASE_CACHE");
    std::filesystem::remove_all(folder_);
  }
  // A file of the model's length, which holds nothing.
  void put(const KnownModel &model) const {
    std::filesystem::create_directories(path_of(model).parent_path());
    std::ofstream(path_of(model)).put('\0');
    std::filesystem::resize_file(path_of(model), model.bytes);
  }
  static std::string refusal(const std::string &name) {
    try {
      return "found " + model_file(name).string();
    } catch (const Error &error) {
      return error.what();
    }
  }
  std::string folder_ = make_temporary_folder();
  const KnownModel &second_ = known_models().at(1);
};

TEST_F(Models, TheTableIsWhole) {
  std::set<std::string> names, files;
  for (const KnownModel &model : known_models()) {
    EXPECT_TRUE(names.insert(model.name).second) << model.name;
    EXPECT_TRUE(files.insert(model.file).second) << model.file;
    EXPECT_TRUE(model.file.ends_with(".gguf")) << model.file;
    EXPECT_FALSE(model.licence.empty()) << model.name;
    EXPECT_GT(model.bytes, 1'000'000u) << model.name;
    EXPECT_EQ(path_of(model).parent_path(), folder_ + "/models");
    const std::string packages = VASE_CATALOGUE_FOLDER "/" + model.name + ".txt";
    EXPECT_TRUE(std::filesystem::exists(packages)) << packages;
  }
}

TEST_F(Models, ANameIsAFileOnceItWasFetched) {
  EXPECT_THAT(refusal(second_.name), HasSubstr("is not at " + path_of(second_).string() +
                                               ": scripts/fetch-model.sh " + second_.name));
  put(second_);
  EXPECT_EQ(model_file(second_.name), path_of(second_));
  std::filesystem::resize_file(path_of(second_), second_.bytes - 1);  // an interrupted copy
  EXPECT_THAT(refusal(second_.name), HasSubstr(fetch_command(second_)));
}

TEST_F(Models, AFileGoesBeforeAName) {
  EXPECT_EQ(model_file("none/model"), "none/model");  // says later that it cannot be opened
  EXPECT_EQ(model_file("none.gguf"), "none.gguf");
  const std::string file = write_file(folder_ + "/anything", "x");
  EXPECT_EQ(model_file(file), file);
}

TEST_F(Models, AWrongNameIsAnsweredWithTheNearestFirst) {
  EXPECT_THAT(refusal("gemma"), HasSubstr("the nearest first: gemma-3-270m, "));
  EXPECT_THAT(refusal("Qwen2.5-Coder-0.5B-Instuct"),
              HasSubstr("the nearest first: qwen2.5-coder-0.5b-instruct, "));
  EXPECT_THAT(refusal("smollm2-135-instruct"), HasSubstr("the nearest first: smollm2-135m"));
}

TEST_F(Models, EverySubcommandThatLoadsAModelTakesNames) {
  const std::string text = write_file(folder_ + "/text", "text");
  const std::vector<std::vector<std::string>> commands = {
      {"run", "-p", "x"},       {"chat"}, {"serve"}, {"plan"}, {"bench"}, {"inspect"}, {"stress"},
      {"fidelity", "-f", text}, {"eval"}};
  for (std::vector<std::string> command : commands) {
    command.insert(command.end(), {"-m", second_.name});
    const Outcome outcome = run_vase(command);
    EXPECT_NE(outcome.exit_code, 0) << command[0];
    EXPECT_THAT(outcome.err, HasSubstr(fetch_command(second_))) << command[0];
  }
}

TEST_F(Models, AreListed) {
  put(second_);
  const Outcome text = run_vase({"models"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  for (const KnownModel &model : known_models()) EXPECT_THAT(text.out, HasSubstr(model.name));
  EXPECT_THAT(text.out, HasSubstr(fetch_command(known_models().front())));
  EXPECT_THAT(text.out, Not(HasSubstr(fetch_command(second_))));

  const nlohmann::json json = nlohmann::json::parse(run_vase({"models", "--json"}).out);
  ASSERT_EQ(json.size(), known_models().size());
  EXPECT_TRUE(json[0]["default"]);
  EXPECT_FALSE(json[0]["there"]);
  EXPECT_TRUE(json[1]["there"]);
  EXPECT_EQ(json[1]["bytes"], second_.bytes);
  EXPECT_EQ(json[1]["path"], path_of(second_).string());
}

}  // namespace
}  // namespace vase::cli::test
