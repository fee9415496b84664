// Shows from inside the program what `vase exec` does: metrics, and the page of rows.
#pragma once

#include "interpose/settings.hpp"

namespace vase::interpose {

/// Begins to answer at the port that the settings name, if they name one and it has not begun yet.
/// Says a line if the port cannot be had: another program that this one started may have it.
void begin_to_show(const Settings &settings);

}  // namespace vase::interpose
