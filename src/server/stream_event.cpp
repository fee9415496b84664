#include "server/stream_event.hpp"

#include <exception>

#include "server/error.hpp"
#include "server/response.hpp"

namespace vase::server {

StreamEvent event_or_failure(const std::function<StreamEvent()> &make) {
  try {
    return make();
  } catch (const ApiError &error) {
    return {server_sent_event(error.body()), StreamEvent::Then::broken};
  } catch (const std::exception &error) {
    return {server_sent_event(ApiError(500, error.what(), "server_error").body()),
            StreamEvent::Then::broken};
  }
}

}  // namespace vase::server
