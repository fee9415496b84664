#include "python/options.hpp"

#include <nanobind/stl/string.h>

#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/parameters.hpp"
#include "core/selection.hpp"

namespace vase::python {
namespace {

std::string quoted(nb::handle value) { return nb::cast<std::string>(nb::repr(value)); }

[[noreturn]] void wrong_type(const char* name, nb::handle value, const char* expected) {
  PyErr_Clear();
  throw nb::type_error(
      (std::string(name) + " is " + quoted(value) + "; it must be " + expected).c_str());
}

[[noreturn]] void out_of_range(const char* name, nb::handle value, const std::string& range) {
  PyErr_Clear();
  throw nb::value_error(
      (std::string(name) + " is " + quoted(value) + "; it must be in " + range).c_str());
}

template <typename T>
T integer(const char* name, nb::handle value) {
  const nb::object index = nb::steal(PyNumber_Index(value.ptr()));
  if (!index.is_valid()) wrong_type(name, value, "an int");
  T number{};
  if (!nb::try_cast(index, number))
    out_of_range(name, value,
                 std::to_string(std::numeric_limits<T>::min()) + " .. " +
                     std::to_string(std::numeric_limits<T>::max()));
  return number;
}

float real(const char* name, nb::handle value) {
  const double number = PyFloat_AsDouble(value.ptr());
  if (number == -1.0 && PyErr_Occurred() != nullptr) wrong_type(name, value, "a number");
  return static_cast<float>(number);
}

/// The value of `name`, taken out of `options`; invalid if it is not there or None.
nb::object take(const nb::dict& options, const char* name) {
  if (!options.contains(name)) return {};
  nb::object value = options[name];
  nb::del(options[name]);
  return value.is_none() ? nb::object() : value;
}

template <typename T>
void take_integer(const nb::dict& options, const char* name, T& field) {
  if (const nb::object value = take(options, name); value.is_valid())
    field = integer<T>(name, value);
}

void take_real(const nb::dict& options, const char* name, float& field) {
  if (const nb::object value = take(options, name); value.is_valid()) field = real(name, value);
}

/// "auto" or a number of rows.
void take_protect(const nb::dict& options, int32_t& field) {
  const nb::object value = take(options, "protect");
  if (!value.is_valid()) return;
  if (nb::isinstance<nb::str>(value)) {
    if (nb::cast<std::string>(value) != "auto") wrong_type("protect", value, "an int or 'auto'");
    field = VASE_PROTECT_AUTO;
  } else {
    field = integer<int32_t>("protect", value);
  }
}

/// "NAME, NAME": the policies that are `wanted`.
template <typename Wanted>
std::string names_of(const Wanted& wanted) {
  std::string names;
  for (int32_t i = 0; i < vase_policy_count(); ++i) {
    const vase_policy* policy = vase_policy_at(i);
    if (wanted(policy))
      names += (names.empty() ? "" : ", ") + std::string(vase_policy_name(policy));
  }
  return names;
}

const vase_policy* find_policy(const std::string& name) {
  if (const vase_policy* policy = vase_policy_find(name.c_str())) return policy;
  if (const std::string why = why_not_a_policy(name); !why.empty())
    throw nb::value_error(("policy is '" + name + "'; " + why).c_str());
  const std::string known = names_of([](const vase_policy*) { return true; });
  throw nb::value_error(("policy is '" + name + "'; known are " + known).c_str());
}

/// "NAME, NAME": the policies that look at a parameter.
std::string lookers(const char* parameter) {
  return names_of(
      [&](const vase_policy* policy) { return vase_policy_looks_at(policy, parameter) != 0; });
}

[[noreturn]] void not_looked_at(const vase_policy* policy, const std::string& name,
                                const std::string& others) {
  throw nb::value_error(("policy '" + std::string(vase_policy_name(policy)) +
                         "' does not look at " + name +
                         ": leave it out, or take one that does: " + others)
                            .c_str());
}

/// Throws ValueError if `options` sets a parameter that only some policies look at, and this one
/// does not. A seed is welcome everywhere.
void refuse_unused(const vase_policy* policy, const nb::dict& options) {
  for (const char* parameter : kParameterNames) {
    const std::string name = keyword_of(parameter);
    if (!options.contains(name.c_str()) || nb::object(options[name.c_str()]).is_none()) continue;
    if (name == "seed" || vase_policy_looks_at(policy, parameter) != 0) continue;
    const std::string others = lookers(parameter);
    if (others == lookers("budget")) continue;  // all that evict
    not_looked_at(policy, name, others);
  }
}

}  // namespace

std::string keyword_of(const std::string& parameter) {
  return parameter == "lambda" ? "lambda_" : parameter;
}

vase_params take_params(const std::string& policy, nb::handle budget, const nb::dict& options) {
  vase_params params = vase_params_default(find_policy(policy), integer<int32_t>("budget", budget));
  refuse_unused(params.policy, options);
  each_parameter(params, [&](const char* parameter, auto& field) {
    const std::string name = keyword_of(parameter);
    if (name == "protect")
      take_protect(options, params.protect);
    else if constexpr (std::is_floating_point_v<std::remove_reference_t<decltype(field)>>)
      take_real(options, name.c_str(), field);
    else
      take_integer(options, name.c_str(), field);
  });
  if (vase_params_check(&params) != VASE_OK) throw nb::value_error(vase_last_error());
  return params;
}

void take_layer_fields(vase_layer& layer, const nb::dict& options) {
  take_real(options, "scale", layer.scale);
  take_integer(options, "sequence", layer.sequence);
  take_integer(options, "eviction", layer.eviction);
  take_integer(options, "layer", layer.layer);
  const nb::object prompt = take(options, "prompt");
  if (!prompt.is_valid()) return;
  if (nb::tuple range; nb::try_cast(prompt, range, false) && range.size() == 2) {
    layer.pinned_begin = integer<int32_t>("prompt", range[0]);
    layer.pinned_end = integer<int32_t>("prompt", range[1]);
    if (layer.pinned_begin > layer.pinned_end) {
      throw nb::value_error(
          ("prompt is " + quoted(prompt) + "; it must not begin behind its end").c_str());
    }
  } else {
    layer.pinned_end = integer<int32_t>("prompt", prompt);
  }
}

void check_all_taken(const nb::dict& options) {
  for (auto [name, value] : options)
    throw nb::type_error(("there is no keyword argument " + quoted(name)).c_str());
}

}  // namespace vase::python
