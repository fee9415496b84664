// One layer as Python hands it over: arrays checked against each other, as a vase_layer.
#ifndef VASE_PYTHON_LAYER_ARGUMENTS_HPP
#define VASE_PYTHON_LAYER_ARGUMENTS_HPP

#include <optional>

#include "python/arrays.hpp"
#include "vase/vase.h"

namespace vase::python {

/// Holds the arrays while their memory is worked on. All that it throws names the argument.
class LayerArguments {
 public:
  /// keys and values: [n_rows, n_heads, dim], on one device, rows to be moved if `writable`.
  LayerArguments(nb::handle keys, nb::handle values, bool writable);

  /// [n_query_heads, n_queries, dim of the keys] float32, dense. None: none.
  void set_queries(nb::handle queries);
  /// [n_heads, n_rows] int32, dense. None: row i stands for token i.
  void set_positions(nb::handle positions, bool writable);
  /// [n_heads, n_rows] float32, dense, written to. None: nothing is kept.
  void set_sums(nb::handle sums);
  /// [n_query_heads, 3, dim of the keys / 2] float32, dense. None: nothing was measured. After
  /// set_queries.
  void set_calibration(nb::handle calibration);
  /// [largest dim, projections] float32, dense. None: drawn.
  void set_gauss(nb::handle gauss, vase_params& params);
  /// (frequencies, stride) of vase_rope; frequencies: [pairs] float32, dense. None: keys are taken
  /// as they are.
  void set_rope(nb::handle rope);
  /// What params and layer miss together, in Python's words.
  void check_fit(const vase_params& params) const;
  /// `object` as a [n_heads, n_rows] array of the layer, or [n_heads, row_length] if that is given.
  Array per_row(const char* name, nb::handle object, bool writable, int32_t row_length = 0) const;

  bool on_cuda() const { return keys_.on_cuda(); }
  int device() const { return keys_.device(); }
  const vase_layer& layer() const { return layer_; }
  vase_layer& layer() { return layer_; }
  int32_t* positions() const { return static_cast<int32_t*>(positions_->data()); }

 private:
  Array keys_, values_;
  std::optional<Array> queries_, positions_, sums_, calibration_, gauss_, frequencies_;
  vase_layer layer_{};
};

}  // namespace vase::python

#endif
