#include "experiments/commands/sample.hpp"

#include <algorithm>
#include <array>

namespace lamp::experiments {

double RandomNumbers::operator()() {
  constexpr double sqrt_3 = 1.7320508075688772;
  const std::uint64_t draw = bits_();
  std::uint64_t sum = 0;
  for (const int shift : {0, 16, 32, 48}) sum += draw >> shift & 0xFFFF;
  return (static_cast<double>(sum) + 0.5) * (0x1p-16 * sqrt_3) - 2.0 * sqrt_3;
}

const Linear& SampleWeights::linear(const SiteRow& row, std::size_t columns) {
  const auto [place, fresh] = linear_.try_emplace({row.site, columns});
  Linear& linear = place->second;
  if (!fresh) return linear;
  Matrix<float> weight(input_columns(model_, row, 0, Head{}, 0).count, columns);
  for (float& w : weight.flat()) w = static_cast<float>(0.02 * random_());  // as GPT-2 starts
  linear.weight = PackedMatrix(std::as_const(weight).view());
  if (row.operation == Operation::logits) return linear;
  for (std::size_t j = 0; j < columns; ++j)
    linear.bias.push_back(static_cast<double>(static_cast<float>(random_())));
  return linear;
}

const LayerNormWeights& SampleWeights::layer_norm() {
  while (layer_norm_.gamma.size() < model_.n_embd)
    for (std::vector<double>* list : {&layer_norm_.gamma, &layer_norm_.beta})
      list->push_back(static_cast<double>(static_cast<float>(random_())));
  return layer_norm_;
}

const RmsNormWeights& SampleWeights::rms_norm() {
  rms_norm_.gamma = layer_norm().gamma;
  return rms_norm_;
}

const EmbeddingWeights& SampleWeights::embedding(const SiteRow& row, std::size_t rows) {
  for (Matrix<float>* matrix : {&embedding_.tokens, &embedding_.positions}) {
    const bool absent = matrix == &embedding_.positions && tensors_of(row).size() == 1;
    if (absent || matrix->rows() >= rows) continue;
    matrix->reshape(rows, model_.n_embd);
    for (float& w : matrix->flat()) w = static_cast<float>(random_());
  }
  return embedding_;
}

OtherWeights::OtherWeights(double bytes) {
  constexpr double largest_cache = 64.0 * 1024 * 1024;
  numbers_.assign(static_cast<std::size_t>(std::min(bytes, largest_cache) / sizeof(double)), 1.0);
}

void OtherWeights::read() const {
  std::array<double, 8> sums{};  // lanes: as fast as memory is
  for (std::size_t i = 0; i + 8 <= numbers_.size(); i += 8)
    for (std::size_t l = 0; l < 8; ++l) sums[l] += numbers_[i + l];
  volatile double sink = 0.0;
  for (const double sum : sums) sink = sink + sum;
}

}  // namespace lamp::experiments
