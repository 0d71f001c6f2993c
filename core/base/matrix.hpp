// Matrices: a strided view, and an owner in row-major order. Shapes are checked once, at
// construction or call.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/contract.hpp"

namespace lamp {

/// rows x cols elements, (i, j) at data[i * row_stride + j * col_stride]. A transpose is the same
/// view with strides swapped.
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t row_stride = 0;
  std::size_t col_stride = 1;

  MatrixView() = default;
  MatrixView(T* data_, std::size_t rows_, std::size_t cols_, std::size_t row_stride_,
             std::size_t col_stride_ = 1)
      : data(data_), rows(rows_), cols(cols_), row_stride(row_stride_), col_stride(col_stride_) {}
  template <class U>
  requires(std::is_const_v<T>&& std::is_same_v<U, std::remove_const_t<T>>)
      MatrixView(const MatrixView<U>& other)  // NOLINT: a view of const from a view
      : data(other.data),
        rows(other.rows),
        cols(other.cols),
        row_stride(other.row_stride),
        col_stride(other.col_stride) {}

  T& operator()(std::size_t i, std::size_t j) const {
    return data[i * row_stride + j * col_stride];
  }
  [[nodiscard]] MatrixView transposed() const { return {data, cols, rows, col_stride, row_stride}; }
  [[nodiscard]] MatrixView columns(std::size_t first, std::size_t count) const {
    expects(first + count <= cols, "columns: first + count <= cols");
    return {data + first * col_stride, rows, count, row_stride, col_stride};
  }
  [[nodiscard]] MatrixView row_block(std::size_t first, std::size_t count) const {
    expects(first + count <= rows, "row_block: first + count <= rows");
    return {data + first * row_stride, count, cols, row_stride, col_stride};
  }
  /// Row i as a span; only where a row is contiguous.
  [[nodiscard]] std::span<T> row(std::size_t i) const {
    expects(col_stride == 1 && i < rows, "row: contiguous rows and i < rows");
    return {data + i * row_stride, cols};
  }
};

template <class T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(std::size_t rows, std::size_t cols, T value = T{})
      : data_(rows * cols, value), rows_(rows), cols_(cols) {}

  [[nodiscard]] std::size_t rows() const { return rows_; }
  [[nodiscard]] std::size_t cols() const { return cols_; }
  T& operator()(std::size_t i, std::size_t j) { return data_[i * cols_ + j]; }
  const T& operator()(std::size_t i, std::size_t j) const { return data_[i * cols_ + j]; }
  [[nodiscard]] std::span<T> row(std::size_t i) { return {data_.data() + i * cols_, cols_}; }
  [[nodiscard]] std::span<const T> row(std::size_t i) const {
    return {data_.data() + i * cols_, cols_};
  }
  [[nodiscard]] std::span<T> flat() { return data_; }
  [[nodiscard]] std::span<const T> flat() const { return data_; }
  [[nodiscard]] MatrixView<T> view() { return {data_.data(), rows_, cols_, cols_}; }
  [[nodiscard]] MatrixView<const T> view() const { return {data_.data(), rows_, cols_, cols_}; }
  /// Shape (rows, cols), contents unspecified; keeps its memory where it suffices.
  void reshape(std::size_t rows, std::size_t cols) {
    data_.resize(rows * cols), rows_ = rows, cols_ = cols;
  }

 private:
  std::vector<T> data_;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
};

}  // namespace lamp
