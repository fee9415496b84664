#include "cli/fleet_arguments.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/arguments.hpp"
#include "cli/replica_speed.hpp"
#include "cli/units.hpp"

namespace vase::cli {
namespace {

std::string seconds_text(double seconds) { return fmt::format("{:.2f} s", seconds); }

}  // namespace

void FleetArguments::add_to(CLI::App &app) {
  const auto option = [&](const char *name, auto &value, const char *help) {
    return app.add_option(name, value, help)->group("Fleet (docs/scale.md)");
  };
  const CLI::Validator positive = between(1e-9, 1e12);
  option("--fleet", rate_, "how many replicas this many requests a second need")->check(positive);
  option("--prompt-tokens", prompt_tokens_, "tokens of a request's prompt, mean")
      ->check(between(0, 1e9));
  option("--answer-tokens", answer_tokens_, "tokens of its answer, mean")->check(positive);
  option("--cached", cached_, "share of a prompt's tokens that is not read again, 0 to 1")
      ->check(between(0, 1))
      ->capture_default_str();
  option("--wait", wait_, "seconds that a request may wait for a slot, mean")
      ->check(positive)
      ->capture_default_str();
  option("--bench", bench_, "a replica's speed, from `vase bench --parallel 1,N --json FILE` there")
      ->type_name("FILE");
  option("--speed", speed_, "instead: tokens a second that its slots generate together")
      ->check(positive);
  option("--prompt-speed", prompt_speed_, "instead: tokens of prompts that it reads a second")
      ->check(positive);
  option("--gpus", gpus_, "replicas that there can be at most, for example GPUs")
      ->check(at_least(1));
}

void FleetArguments::check() const {
  if (!given()) {
    if (answer_tokens_ > 0 || prompt_tokens_ > 0 || speed_ || prompt_speed_ || gpus_ ||
        !bench_.empty())
      throw Error("--prompt-tokens, --answer-tokens, --bench, --speed, --gpus are for --fleet");
    return;
  }
  if (answer_tokens_ <= 0) throw Error("--fleet needs --answer-tokens, and --prompt-tokens");
  const bool said = speed_ && prompt_speed_;
  if (bench_.empty() && !said) {
    throw Error(
        "--fleet needs a replica's speed: --bench FILE, or both --speed and --prompt-speed");
  }
  if (!bench_.empty()) read_bench(bench_);
}

FleetDemand FleetArguments::demand() const {
  return {.rate = *rate_,
          .prompt_tokens = prompt_tokens_,
          .answer_tokens = answer_tokens_,
          .cached = cached_};
}

ReplicaSpeed FleetArguments::speed(std::int32_t slots) const {
  ReplicaSpeed speed{.slots = slots};
  if (!bench_.empty()) {
    speed = read_bench(bench_);
    if (speed.slots != slots) {
      throw Error(
          fmt::format("{} was measured with {} sequences at most, and this is a plan for {}: make "
                      "--parallel the same in both",
                      bench_, speed.slots, slots));
    }
  }
  if (speed_) speed.steps = {{.at_work = slots, .seconds = slots / *speed_}};
  speed.prompt_tokens_per_second = prompt_speed_.value_or(speed.prompt_tokens_per_second);
  return speed;
}

std::string FleetArguments::in_words(const MemoryPlan &bounded, const MemoryPlan &full,
                                     std::size_t program) const {
  const ReplicaSpeed of_one = speed(bounded.n_sequences);
  const FleetDemand asked = demand();
  const std::int64_t n = replicas_for(asked, of_one, wait_);
  const FleetLoad load = load_of(n, asked, of_one);
  const auto bytes = [&](const MemoryPlan &plan) {
    return format_bytes(static_cast<std::uint64_t>(n) * (plan.total() + program));
  };
  std::string text = fmt::format(
      "\nfleet: {} {} of {} {} for {:g} requests a second ({:g} tokens each, {:g} to answer; "
      "{:.0f}% "
      "of prompts not read again)\n",
      with_commas(n), n == 1 ? "replica" : "replicas", of_one.slots,
      of_one.slots == 1 ? "slot" : "slots", asked.rate, asked.prompt_tokens, asked.answer_tokens,
      100 * asked.cached);
  text += fmt::format("busy: {:.0f}% of what they can do, {:.3g} requests a second each at most\n",
                      100 * load.busy, most_of_a_replica(asked, of_one));
  text += fmt::format(
      "wait: {} in the mean, {:.0f}% of requests find no free slot; an answer takes "
      "{} in the mean\n",
      seconds_text(load.wait_seconds), 100 * load.waiting, seconds_text(load.seconds));
  text += fmt::format("memory: {} in all; with full caches {}\n", bytes(bounded), bytes(full));
  if (gpus_ && n > *gpus_) {
    text += fmt::format("{} are fewer: they answer {:.3g} requests a second with that wait\n",
                        with_commas(*gpus_), rate_for(*gpus_, asked, of_one, wait_));
  }
  return text;
}

nlohmann::ordered_json FleetArguments::as_json(const MemoryPlan &bounded,
                                               std::size_t program) const {
  const ReplicaSpeed of_one = speed(bounded.n_sequences);
  const FleetDemand asked = demand();
  const auto with = [&](std::int64_t n) -> nlohmann::ordered_json {
    const FleetLoad load = load_of(n, asked, of_one);
    return {{"replicas", n},
            {"busy", load.busy},
            {"waiting", load.waiting},
            {"wait_seconds", load.wait_seconds},
            {"answer_seconds", load.seconds},
            {"most_requests_per_second", rate_for(n, asked, of_one, wait_)},
            {"bytes", static_cast<std::uint64_t>(n) * (bounded.total() + program)}};
  };
  nlohmann::ordered_json json = {
      {"requests_per_second", asked.rate},
      {"requests_per_second_of_a_replica", most_of_a_replica(asked, of_one)},
      {"needed", with(replicas_for(asked, of_one, wait_))}};
  if (gpus_) json["gpus"] = with(*gpus_);
  return json;
}

}  // namespace vase::cli
