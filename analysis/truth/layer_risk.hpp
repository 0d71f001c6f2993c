// A published risk score of GPT-2's layers, to be compared with the truth at the grain of layers.
// Source: J. Baek, "Numerical Fragility in Transformers: A Layer-wise Theory for Risk Estimation
// and Selective Stabilization", AISTATS 2026, arXiv 2510.21770, and its code (e2_predictor).
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/model/suffix.hpp"

namespace lamp::truth {

/// What the score takes from the weights of a layer.
struct LayerNorms {
  double attn_proj = 0.0, mlp_fc = 0.0, mlp_proj = 0.0;  // spectral norms (operator_norms.hpp)
  double ln_1 = 0.0, ln_2 = 0.0;                         // largest abs(gamma)
};

/// Whether the score is defined: of GPT-2's network alone.
bool has_layer_risk(const ModelConfig& model);

/// Of every layer. Nothing where `stop` said so. The same bits for any number of threads.
/// Pre: has_layer_risk.
std::optional<std::vector<LayerNorms>> layer_norms(const Model& model, std::size_t threads,
                                                   const std::function<bool()>& stop);

/// risk_l = local_l / norm(output of ln_f), times the product over the layers m above of
/// (1 + transport_m). Norms are Frobenius norms over all positions and heads but where said.
///   local = attention + ln_1 + ln_2 + attn_proj + mlp_fc + mlp_proj;
///   attention = (norm(scores) + norm(q) norm(k) / sqrt d_head) D V, causal scores; D the largest
///     norm of softmax's Jacobian over all rows, V the largest spectral norm of a head's values;
///   of a norm: largest abs(gamma) times (eps + 2 v) / (v + eps)^1.5 times the norm of its input, v
///     the mean over positions of the input's variance;
///   of a projection: the spectral norm of its weight times the norm of its input.
///   1 + transport = (1 + norm(attn_proj) / norm(input of the layer))
///     (1 + norm(mlp_proj) / norm(resid_1)): the gains of norm and kernel multiply to these.
/// The source evaluates it in the low pass, with two to twelve steps of power iterations from fixed
/// vectors, on 16 rows of softmax a head; here in the given pass, by the limits of these, on all
/// rows. Not in it is the low format's u, the same factor for all layers.
/// Binary64, sums in index order from +0. Not finite where a value it reads is not, or a norm that
/// divides is 0.
/// Pre: has_layer_risk; norms = layer_norms(model).
std::vector<double> layer_risk(const ModelConfig& model, std::span<const LayerNorms> norms,
                               const KeptPass& pass);

}  // namespace lamp::truth
