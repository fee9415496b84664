// What is sent next of an answer that is streamed.
#pragma once

#include <functional>
#include <string>

namespace vase::server {

struct StreamEvent {
  enum class Then {
    more,      ///< others follow
    complete,  ///< the client has been told all of its answers
    broken,    ///< it has been told why there are no more
  };
  std::string text = {};  ///< "": there is nothing to say yet
  Then then = Then::more;
};

/// The event that `make` makes. If it throws, that is the stream's last event, in words: nobody
/// above could tell the client any more, whose status 200 is on its way.
StreamEvent event_or_failure(const std::function<StreamEvent()> &make);

}  // namespace vase::server
