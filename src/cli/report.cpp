#include "cli/report.hpp"

#include <fmt/format.h>

#include "cli/units.hpp"
#include "core/training_length.hpp"

namespace vase::cli {
namespace {

double rate(std::int64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
}

std::string cache_fill(const Report &report) {
  return fmt::format("cache {}/{}", with_commas(report.rows), with_commas(report.most_rows));
}

// What the bound saves; nothing while a full cache would still be smaller.
std::string saving(const Report &report) {
  if (report.full_kv_bytes <= report.kv_bytes) return {};
  return fmt::format("{} saved", format_bytes(report.full_kv_bytes - report.kv_bytes));
}

std::string memory_line(const Report &report) {
  std::string line = fmt::format("KV cache {}", format_bytes(report.kv_bytes));
  if (report.full_kv_bytes > report.kv_bytes) {
    line += fmt::format(
        "; a full cache would hold {}, {:.1f} times as much", format_bytes(report.full_kv_bytes),
        static_cast<double>(report.full_kv_bytes) / static_cast<double>(report.kv_bytes));
  }
  return line;
}

std::string reused(const Report &report) {
  if (report.prompt_reused == 0) return {};
  return fmt::format("; {} of earlier turns not read again", with_commas(report.prompt_reused));
}

std::string evictions_line(const Report &report) {
  if (report.evictions == 0) return "none yet";
  const double total = report.prompt_seconds + report.generate_seconds;
  return fmt::format("{}, {:.1f}% of the time", with_commas(report.evictions),
                     total > 0 ? 100 * report.overhead_seconds / total : 0.0);
}

}  // namespace

std::string status_text(const Report &report) {
  if (report.prompt_done < report.prompt_tokens) {
    return fmt::format(" reading the prompt: {}/{} tokens | {} | {} evictions ",
                       with_commas(report.prompt_done), with_commas(report.prompt_tokens),
                       cache_fill(report), with_commas(report.evictions));
  }
  if (report.to_reread > 0) {
    return fmt::format(" a loop: reading the text before it again: {}/{} tokens | {} ",
                       with_commas(report.tokens), with_commas(report.to_reread),
                       cache_fill(report));
  }
  std::string text =
      fmt::format(" {} tokens | {:.1f} tok/s | {} | {} evictions", with_commas(report.generated),
                  rate(report.generated, report.generate_seconds), cache_fill(report),
                  with_commas(report.evictions));
  if (const std::string saved = saving(report); !saved.empty()) text += " | " + saved;
  return text + " ";
}

std::string summary_text(const Report &report) {
  std::string text;
  const auto line = [&](const char *name, const std::string &what) {
    text += fmt::format("{:<11}{}\n", name, what);
  };
  line("prompt", fmt::format("{} tokens, {:.1f} tok/s{}", with_commas(report.prompt_done),
                             rate(report.prompt_done, report.prompt_seconds), reused(report)));
  line("generated", fmt::format("{} tokens, {:.1f} tok/s ({})", with_commas(report.generated),
                                rate(report.generated, report.generate_seconds), report.finish));
  line("cache", fmt::format("{} of {} tokens in each head", with_commas(report.rows),
                            with_commas(report.tokens)));
  line("evictions", evictions_line(report));
  if (report.thoughts_cut > 0) {
    line("thoughts",
         fmt::format("{} ended by --reasoning-budget", with_commas(report.thoughts_cut)));
  }
  if (report.loop_alarms > 0) {
    line("loop guard", fmt::format("went back {} {}", with_commas(report.loop_alarms),
                                   report.loop_alarms == 1 ? "time" : "times"));
  }
  line("memory", memory_line(report));
  line("seed", fmt::format("{}", report.seed));
  const std::string note = beyond_training("the text has", report.tokens, report.n_ctx_train);
  if (!note.empty()) line("note", note);
  return text;
}

}  // namespace vase::cli
