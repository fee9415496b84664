#include "server/routes.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <map>
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>

#include "observe/assets.hpp"
#include "server/connection.hpp"
#include "server/delivery.hpp"
#include "server/error.hpp"
#include "server/json.hpp"

namespace vase::server {
namespace {

constexpr const char *kJson = "application/json";
constexpr std::size_t kMostOfOneRead = 65536;
constexpr int kClientGone = 499;  // nginx's number for it; nobody reads it

constexpr std::string_view kModel = "/v1/models/";  // and its name after that

// How a path can be asked; "" if there is nothing, or a file. Used for the methods' errors; the
// handlers are added one by one.
std::string allowed_method(const std::string &path) {
  static const std::map<std::string, std::string> methods = {{"/v1/chat/completions", "POST"},
                                                             {"/v1/completions", "POST"},
                                                             {"/v1/models", "GET"},
                                                             {"/health", "GET"},
                                                             {"/metrics", "GET"},
                                                             {"/vase/status", "GET"},
                                                             {"/vase/cache", "GET"},
                                                             {"/vase/policies", "GET"},
                                                             {"/openapi.json", "GET"}};
  if (path.size() > kModel.size() && path.starts_with(kModel)) return "GET";
  const auto found = methods.find(path);
  return found == methods.end() ? std::string() : found->second;
}

void send_error(httplib::Response &response, const ApiError &error) {
  response.status = error.status();
  if (error.retry_after() > 0) {
    response.set_header("Retry-After", std::to_string(error.retry_after()));
  }
  response.set_content(error.body(), kJson);
}

// Of a request whose body was not read.
void send_error_and_close(httplib::Response &response, const ApiError &error) {
  send_error(response, error);
  response.set_header("Connection", "close");
  if (Connection *connection = Connection::current()) connection->close_after_response();
}

bool is_json(const httplib::Request &request) {
  std::string type = request.get_header_value("Content-Type");
  type = type.substr(0, type.find(';'));
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  type.erase(std::remove(type.begin(), type.end(), ' '), type.end());
  return type == kJson;
}

// Runs a handler and sends what it throws.
template <typename Handle>
void guarded(httplib::Response &response, Handle handle) {
  try {
    handle();
  } catch (const ApiError &error) {
    send_error(response, error);
  } catch (const std::exception &error) {
    send_error(response, ApiError(500, error.what(), "server_error"));
  }
}

void send_asset(const observe::Asset &asset, const httplib::Request &request,
                httplib::Response &response) {
  response.set_header("ETag", std::string(asset.etag));
  response.set_header("Cache-Control", "no-cache");  // ask again, and mostly hear "not modified"
  if (request.get_header_value("If-None-Match") == asset.etag) {
    response.status = 304;
    return;
  }
  response.set_content(std::string(asset.content), observe::content_type(asset.path));
}

}  // namespace

// A response that is being made; the shutdown waits for it.
class Routes::Responding {
 public:
  explicit Responding(Routes &routes) : routes_(routes) {
    const std::lock_guard lock(routes_.mutex_);
    ++routes_.n_responding_;
  }
  ~Responding() {
    const std::lock_guard lock(routes_.mutex_);
    --routes_.n_responding_;
    routes_.written_.notify_all();
  }
  Responding(const Responding &) = delete;
  Responding &operator=(const Responding &) = delete;

 private:
  Routes &routes_;
};

Routes::Routes(RouteOptions options, CompletionService &completions, const Observatory &observatory,
               Metrics &metrics)
    : options_(std::move(options)),
      access_(options_.access),
      completions_(completions),
      observatory_(observatory),
      metrics_(metrics) {}

void Routes::add_to(httplib::Server &server) {
  // Our own limit strikes first, and has words: some versions of httplib end the reading of a
  // chunked body at theirs as if the client had gone.
  server.set_payload_max_length(std::max(options_.max_body, options_.max_body + kMostOfOneRead));
  server.set_pre_routing_handler(
      [this](const auto &request, auto &response) { return before_routing(request, response); });
  server.set_error_handler([this](const httplib::Request &request, httplib::Response &response) {
    explain_error(request, response);
  });
  add_completions(server, "/v1/chat/completions", Api::chat);
  add_completions(server, "/v1/completions", Api::completions);
  add_models(server);
  add_observatory(server);
  add_assets(server);
}

bool Routes::wait_until_written(std::chrono::duration<double> limit) {
  std::unique_lock lock(mutex_);
  return written_.wait_for(lock, limit, [&] { return n_responding_ == 0; });
}

// ---- who may ask --------------------------------------------------------------------------------

Routes::HandlerResponse Routes::before_routing(const httplib::Request &request,
                                               httplib::Response &response) {
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_header("X-Frame-Options", "DENY");
  if (const std::optional<ApiError> error = access_.wrong_host(request)) {
    if (request.method == "POST") metrics_.count_rejection(Rejection::unknown_host);
    send_error_and_close(response, *error);
    return HandlerResponse::Handled;
  }
  access_.add_cors(request, response);
  if (access_.is_preflight(request)) {
    response.status = 204;
    return HandlerResponse::Handled;
  }
  const std::string method = allowed_method(request.path);
  const bool head = request.method == "HEAD" && method == "GET";
  if (!method.empty() && request.method != method && !head) {
    response.set_header("Allow", method);
    send_error_and_close(response,
                         ApiError(405, request.method + " is not allowed here: use " + method,
                                  "invalid_request_error", "", "method_not_allowed"));
    return HandlerResponse::Handled;
  }
  if (access_.authorized(request)) return HandlerResponse::Unhandled;
  if (request.method == "POST") metrics_.count_rejection(Rejection::unauthorized);
  response.set_header("WWW-Authenticate", "Bearer");
  send_error_and_close(response,
                       ApiError(401, "a valid API key is needed: Authorization: Bearer KEY",
                                "authentication_error", "", "invalid_api_key"));
  return HandlerResponse::Handled;
}

// ---- text ---------------------------------------------------------------------------------------

std::string Routes::body_of(const httplib::Request &request,
                            const httplib::ContentReader &reader) const {
  const auto reject = [&](int status, const std::string &message, const char *code) {
    metrics_.count_rejection(Rejection::invalid);
    if (Connection *connection = Connection::current()) connection->close_after_response();
    return ApiError(status, message, "invalid_request_error", "", code);
  };
  if (!is_json(request)) {
    throw reject(415, "Content-Type must be application/json", "unsupported_media_type");
  }
  std::string body;
  bool too_large = false;
  const bool whole = reader([&](const char *data, std::size_t size) {
    too_large = body.size() + size > options_.max_body;
    if (!too_large) body.append(data, size);
    return !too_large;
  });
  const std::string length = request.get_header_value("Content-Length");
  too_large |= length.size() > 15 || std::strtoull(length.c_str(), nullptr, 10) > options_.max_body;
  if (too_large) {
    throw reject(413,
                 "the request body is larger than " + std::to_string(options_.max_body) + " bytes",
                 "request_too_large");
  }
  if (!whole) throw reject(400, "the request body ended early", "incomplete_body");
  return body;
}

void Routes::add_completions(httplib::Server &server, const char *path, Api api) {
  server.Post(path, [this, api](const httplib::Request &request, httplib::Response &response,
                                const httplib::ContentReader &reader) {
    guarded(response, [&] { complete(api, body_of(request, reader), response); });
  });
}

// What is alive as long as a response is made and sent.
struct Routes::Sending {
  Responding responding;  // first: the shutdown waits until all is counted
  Delivery delivery;
  std::string whole = {};                 // not streaming: the body
  std::optional<Piece> first_piece = {};  // streaming

  Sending(Routes &routes, Completion completion)
      : responding(routes), delivery(std::move(completion), routes.metrics_) {}
};

void Routes::complete(Api api, const std::string &body, httplib::Response &response) {
  const Connection *connection = Connection::current();
  Completion completion =
      completions_.accept(api, body, [watch = connection->watch()] { return watch->gone(); });
  const bool streams = completion.stream;
  const auto sending = std::make_shared<Sending>(*this, std::move(completion));
  if (streams) {
    stream(sending, response);
  } else {
    send_whole(sending, response);
  }
}

void Routes::send_whole(const std::shared_ptr<Sending> &sending,
                        httplib::Response &response) const {
  Delivery &delivery = sending->delivery;
  while (const std::optional<Piece> piece = delivery.task().next()) delivery.writer().add(*piece);
  if (delivery.task().outcome() != Outcome::completed) {
    throw completions_.failure_of(delivery.task());
  }
  sending->whole = delivery.writer().whole() + "\n";  // what is counted is all but its end
  const auto provide = [sending](std::size_t offset, std::size_t length, httplib::DataSink &sink) {
    const char *text = sending->whole.data() + offset;
    if (!sink.write(text, length - 1)) return false;
    sending->delivery.complete();
    return sink.write(text + length - 1, 1);
  };
  response.set_content_provider(sending->whole.size(), kJson, provide);
}

StreamEvent Routes::next_event(Sending &sending) const {
  Delivery &delivery = sending.delivery;
  Task &task = delivery.task();
  const std::optional<Piece> piece =
      sending.first_piece ? std::exchange(sending.first_piece, std::nullopt) : task.next();
  if (piece) return {delivery.writer().chunk(*piece), StreamEvent::Then::more};
  if (task.outcome() == Outcome::completed)
    return {delivery.writer().last_chunks(), StreamEvent::Then::complete};
  throw completions_.failure_of(task);
}

void Routes::stream(const std::shared_ptr<Sending> &sending, httplib::Response &response) const {
  // What goes wrong before the first piece still has its own status.
  sending->first_piece = sending->delivery.task().next();
  if (!sending->first_piece) throw completions_.failure_of(sending->delivery.task());

  const auto provide = [this, sending](std::size_t /*offset*/, httplib::DataSink &sink) {
    const StreamEvent event = event_or_failure([&] { return next_event(*sending); });
    if (!event.text.empty() && !sink.write(event.text.data(), event.text.size())) return false;
    if (event.then == StreamEvent::Then::more) return true;
    if (event.then == StreamEvent::Then::complete) sending->delivery.complete();
    sink.done();
    return true;
  };
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Accel-Buffering", "no");  // nginx: pass each token on
  response.set_chunked_content_provider("text/event-stream", provide);
}

// ---- the others ---------------------------------------------------------------------------------

void Routes::add_models(httplib::Server &server) {
  const auto model = [this] {
    return OrderedJson{{"id", completions_.model_name()},
                       {"object", "model"},
                       {"created", completions_.started()},
                       {"owned_by", "vase"}};
  };
  server.Get("/v1/models", [model](const httplib::Request &, httplib::Response &response) {
    response.set_content(dump({{"object", "list"}, {"data", OrderedJson::array({model()})}}),
                         kJson);
  });
  server.Get("/v1/models/.+",
             [this, model](const httplib::Request &request, httplib::Response &response) {
               const std::string name = request.path.substr(kModel.size());
               if (name == completions_.model_name())
                 return response.set_content(dump(model()), kJson);
               send_error(response, ApiError(404,
                                             "there is no model of that name here, only \"" +
                                                 completions_.model_name() + "\"",
                                             "invalid_request_error", "model", "model_not_found"));
             });
  server.Get("/health", [this](const httplib::Request &, httplib::Response &response) {
    if (draining_) response.status = 503;
    response.set_content(dump({{"status", draining_ ? "draining" : "ok"}}), kJson);
  });
  server.Get("/metrics", [this](const httplib::Request &, httplib::Response &response) {
    response.set_content(metrics_.text(observatory_.gauges()),
                         "text/plain; version=0.0.4; charset=utf-8");
  });
}

void Routes::add_observatory(httplib::Server &server) {
  server.Get("/vase/status", [this](const httplib::Request &, httplib::Response &response) {
    guarded(response, [&] { response.set_content(observatory_.status(), kJson); });
  });
  server.Get("/vase/policies", [this](const httplib::Request &, httplib::Response &response) {
    response.set_content(observatory_.policies(), kJson);
  });
  server.Get("/vase/cache", [this](const httplib::Request &request, httplib::Response &response) {
    guarded(response, [&] {
      response.set_content(
          observatory_.cache(request.get_param_value("slot"), request.get_param_value("layer"),
                             request.get_param_value("head")),
          kJson);
    });
  });
}

void Routes::add_assets(httplib::Server &server) {
  const auto add = [&](const std::string &path, const observe::Asset &asset) {
    server.Get(path, [&asset](const httplib::Request &request, httplib::Response &response) {
      send_asset(asset, request, response);
    });
  };
  for (const observe::Asset &asset : observe::api_documents()) add(std::string(asset.path), asset);
  if (!options_.web_page) return;
  for (const observe::Asset &asset : observe::web_page()) {
    add(std::string(asset.path), asset);
    if (asset.path == "/index.html") add("/", asset);
  }
}

// httplib sends statuses of its own without a body: 404, 400 for what is not HTTP, 413.
void Routes::explain_error(const httplib::Request &request, httplib::Response &response) const {
  if (!response.body.empty() || response.status == kClientGone) return;
  // httplib refuses methods that it does not know before it makes a path of the target.
  const std::string method = allowed_method(request.target.substr(0, request.target.find('?')));
  const bool not_allowed = response.status == 400 && !method.empty() && request.method != method;
  if (not_allowed) {
    response.set_header("Allow", method);
    response.status = 405;
  }
  // Of a request that was not understood the body is still to come, and must not be taken for the
  // next request.
  if (response.status != 404) {
    response.set_header("Connection", "close");
    if (Connection *connection = Connection::current()) connection->close_after_response();
  }
  const std::string where = request.method + " " + request.path;
  std::string message = "the request cannot be understood";
  if (not_allowed) message = request.method + " is not allowed here: use " + method;
  if (response.status == 404) message = "there is nothing at " + where;
  if (response.status == 413) message = "the request body is too large";
  if (response.status >= 500) message = "the server failed at " + where;
  response.set_content(ApiError(response.status, message,
                                response.status >= 500 ? "server_error" : "invalid_request_error",
                                "", response.status == 404 ? "not_found" : "")
                           .body(),
                       kJson);
}

}  // namespace vase::server
