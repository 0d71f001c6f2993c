#include "analysis/truth/layer_risk.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "analysis/not_finite.hpp"
#include "analysis/truth/operator_norms.hpp"
#include "core/base/side_by_side.hpp"
#include "core/model/networks/network.hpp"

namespace lamp::truth {
namespace {

double sum_of_squares(MatrixView<const double> x) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t j = 0; j < x.cols; ++j) sum += x(i, j) * x(i, j);
  return sum;
}

double norm(const Matrix<double>& x) { return std::sqrt(sum_of_squares(x.view())); }

/// The mean over rows of each row's variance.
double mean_variance(const Matrix<double>& x) {
  const double n = static_cast<double>(x.cols());
  double all = 0.0;
  for (std::size_t i = 0; i < x.rows(); ++i) {
    double sum = 0.0, squares = 0.0;
    for (const double value : x.row(i)) sum += value;
    for (const double value : x.row(i)) squares += (value - sum / n) * (value - sum / n);
    all += squares / n;
  }
  return all / static_cast<double>(x.rows());
}

/// Of a layer norm with the largest abs(gamma), of this input.
double of_norm(double gamma, const Matrix<double>& input, double eps) {
  const double v = mean_variance(input), spread = v + eps;
  return gamma * ((eps + 2.0 * v) / (spread * std::sqrt(spread))) * norm(input);
}

double of_attention(const ModelConfig& model, const KeptPass& pass, Layer layer) {
  const SiteRow &scores = row_of(*model.network, Site::scores),
                &values = row_of(*model.network, Site::values);
  const std::size_t length = pass.length();
  const auto input = [&](const SiteRow& row, std::size_t k, Head head) {
    const Columns c = input_columns(model, row, k, head, length);
    return pass.at(*row.inputs[k].site, layer).view().columns(c.first, c.count);
  };
  double of_scores = 0.0, of_queries = 0.0, of_keys = 0.0, jacobian = 0.0, value = 0.0;
  for (std::size_t h = 0; h < model.n_head; ++h) {
    const Matrix<double>&y = pass.at(Site::scores, layer, Head{h}),
          &z = pass.at(Site::softmax, layer, Head{h});
    for (std::size_t i = 0; i < length; ++i) {
      for (const double x : y.row(i).first(i + 1)) of_scores += x * x;
      jacobian = larger(jacobian, softmax_jacobian_norm(z.row(i).first(i + 1)));
    }
    of_queries += sum_of_squares(input(scores, 0, Head{h}));
    of_keys += sum_of_squares(input(scores, 1, Head{h}));
    value = larger(value, spectral_norm(input(values, 1, Head{h})));
  }
  const double divisor =
      std::sqrt(static_cast<double>(model.d_head())) * model.score_divisor(layer);
  return (std::sqrt(of_scores) + std::sqrt(of_queries) * std::sqrt(of_keys) / divisor) * jacobian *
         value;
}

double spectral_norm_of(const Model& model, Site site, Layer layer) {
  const PackedMatrix& packed = model.weights.at<Linear>(site, layer).weight;
  Matrix<double> weight(packed.rows(), packed.cols());
  for (std::size_t i = 0; i < weight.rows(); ++i)
    for (std::size_t j = 0; j < weight.cols(); ++j) weight(i, j) = packed.at(i, j);
  return spectral_norm(weight.view());
}

double largest_gamma(const Model& model, Site site, Layer layer) {
  double largest = 0.0;
  for (const double gamma : model.weights.at<LayerNormWeights>(site, layer).gamma)
    largest = std::max(largest, std::abs(gamma));
  return largest;
}

}  // namespace

bool has_layer_risk(const ModelConfig& model) { return model.network->model_type == "gpt2"; }

std::optional<std::vector<LayerNorms>> layer_norms(const Model& model, std::size_t threads,
                                                   const std::function<bool()>& stop) {
  struct Task {
    Site site;
    double LayerNorms::*norm;
  };
  constexpr std::array tasks{Task{Site::attn_proj, &LayerNorms::attn_proj},
                             Task{Site::mlp_fc, &LayerNorms::mlp_fc},
                             Task{Site::mlp_proj, &LayerNorms::mlp_proj}};
  std::vector<LayerNorms> norms(model.config.n_layer);
  for (std::size_t l = 0; l < norms.size(); ++l) {
    norms[l].ln_1 = largest_gamma(model, Site::ln_1, Layer{l});
    norms[l].ln_2 = largest_gamma(model, Site::ln_2, Layer{l});
  }
  struct Worker {};
  std::vector<Worker> workers(std::max<std::size_t>(threads, 1));
  std::atomic<bool> stopped = false;
  side_by_side(std::span(workers), tasks.size() * norms.size(), [&](Worker&, std::size_t i) {
    if (stop && stop()) {
      stopped = true;
      return false;
    }
    const Task& task = tasks[i % tasks.size()];
    const Layer layer{i / tasks.size()};
    norms[layer.value].*task.norm = spectral_norm_of(model, task.site, layer);
    return true;
  });
  if (stopped) return std::nullopt;
  return norms;
}

std::vector<double> layer_risk(const ModelConfig& model, std::span<const LayerNorms> norms,
                               const KeptPass& pass) {
  expects(has_layer_risk(model) && norms.size() == model.n_layer,
          "layer_risk: a GPT-2 and the norms of its layers");
  const double eps = model.layer_norm_epsilon, last = norm(pass.at(Site::ln_f));
  std::vector<double> risk(model.n_layer);
  double above = 1.0;  // product over the layers above
  for (std::size_t l = model.n_layer; l-- > 0;) {
    const Layer layer{l};
    const Matrix<double>&x = l == 0 ? pass.at(Site::embed) : pass.at(Site::resid_2, Layer{l - 1}),
          &middle = pass.at(Site::resid_1, layer);
    const double local = of_attention(model, pass, layer) + of_norm(norms[l].ln_1, x, eps) +
                         of_norm(norms[l].ln_2, middle, eps) +
                         norms[l].attn_proj * norm(pass.at(Site::values, layer)) +
                         norms[l].mlp_fc * norm(pass.at(Site::ln_2, layer)) +
                         norms[l].mlp_proj * norm(pass.at(Site::gelu, layer));
    risk[l] = local / last * above;
    above *= (1.0 + norm(pass.at(Site::attn_proj, layer)) / norm(x)) *
             (1.0 + norm(pass.at(Site::mlp_proj, layer)) / norm(middle));
  }
  return risk;
}

}  // namespace lamp::truth
