// The extension module vase._vase: what python/vase calls.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <deque>
#include <tuple>
#include <vector>

#include "core/parameters.hpp"
#include "core/training_length.hpp"
#include "python/device_evictions.hpp"
#include "python/evictions.hpp"
#include "python/head_threads.hpp"
#include "python/options.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace vase::python {
namespace {

/// Arguments of select and scores. `rows` has keys, values, queries, positions, sums, calibration,
/// gauss and rope.
struct Selection {
  LayerArguments arguments;
  vase_params params;

  Selection(const nb::dict& rows, const std::string& policy, nb::handle budget,
            const nb::dict& options)
      : arguments(rows["keys"], rows["values"], false),
        params(take_params(policy, budget, options)) {
    take_layer_fields(arguments.layer(), options);
    check_all_taken(options);
    arguments.set_queries(rows["queries"]);
    arguments.set_positions(rows["positions"], false);
    arguments.set_sums(rows["sums"]);
    arguments.set_calibration(rows["calibration"]);
    arguments.set_gauss(rows["gauss"], params);
    arguments.set_rope(rows["rope"]);
    arguments.check_fit(params);
  }
};

/// `stream`: the cudaStream_t of a layer on a CUDA device.
DeviceStream device_stream(const LayerArguments& arguments, uintptr_t stream) {
  return {arguments.device(), reinterpret_cast<void*>(stream)};  // NOLINT: that is what it is
}

/// `object` as the mask or the scores of a layer, in the length that its device works with.
Array result_rows(const LayerArguments& arguments, const char* name, nb::handle object,
                  bool writable) {
  const int32_t length = arguments.on_cuda() ? device_mask_rows(arguments.layer().n_rows) : 0;
  return arguments.per_row(name, object, writable, length);
}

void select_into(nb::handle out, const nb::dict& rows, const std::string& policy, nb::handle budget,
                 const nb::dict& options, uintptr_t stream) {
  const Selection s(rows, policy, budget, options);
  const Array keep = result_rows(s.arguments, "out", out, true);
  keep.check_mask();
  auto* mask = static_cast<uint8_t*>(keep.data());
  if (s.arguments.on_cuda())
    select_on_device(s.params, s.arguments.layer(), mask, device_stream(s.arguments, stream));
  else
    select_rows(s.params, s.arguments.layer(), mask);
}

void score_into(nb::handle out, const nb::dict& rows, const std::string& policy, nb::handle budget,
                const nb::dict& options, uintptr_t stream) {
  const Selection s(rows, policy, budget, options);
  const Array array = result_rows(s.arguments, "out", out, true);
  array.check_float32();
  auto* scores = static_cast<float*>(array.data());
  if (s.arguments.on_cuda())
    score_on_device(s.params, s.arguments.layer(), scores, device_stream(s.arguments, stream));
  else
    score_rows(s.params, s.arguments.layer(), scores);
}

/// `freed`: the rows that each head gives up, for a layer on a CUDA device; counted here for
/// others.
int32_t compact(nb::handle keys, nb::handle values, nb::handle keep, nb::handle positions,
                nb::handle sums, int32_t vacate, int32_t freed, uintptr_t stream) {
  LayerArguments arguments(keys, values, true);
  const Array array = result_rows(arguments, "keep", keep, false);
  array.check_mask();
  arguments.set_positions(positions, true);
  arguments.set_sums(sums);
  int32_t* moved = positions.is_none() ? nullptr : arguments.positions();
  const auto* mask = static_cast<const uint8_t*>(array.data());
  if (!arguments.on_cuda()) return compact_rows(arguments.layer(), mask, vacate, moved);
  compact_on_device(arguments.layer(), mask, freed, vacate, moved,
                    device_stream(arguments, stream));
  return freed;
}

/// items: one dict for each layer of each sequence, all on one device, with keys, values, queries,
/// positions, sums, calibration, rope, n_new, new_position and the layer's fields. All share
/// policy, budget and options.
void evict(const nb::list& items, const std::string& policy, nb::handle budget,
           const nb::dict& options, uintptr_t stream) {
  const vase_params params = take_params(policy, budget, options);
  check_all_taken(options);
  std::deque<LayerArguments> arguments;  // keep their addresses
  std::vector<EvictionItem> evictions;
  for (const nb::handle entry : items) {
    const nb::dict item = nb::cast<nb::dict>(entry);
    LayerArguments& layer = arguments.emplace_back(item["keys"], item["values"], true);
    layer.set_queries(item["queries"]);
    layer.set_positions(item["positions"], true);
    layer.set_sums(item["sums"]);
    layer.set_calibration(item["calibration"]);
    layer.set_rope(item["rope"]);
    layer.check_fit(params);
    take_layer_fields(layer.layer(), item);
    evictions.push_back({layer.layer(), layer.positions(), nb::cast<int32_t>(item["n_new"]),
                         nb::cast<int32_t>(item["new_position"])});
  }
  if (evictions.empty()) return;
  if (arguments.front().on_cuda())
    evict_on_device(params, evictions, device_stream(arguments.front(), stream));
  else
    evict_rows(params, evictions);
}

nb::dict parameters(const std::string& policy, nb::handle budget, const nb::dict& options) {
  const vase_params params = take_params(policy, budget, options);
  check_all_taken(options);
  nb::dict result;
  result["policy"] = vase_policy_name(params.policy);
  each_parameter(params, [&](const char* name, const auto& value) {
    result[keyword_of(name).c_str()] = value;
  });
  if (params.protect == VASE_PROTECT_AUTO) result["protect"] = "auto";
  result["needs_queries"] = vase_policy_needs_queries(params.policy) != 0;
  result["sums_up"] = vase_policy_sums_up(params.policy) != 0;
  result["needs_calibration"] = vase_policy_needs_calibration(params.policy) != 0;
  result["uses_rope"] = vase_policy_uses_rope(params.policy) != 0;
  result["pin_prompt"] = vase_policy_default_pin(params.policy);
  result["evicts"] = vase_policy_evicts(params.policy) != 0;
  return result;
}

std::vector<std::tuple<std::string, std::string, bool>> policies() {
  std::vector<std::tuple<std::string, std::string, bool>> list;
  for (int32_t i = 0; i < vase_policy_count(); ++i) {
    const vase_policy* policy = vase_policy_at(i);
    list.emplace_back(vase_policy_name(policy), vase_policy_summary(policy),
                      vase_policy_needs_queries(policy) != 0);
  }
  return list;
}

std::string beyond_training(const std::string& text_has, int64_t tokens, int64_t trained) {
  return vase::beyond_training(text_has, tokens, trained);
}

void set_threads(int threads) {
  if (threads < 1 || threads > 1024)
    throw nb::value_error(
        ("threads is " + std::to_string(threads) + "; it must be in 1 .. 1024").c_str());
  const nb::gil_scoped_release unlocked;
  set_head_threads(threads);
}

}  // namespace
}  // namespace vase::python

NB_MODULE(_vase, module) {
  using namespace vase::python;
  module.attr("version") = vase_version();
  module.attr("default_policy") = vase_policy_name(vase_policy_default());
  module.attr("has_cuda") = built_with_cuda();
  module.attr("has_simd") = VASE_HAS_SIMD;
  module.def("select", &select_into, "out"_a, "rows"_a, "policy"_a, "budget"_a, "options"_a,
             "stream"_a = 0);
  module.def("scores", &score_into, "out"_a, "rows"_a, "policy"_a, "budget"_a, "options"_a,
             "stream"_a = 0);
  module.def("compact", &compact, "keys"_a, "values"_a, "keep"_a, "positions"_a.none(),
             "sums"_a.none(), "vacate"_a, "freed"_a = 0, "stream"_a = 0);
  module.def("evict", &evict, "items"_a, "policy"_a, "budget"_a, "options"_a, "stream"_a = 0);
  module.def("device_mask_rows", &device_mask_rows, "n_rows"_a);
  module.def("parameters", &parameters, "policy"_a, "budget"_a, "options"_a);
  module.def("policies", &policies);
  module.def("beyond_training", &vase::python::beyond_training, "text_has"_a, "tokens"_a,
             "trained"_a);
  module.def("get_threads", &vase::python::head_threads);
  module.def("set_threads", &set_threads, "threads"_a);
}
