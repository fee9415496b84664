// Takes a request for text from its body to the scheduler.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/chat.hpp"
#include "engine/model.hpp"
#include "server/error.hpp"
#include "server/request.hpp"
#include "server/response.hpp"
#include "server/scheduler.hpp"

namespace vase::server {

struct ServiceLimits {
  std::int64_t max_prompt_tokens = 131072;
  std::chrono::duration<double> timeout{600};  ///< of a request, from its acceptance
};

/// An accepted request.
struct Completion {
  bool stream = false;
  std::shared_ptr<Task> task;
  std::unique_ptr<ResponseWriter> writer;
};

struct TokenisedPrompt {
  std::vector<llama_token> tokens = {};
  std::vector<std::size_t> boundaries = {};  ///< engine::Request::boundaries
  Prompts prompts = {};                      ///< engine::Request::prompts
};

class CompletionService {
 public:
  /// References must outlive this. `chat_template`: nullopt if the model has none.
  CompletionService(const engine::Model &model, std::string model_name,
                    std::optional<engine::ChatTemplate> chat_template, const RequestRules &rules,
                    const ServiceLimits &limits, std::int32_t capacity, Scheduler &scheduler,
                    Metrics &metrics);

  /// Throws ApiError if the request cannot be accepted. `client_gone`: see Task.
  Completion accept(Api api, std::string_view body, std::function<bool()> client_gone);

  /// Why a task that has not completed has no response, to be sent to the client.
  ApiError failure_of(const Task &task) const;

  const std::string &model_name() const { return model_name_; }
  std::int64_t started() const { return started_; }  ///< seconds since 1970

 private:
  CompletionRequest parse(Api api, std::string_view body);
  std::vector<TokenisedPrompt> tokenize(const CompletionRequest &request,
                                        const std::string &chat_text) const;
  std::size_t tokens_of(const CompletionRequest &request,
                        const std::vector<engine::ChatMessage> &messages,
                        const std::vector<llama_token> &prompt) const;
  std::vector<std::size_t> turns_of(const CompletionRequest &request,
                                    const std::vector<llama_token> &prompt) const;
  Prompts prompts_of(const CompletionRequest &request,
                     const std::vector<llama_token> &prompt) const;
  void check_length(const std::vector<llama_token> &prompt, const char *field) const;
  std::string new_id(Api api);

  const engine::Model &model_;
  std::string model_name_;
  std::optional<engine::ChatTemplate> chat_template_;
  RequestRules rules_;
  ServiceLimits limits_;
  std::int32_t capacity_;
  Scheduler &scheduler_;
  Metrics &metrics_;
  std::int64_t started_;
  std::uint64_t id_prefix_;
  std::atomic<std::uint64_t> last_id_ = 0;
};

}  // namespace vase::server
