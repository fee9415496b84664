#include "python/arrays.hpp"

#include <nanobind/stl/string.h>

#include <cmath>
#include <cstdlib>
#include <limits>

namespace vase::python {
namespace {

using Code = nb::dlpack::dtype_code;

bool is(const nb::dlpack::dtype& type, Code code, int bits) {
  return type.code == static_cast<uint8_t>(code) && type.bits == bits && type.lanes == 1;
}

std::string text(int64_t number) { return std::to_string(number); }

[[noreturn]] void value_error(const std::string& message) {
  throw nb::value_error(message.c_str());
}
[[noreturn]] void type_error(const std::string& message) { throw nb::type_error(message.c_str()); }

std::string type_of(nb::handle object) {
  return nb::cast<std::string>(nb::str(nb::handle(object.type()).attr("__name__")));
}

}  // namespace

Array::Array(const char* name, nb::handle object, bool writable)
    : name_(name), writable_(writable) {
  if (nb::ndarray<> array; nb::try_cast(object, array, false)) {
    array_ = nb::ndarray<nb::ro>(array);
    return;
  }
  if (!nb::try_cast(object, array_, false))
    type_error(std::string(name) + " is a " + type_of(object) +
               "; it must be a numpy array or a torch tensor of numbers");
  if (writable) type_error(std::string(name) + " is read-only, but its rows are to be moved");
}

bool Array::on_cuda() const { return array_.device_type() == nb::device::cuda::value; }

void Array::check_axes(size_t axes, const char* layout) const {
  if (array_.ndim() != axes)
    value_error(std::string(name_) + " has " + text(static_cast<int64_t>(array_.ndim())) +
                " axes; it must be " + layout);
}

void Array::check_length(size_t axis, int64_t expected, const std::string& why) const {
  if (shape(axis) != expected)
    value_error(std::string(name_) + " has " + text(shape(axis)) + " entries along axis " +
                text(static_cast<int64_t>(axis)) + "; it must have " + text(expected) + ", " + why);
}

std::string Array::type_name() const {
  const nb::dlpack::dtype type = array_.dtype();
  const char* kind = is(type, Code::Bool, 8) ? "bool" : nullptr;
  if (kind != nullptr) return kind;
  switch (static_cast<Code>(type.code)) {
    case Code::Int:
      return "int" + text(type.bits);
    case Code::UInt:
      return "uint" + text(type.bits);
    case Code::Float:
      return "float" + text(type.bits);
    case Code::Bfloat:
      return "bfloat" + text(type.bits);
    default:
      return "another type";
  }
}

void Array::check_type(bool fits, const char* expected) const {
  if (!fits) type_error(std::string(name_) + " is " + type_name() + "; it must be " + expected);
}

void Array::check_float32() const { check_type(is(array_.dtype(), Code::Float, 32), "float32"); }
void Array::check_int32() const { check_type(is(array_.dtype(), Code::Int, 32), "int32"); }
void Array::check_mask() const {
  check_type(is(array_.dtype(), Code::Bool, 8) || is(array_.dtype(), Code::UInt, 8), "bool");
}

void Array::check_dense() const {
  int64_t expected = 1;
  for (size_t axis = array_.ndim(); axis-- > 0;) {
    if (shape(axis) > 1 && stride(axis) != expected)
      value_error(std::string(name_) + " must lie in C order without gaps; its stride along axis " +
                  text(static_cast<int64_t>(axis)) + " is " + text(stride(axis)) + ", not " +
                  text(expected));
    expected *= shape(axis);
  }
}

void Array::check_same_device(const Array& other) const {
  if (on_cuda() != other.on_cuda() || (on_cuda() && device() != other.device()))
    value_error(std::string(name_) + " and " + other.name_ + " must lie on the same device");
}

vase_rows Array::rows() const {
  vase_rows rows{};
  rows.data = data();
  const nb::dlpack::dtype type = array_.dtype();
  if (is(type, Code::Float, 32)) {
    rows.type = VASE_F32;
  } else if (is(type, Code::Float, 16)) {
    rows.type = VASE_F16;
  } else if (is(type, Code::Bfloat, 16)) {
    rows.type = VASE_BF16;
  } else {
    check_type(false, "float32, float16 or bfloat16");
  }
  if (shape(2) > std::numeric_limits<int32_t>::max())
    value_error(std::string(name_) + " has rows of " + text(shape(2)) +
                " elements; that is too many");
  if (shape(2) > 1 && stride(2) != 1)
    value_error(std::string(name_) + " has a stride of " + text(stride(2)) +
                " along axis 2; the elements of a row must be adjacent (stride 1)");
  const auto bytes = static_cast<int64_t>(array_.itemsize());
  if (reinterpret_cast<uintptr_t>(rows.data) % static_cast<uintptr_t>(bytes) != 0)
    value_error(std::string(name_) + " is not aligned to its elements of " + text(bytes) +
                " bytes");
  for (const size_t axis : {size_t{0}, size_t{1}})
    if (writable_ && shape(axis) > 1 && std::abs(stride(axis)) < shape(2))
      value_error(std::string(name_) + " has a stride of " + text(stride(axis)) + " along axis " +
                  text(static_cast<int64_t>(axis)) + ": rows that overlap cannot be moved");
  rows.dim = static_cast<int32_t>(shape(2));
  rows.row_stride = stride(0) * bytes;
  rows.head_stride = stride(1) * bytes;
  return rows;
}

}  // namespace vase::python
