// Models of random weights, of any network.
#pragma once

#include <utility>
#include <vector>

#include "core/model/weights.hpp"

namespace lamp::experiments::bench {

/// Every element of a matrix is matrix_element(), of a vector vector_element(), a float; in the
/// order of the network's table, layer by layer.
template <class MatrixElement, class VectorElement>
Model random_model(const ModelConfig& config, MatrixElement&& matrix_element,
                   VectorElement&& vector_element) {
  Model model;
  model.config = config;
  const auto matrix = [&](const TensorRow& tensor) {
    Matrix<float> x(tensor.rows(config), tensor.cols(config));
    for (float& value : x.flat()) value = matrix_element();
    return x;
  };
  const auto vector = [&](const TensorRow& tensor) {
    std::vector<double> x;
    if (tensor.present != nullptr && !tensor.present(config)) return x;
    x.reserve(tensor.rows(config));
    for (std::size_t i = 0; i < tensor.rows(config); ++i)
      x.push_back(static_cast<double>(vector_element()));
    return x;
  };
  const auto packed = [&](const TensorRow& tensor, bool transposed) {
    const Matrix<float> x = matrix(tensor);
    return PackedMatrix(transposed ? x.view().transposed() : x.view());
  };
  const auto weights_of = [&](const SiteRow& row) -> SiteWeights {
    if (row.operation == Operation::embed) {
      Matrix<float> tokens = matrix(row.tensors[0]);
      return EmbeddingWeights{std::move(tokens), matrix(row.tensors[1])};
    }
    if (row.operation == Operation::embed_tokens)
      return EmbeddingWeights{matrix(row.tensors[0]), {}};
    if (row.operation == Operation::layer_norm) {
      std::vector<double> gamma = vector(row.tensors[0]);
      return LayerNormWeights{std::move(gamma), vector(row.tensors[1])};
    }
    if (row.operation == Operation::rms_norm) return RmsNormWeights{vector(row.tensors[0])};
    if (row.operation == Operation::linear) {
      PackedMatrix weight = packed(row.tensors[0], row.output_first);
      return Linear{std::move(weight), vector(row.tensors[1])};
    }
    if (row.operation == Operation::logits) return Linear{packed(row.tensors[0], true), {}};
    return {};
  };
  for (const SiteRow& row : config.network->sites)
    for (std::size_t l = 0; l < layers_of(config, row.site); ++l)
      model.weights.add(row.site, weights_of(row));
  return model;
}

}  // namespace lamp::experiments::bench
