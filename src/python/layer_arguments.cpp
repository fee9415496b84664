#include "python/layer_arguments.hpp"

#include <algorithm>
#include <limits>
#include <string>

namespace vase::python {
namespace {

constexpr const char* kRowsLayout = "[n_rows, n_heads, dim]";

int32_t count(const Array& array, size_t axis) {
  const int64_t entries = array.shape(axis);
  if (entries >= 1 && entries <= std::numeric_limits<int32_t>::max())
    return static_cast<int32_t>(entries);
  throw nb::value_error((std::string(array.name()) + " has " + std::to_string(entries) +
                         " entries along axis " + std::to_string(axis) + "; that is out of range")
                            .c_str());
}

}  // namespace

LayerArguments::LayerArguments(nb::handle keys, nb::handle values, bool writable)
    : keys_("keys", keys, writable), values_("values", values, writable) {
  keys_.check_axes(3, kRowsLayout);
  values_.check_axes(3, kRowsLayout);
  values_.check_length(0, keys_.shape(0), "as keys has rows");
  values_.check_length(1, keys_.shape(1), "as keys has heads");
  values_.check_same_device(keys_);
  layer_.n_rows = count(keys_, 0);
  layer_.n_heads = count(keys_, 1);
  layer_.keys = keys_.rows();
  layer_.values = values_.rows();
}

void LayerArguments::set_queries(nb::handle queries) {
  if (queries.is_none()) return;
  const Array& array = queries_.emplace("queries", queries, false);
  array.check_axes(3, "[n_query_heads, n_queries, dim]");
  array.check_length(2, layer_.keys.dim, "the dim of keys");
  array.check_same_device(keys_);
  array.check_float32();
  array.check_dense();
  layer_.n_query_heads = count(array, 0);
  layer_.n_queries = count(array, 1);
  layer_.queries = static_cast<const float*>(array.data());
  if (layer_.n_query_heads % layer_.n_heads != 0)
    throw nb::value_error(("queries has " + std::to_string(layer_.n_query_heads) +
                           " heads; it must be a multiple of the " +
                           std::to_string(layer_.n_heads) + " heads of keys")
                              .c_str());
}

Array LayerArguments::per_row(const char* name, nb::handle object, bool writable,
                              int32_t row_length) const {
  Array array(name, object, writable);
  array.check_axes(2, "[n_heads, n_rows]");
  array.check_length(0, layer_.n_heads, "as keys has heads");
  array.check_length(1, row_length > 0 ? row_length : layer_.n_rows, "as keys has rows");
  array.check_same_device(keys_);
  array.check_dense();
  return array;
}

void LayerArguments::set_positions(nb::handle positions, bool writable) {
  if (positions.is_none()) return;
  const Array& array = positions_.emplace(per_row("positions", positions, writable));
  array.check_int32();
  layer_.positions = static_cast<const int32_t*>(array.data());
}

void LayerArguments::set_sums(nb::handle sums) {
  if (sums.is_none()) return;
  const Array& array = sums_.emplace(per_row("sums", sums, true));
  array.check_float32();
  layer_.sums = static_cast<float*>(array.data());
}

void LayerArguments::set_calibration(nb::handle calibration) {
  if (calibration.is_none()) return;
  const Array& array = calibration_.emplace("calibration", calibration, false);
  array.check_axes(3, "[n_query_heads, 3, dim / 2]");
  array.check_length(1, 3, "the parts of a mean query");
  array.check_length(2, layer_.keys.dim / 2, "half the dim of keys");
  array.check_same_device(keys_);
  array.check_float32();
  array.check_dense();
  const int32_t heads = count(array, 0);
  if (heads % layer_.n_heads != 0 || (queries_ && heads != layer_.n_query_heads))
    throw nb::value_error(("calibration is of " + std::to_string(heads) +
                           " query heads, which the " + std::to_string(layer_.n_heads) +
                           " heads of keys, or the queries, do not have")
                              .c_str());
  layer_.n_query_heads = heads;
  layer_.calibration = static_cast<const float*>(array.data());
}

void LayerArguments::set_gauss(nb::handle gauss, vase_params& params) {
  if (gauss.is_none()) return;
  const Array& array = gauss_.emplace("gauss", gauss, false);
  array.check_axes(2, "[dim, projections]");
  array.check_length(0, std::max(layer_.keys.dim, layer_.values.dim),
                     "the larger dim of keys and values");
  array.check_same_device(keys_);
  array.check_float32();
  array.check_dense();
  params.projections = count(array, 1);
  layer_.gauss = static_cast<const float*>(array.data());
}

void LayerArguments::set_rope(nb::handle rope) {
  if (rope.is_none()) return;
  const Array& array = frequencies_.emplace("rope.frequencies", rope[0], false);
  array.check_axes(1, "[pairs]");
  array.check_same_device(keys_);
  array.check_float32();
  array.check_dense();
  layer_.rope = {static_cast<const float*>(array.data()), count(array, 0),
                 nb::cast<int32_t>(rope[1])};
}

void LayerArguments::check_fit(const vase_params& params) const {
  if (vase_policy_needs_queries(params.policy) != 0 && !queries_)
    throw nb::value_error(("queries is None; policy '" +
                           std::string(vase_policy_name(params.policy)) +
                           "' scores rows by the attention of the newest queries")
                              .c_str());
  if (vase_policy_needs_calibration(params.policy) != 0 && !calibration_)
    throw nb::value_error(("calibration is None; policy '" +
                           std::string(vase_policy_name(params.policy)) +
                           "' needs what `vase calibrate -m MODEL -f TEXT -o FILE` measures of a "
                           "model: vase.read_calibration(FILE)")
                              .c_str());
}

}  // namespace vase::python
