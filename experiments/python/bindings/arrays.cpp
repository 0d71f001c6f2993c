#include "experiments/python/bindings/arrays.hpp"

#include <algorithm>
#include <string>

#include "experiments/python/bindings/errors.hpp"

namespace lamp::python {

template <class Array>
Elements::View Elements::view_of(const Array& array) {
  const nanobind::dlpack::dtype dtype = array.dtype();
  const bool is_float =
      dtype.code == static_cast<std::uint8_t>(nanobind::dlpack::dtype_code::Float);
  if (!is_float || dtype.lanes != 1 || (dtype.bits != 64 && dtype.bits != 32))
    fail("array of another dtype; legal: float64, float32");
  View view{.data = const_cast<void*>(static_cast<const void*>(array.data())),
            .binary32 = dtype.bits == 32};
  for (std::size_t i = 0; i < array.ndim(); ++i) {
    view.shape.push_back(array.shape(i));
    view.strides.push_back(array.stride(i));
  }
  return view;
}
template Elements::View Elements::view_of(const In&);
template Elements::View Elements::view_of(const Out&);

Elements::Elements(View view) : data_(view.data), binary32_(view.binary32) {
  two_dimensions_ = view.shape.size() == 2;
  if (two_dimensions_) {
    rows_ = view.shape[0], cols_ = view.shape[1];
    row_stride_ = view.strides[0], col_stride_ = view.strides[1];
  }
  for (std::size_t i = 0; i < view.shape.size(); ++i) {
    const std::size_t length = view.shape[i];
    const std::int64_t stride = view.strides[i];
    size_ *= length;
    if (length == 1) continue;
    if (!shape_.empty() && strides_.back() == static_cast<std::int64_t>(length) * stride) {
      shape_.back() *= length, strides_.back() = stride;
    } else {
      shape_.push_back(length), strides_.push_back(stride);
    }
  }
  if (shape_.empty()) shape_.push_back(size_), strides_.push_back(1);
  plain_ = !binary32_ && shape_.size() == 1 && strides_[0] == 1;
}

/// Calls visit(offset, stride, count) for stretches of the last axis.
template <class Visit>
void Elements::runs(std::size_t first, std::size_t count, const Visit& visit) const {
  const std::size_t last = shape_.size() - 1;
  while (count > 0) {
    std::size_t rest = first;
    std::int64_t offset = 0;
    for (std::size_t i = last + 1; i-- > 0; rest /= shape_[i])
      offset += static_cast<std::int64_t>(rest % shape_[i]) * strides_[i];
    const std::size_t run = std::min(count, shape_[last] - first % shape_[last]);
    visit(offset, strides_[last], run);
    first += run, count -= run;
  }
}

namespace {

template <class T>
void load(const T* from, std::int64_t stride, std::size_t count, double* to) {
  if (stride == 1)
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<double>(from[i]);
  else
    for (std::size_t i = 0; i < count; ++i)
      to[i] = static_cast<double>(from[static_cast<std::int64_t>(i) * stride]);
}

template <class T>
void store(const double* from, std::size_t count, T* to, std::int64_t stride) {
  if (stride == 1)
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<T>(from[i]);
  else
    for (std::size_t i = 0; i < count; ++i)
      to[static_cast<std::int64_t>(i) * stride] = static_cast<T>(from[i]);
}

}  // namespace

std::span<const double> Elements::read(std::size_t first, std::size_t count,
                                       std::span<double> buffer) const {
  if (plain_) return {static_cast<const double*>(data_) + first, count};
  double* to = buffer.data();
  runs(first, count, [&](std::int64_t offset, std::int64_t stride, std::size_t run) {
    if (binary32_)
      load(static_cast<const float*>(data_) + offset, stride, run, to);
    else
      load(static_cast<const double*>(data_) + offset, stride, run, to);
    to += run;
  });
  return buffer.first(count);
}

std::span<double> Elements::place(std::size_t first, std::size_t count,
                                  std::span<double> buffer) const {
  if (plain_) return {static_cast<double*>(data_) + first, count};
  return buffer.first(count);
}

void Elements::write(std::size_t first, std::span<const double> values) const {
  const double* from = values.data();
  if (plain_) {
    double* const to = static_cast<double*>(data_) + first;
    if (to != from) std::copy_n(from, values.size(), to);
    return;
  }
  runs(first, values.size(), [&](std::int64_t offset, std::int64_t stride, std::size_t run) {
    if (binary32_)
      store(from, run, static_cast<float*>(data_) + offset, stride);
    else
      store(from, run, static_cast<double*>(data_) + offset, stride);
    from += run;
  });
}

bool Elements::is_matrix64() const {
  return two_dimensions_ && !binary32_ && row_stride_ >= 0 && col_stride_ >= 0;
}

MatrixView<const double> Elements::matrix64() const { return output64(); }

MatrixView<double> Elements::output64() const {
  expects(is_matrix64(), "Elements: a matrix of binary64 numbers");
  return {static_cast<double*>(data_), rows_, cols_, static_cast<std::size_t>(row_stride_),
          static_cast<std::size_t>(col_stride_)};
}

}  // namespace lamp::python
