// Arrays and tensors that Python hands over, as the memory that vase.h works on. Nothing is copied.
#ifndef VASE_PYTHON_ARRAYS_HPP
#define VASE_PYTHON_ARRAYS_HPP

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <string>

#include "vase/vase.h"

namespace vase::python {

namespace nb = nanobind;

/// A Python array under the name of its argument. It holds a reference to the memory.
class Array {
 public:
  /// Takes a numpy array, a torch tensor or whatever speaks DLPack or the buffer protocol. Throws
  /// TypeError, naming the argument, if `object` is no array or may not be written to.
  Array(const char* name, nb::handle object, bool writable);

  const char* name() const { return name_; }
  void* data() const { return const_cast<void*>(array_.data()); }
  int64_t shape(size_t axis) const { return static_cast<int64_t>(array_.shape(axis)); }
  /// Elements from index to index of an axis.
  int64_t stride(size_t axis) const { return array_.stride(axis); }
  bool on_cuda() const;
  int device() const { return array_.device_id(); }

  /// Throws ValueError unless there are `axes` axes; `layout` says what they are.
  void check_axes(size_t axes, const char* layout) const;
  /// Throws ValueError unless axis `axis` has `expected` entries; `why` says where the number is
  /// from.
  void check_length(size_t axis, int64_t expected, const std::string& why) const;
  /// Throws TypeError unless the elements are of this kind.
  void check_float32() const;
  void check_int32() const;
  void check_mask() const;
  /// Throws ValueError unless the elements lie in C order without gaps.
  void check_dense() const;
  /// Throws ValueError unless both lie on the same device.
  void check_same_device(const Array& other) const;

  /// This array [n_rows, n_heads, dim] as rows. Throws TypeError for element types that rows cannot
  /// have, ValueError for strides that they cannot have (and, if they are written to, for rows that
  /// overlap).
  vase_rows rows() const;

 private:
  void check_type(bool fits, const char* expected) const;
  std::string type_name() const;

  const char* name_;
  bool writable_;
  nb::ndarray<nb::ro> array_;
};

}  // namespace vase::python

#endif
