// The keyword arguments of the package's functions, as vase_params and as fields of vase_layer.
#ifndef VASE_PYTHON_OPTIONS_HPP
#define VASE_PYTHON_OPTIONS_HPP

#include <nanobind/nanobind.h>

#include <string>

#include "vase/vase.h"

namespace vase::python {

namespace nb = nanobind;

/// What Python calls a parameter of vase_params: one of its names is a keyword there.
std::string keyword_of(const std::string& parameter);

/// The published parameters for `policy` and `budget`, with those that `options` names replaced and
/// taken out of it. Throws ValueError for an unknown policy, for values out of range and for
/// options that the policy does not look at, TypeError for values of the wrong type; both name the
/// argument.
vase_params take_params(const std::string& policy, nb::handle budget, const nb::dict& options);

/// Sets the fields of `layer` that `options` names and takes them out of it. Throws as above.
void take_layer_fields(vase_layer& layer, const nb::dict& options);

/// Throws TypeError if `options` has any entry left.
void check_all_taken(const nb::dict& options);

}  // namespace vase::python

#endif
