// The small parts that write numbers, tables and suggestions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/app.hpp"
#include "cli/memory.hpp"
#include "cli/report.hpp"
#include "cli/suggest.hpp"
#include "cli/table.hpp"
#include "cli/units.hpp"

namespace vase::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Units, PutsCommas) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(-123456), "-123,456");
  EXPECT_EQ(with_commas(1234567), "1,234,567");
}

TEST(Units, WritesBytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(std::uint64_t{8} << 30U), "8.0 GiB");
}

TEST(Units, ReadsBytes) {
  EXPECT_EQ(parse_bytes("100"), 100U);
  EXPECT_EQ(parse_bytes("8GiB"), std::uint64_t{8} << 30U);
  EXPECT_EQ(parse_bytes("8G"), std::uint64_t{8} << 30U);
  EXPECT_EQ(parse_bytes("8 gb"), 8000000000U);
  EXPECT_EQ(parse_bytes("1.5k"), 1536U);
  for (const char *bad : {"", "GiB", "8X", "0", "-1G", "nan", "1e30", "8GiBs"}) {
    EXPECT_THROW(parse_bytes(bad), Error) << bad;
  }
}

TEST(Nearest, SuggestsSlipsOnly) {
  const std::vector<std::string> names = {"vase", "vase-cur", "snapkv", "rkv"};
  EXPECT_EQ(nearest("vsae", names), "vase");
  EXPECT_EQ(nearest("vase_cur", names), "vase-cur");
  EXPECT_EQ(nearest("snap-kv", names), "snapkv");
  EXPECT_EQ(nearest("completely-different", names), "");
}

TEST(Nearest, OrdersAll) {
  const std::vector<std::string> names = {"vase", "vase-cur", "snapkv", "rkv"};
  EXPECT_THAT(by_nearness("cur", names), ElementsAre("vase-cur", "rkv", "vase", "snapkv"));
  EXPECT_THAT(by_nearness("snapk", names), ElementsAre("snapkv", "vase", "rkv", "vase-cur"));
}

TEST(Table, AlignsColumns) {
  Table table({"name", "n"});
  table.add({"a", "100"});
  table.add({"long name"});
  EXPECT_EQ(table.str(), "name         n\na          100\nlong name\n");
}

TEST(Arguments, GivesTwoDashesToNamesOfSeveralLetters) {
  const char *argv[] = {"vase", "run", "-ngl", "3", "-ctk=f16", "-p", "-n"};
  EXPECT_THAT(arguments_for_parser(7, argv),
              ElementsAre("-n", "-p", "--ctk=f16", "3", "--ngl", "run"));
}

TEST(Memory, SaysHowMuchIsNeeded) {
  MemoryPlan plan;
  plan.weights = std::size_t{6} << 30U;
  plan.kv = std::size_t{4} << 30U;
  EXPECT_NO_THROW(check_memory(plan, std::nullopt, "-c"));
  EXPECT_NO_THROW(check_memory(plan, std::uint64_t{10} << 30U, "-c"));
  try {
    check_memory(plan, std::uint64_t{8} << 30U, "-c");
    FAIL() << "accepted";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("10.0 GiB"), HasSubstr("8.0 GiB is available"),
                                    HasSubstr("smaller -c, or --force")));
  }
}

Report example() {
  Report report;
  report.prompt_tokens = report.prompt_done = 12;
  report.generated = 5000;
  report.prompt_seconds = 0.1;
  report.generate_seconds = 100;
  report.tokens = 5012;
  report.rows = 1040;
  report.most_rows = 1088;
  report.evictions = 62;
  report.kv_bytes = 24 << 20U;
  report.full_kv_bytes = 110 << 20U;
  report.n_ctx_train = 8192;
  report.finish = "as many as asked for";
  return report;
}

TEST(Report, ShowsTheStatus) {
  EXPECT_EQ(status_text(example()),
            " 5,000 tokens | 50.0 tok/s | cache 1,040/1,088 | 62 evictions | 86.0 MiB saved ");
  Report reading = example();
  reading.prompt_tokens = 5000;
  EXPECT_THAT(status_text(reading), HasSubstr("reading the prompt: 12/5,000 tokens"));
  Report again = example();
  again.to_reread = 6000;
  EXPECT_THAT(status_text(again), HasSubstr("again: 5,012/6,000 tokens | cache 1,040/1,088"));
}

TEST(Report, SummarisesWithoutClaimingASavingThatIsNone) {
  EXPECT_THAT(summary_text(example()),
              AllOf(HasSubstr("a full cache would hold 110.0 MiB"), Not(HasSubstr("note"))));
  Report small = example();
  small.full_kv_bytes = 1 << 20U;
  EXPECT_THAT(summary_text(small), Not(HasSubstr("full cache")));
  Report beyond = example();
  beyond.tokens = 9000;
  EXPECT_THAT(summary_text(beyond), HasSubstr("trained on texts of 8,192 tokens"));
}

}  // namespace
}  // namespace vase::cli
