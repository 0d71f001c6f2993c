// What timings read in place of a model's weights and values: random numbers of the right shapes,
// of which the time of an operation depends on two things, whether they are binary32 numbers and
// how they spread.
#pragma once

#include <cstddef>
#include <map>
#include <random>
#include <utility>

#include "core/base/matrix.hpp"
#include "core/model/weights.hpp"

namespace lamp::experiments {

/// Mean 0 and variance 1, nearly normal (a sum of four uniform numbers), all 53 bits of use.
class RandomNumbers {
 public:
  explicit RandomNumbers(std::uint64_t seed) : bits_(seed) {}
  double operator()();

 private:
  std::mt19937_64 bits_;
};

/// A matrix twice: of binary64 numbers, and rounded to binary32.
class SampleMatrix {
 public:
  template <class Value>
  void fill(std::size_t rows, std::size_t cols, const Value& value) {
    for (Matrix<double>& matrix : {std::ref(wide_), std::ref(narrow_)}) matrix.reshape(rows, cols);
    for (std::size_t i = 0; i < wide_.flat().size(); ++i) {
      wide_.flat()[i] = value(i);
      narrow_.flat()[i] = static_cast<double>(static_cast<float>(wide_.flat()[i]));
    }
  }
  [[nodiscard]] MatrixView<const double> first(std::size_t rows, std::size_t cols,
                                               bool binary32) const {
    return (binary32 ? narrow_ : wide_).view().row_block(0, rows).columns(0, cols);
  }

 private:
  Matrix<double> wide_, narrow_;
};

/// Random weights of one layer, made when they are asked for.
class SampleWeights {
 public:
  explicit SampleWeights(const ModelConfig& model) : model_(model) {}
  /// The first columns of a linear site's weights, or of the logits'.
  const Linear& linear(const SiteRow& row, std::size_t columns);
  const LayerNormWeights& layer_norm();
  const RmsNormWeights& rms_norm();
  /// Of so few tokens and positions that a pass of `rows` rows has.
  const EmbeddingWeights& embedding(const SiteRow& row, std::size_t rows);

 private:
  const ModelConfig& model_;
  RandomNumbers random_{5};
  std::map<std::pair<Site, std::size_t>, Linear> linear_;
  LayerNormWeights layer_norm_;
  RmsNormWeights rms_norm_;
  EmbeddingWeights embedding_;
};

/// What a pass reads between two uses of the same weights, and puts in their place in the caches.
class OtherWeights {
 public:
  explicit OtherWeights(double bytes);
  void read() const;

 private:
  std::vector<double> numbers_;
};

}  // namespace lamp::experiments
