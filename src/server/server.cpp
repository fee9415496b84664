#include "server/server.hpp"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <utility>

#include "server/http_server.hpp"
#include "server/observatory.hpp"
#include "server/offered_policies.hpp"
#include "server/scheduler.hpp"

namespace vase::server {
namespace {

constexpr std::chrono::seconds kLastWords{1};  // to those that are ended: why

// Those that work, those that wait, and as many again that only look or keep a connection open.
std::size_t connections(std::size_t slots, std::size_t queue) { return 2 * (slots + queue) + 32; }

RequestRules rules_for(const engine::Model &model, const BoundedContext &context,
                       const ServerOptions &options) {
  const BoundedOptions &bound = context.options();
  const bool needs_queries = vase_policy_needs_queries(bound.policy.policy) != 0;
  return {.sampling = options.sampling,
          .seed = options.seed,
          .max_tokens = options.max_tokens,
          .max_answers = static_cast<std::int32_t>(std::min<std::size_t>(
              static_cast<std::size_t>(bound.n_sequences) + options.schedule.queue, 128)),
          .n_vocab = llama_vocab_n_tokens(model.vocab()),
          .has_chat_template = options.chat_template.has_value(),
          .jinja = options.chat_template && options.chat_template->is_jinja(),
          .policy = bound.policy,
          .pin_prompt = bound.pin_prompt,
          .recency = options.recency,
          .interval = options.interval,
          .loop_guard = options.loop_guard,
          .thinking = options.thinking,
          .keeps_queries = needs_queries,
          .calibrated = !bound.calibration.empty(),
          .least_budget = std::max(1, llama_model_n_swa(model.get()))};
}

// A full cache has room for so much and no more, and a model may know no position beyond.
ServiceLimits limits_for(const BoundedContext &context, ServiceLimits limits) {
  std::int64_t room = context.longest_text() - 1;
  if (context.bounded_layers() == 0) {
    room = std::min<std::int64_t>(room, context.cells_per_sequence() - 1);
  }
  limits.max_prompt_tokens = std::min(limits.max_prompt_tokens, room);
  return limits;
}

// A request may choose any policy; the working memory for the neediest is taken now.
void reserve_for_all_policies(BoundedContext &context, const RequestRules &rules) {
  if (context.bounded_layers() == 0) return;
  for (std::int32_t i = 0; i < vase_policy_count(); ++i) {
    vase_params params = rules.policy;
    params.policy = vase_policy_at(i);
    if (is_offered(rules, params.policy)) context.set_params(0, params, 0);
  }
  context.set_params(0, rules.policy, 0);
}

ObservedModel observed(const RequestRules &rules, const ServerOptions &options) {
  return {.name = options.model_name,
          .policy = vase_policy_name(rules.policy.policy),
          .policies = policies_json(rules),
          .memory = options.memory,
          .full_cache_bytes = options.full_cache_bytes};
}

}  // namespace

struct Server::Parts {
  Metrics metrics;
  RequestRules rules;
  Scheduler scheduler;
  CompletionService completions;
  Observatory observatory;
  Routes routes;
  HttpServer http;
  int port;

  Parts(const engine::Model &model, BoundedContext &context, const ServerOptions &options)
      : rules(rules_for(model, context, options)),
        scheduler(model, prepared(context), options.schedule, metrics),
        completions(model, options.model_name, options.chat_template, rules,
                    limits_for(context, options.limits), context.cells_per_sequence(), scheduler,
                    metrics),
        observatory(observed(rules, options), context, scheduler),
        routes(options.routes, completions, observatory, metrics),
        http(connections(static_cast<std::size_t>(context.options().n_sequences),
                         options.schedule.queue),
             options.patience) {
    routes.add_to(http);
    port = http.bind(options.routes.access.host, options.port);
  }

  BoundedContext &prepared(BoundedContext &context) const {
    reserve_for_all_policies(context, rules);
    return context;
  }
};

Server::Server(const engine::Model &model, BoundedContext &context, const ServerOptions &options)
    : parts_(std::make_unique<Parts>(model, context, options)) {}

Server::~Server() = default;

int Server::port() const { return parts_->port; }

void Server::listen() { parts_->http.listen_after_bind(); }

bool Server::stop(std::chrono::duration<double> drain) {
  const auto end = std::chrono::steady_clock::now() + drain;
  parts_->routes.begin_drain();
  parts_->scheduler.begin_drain();
  bool all_done = parts_->scheduler.wait_until_idle(drain);
  all_done &= parts_->routes.wait_until_written(end - std::chrono::steady_clock::now());
  parts_->scheduler.stop();
  parts_->routes.wait_until_written(kLastWords);
  parts_->http.cut();
  parts_->http.stop();
  return all_done;
}

void return_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
#endif
}

}  // namespace vase::server
