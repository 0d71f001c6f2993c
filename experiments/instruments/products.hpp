// Multiply-accumulates of the sites that are matrix products, counted from the shapes.
#pragma once

#include <cstddef>

#include "core/model/networks/network.hpp"

namespace lamp::experiments {

/// Terms of the sum that a component in row `query` of a site is; 0 where it is no inner product.
std::size_t terms_of(const ModelConfig& model, const SiteRow& row, std::size_t query);

/// Multiply-accumulates of a site over a sequence, in one layer and head; exact below 2^53.
double macs_of(const ModelConfig& model, const SiteRow& row, std::size_t length);

}  // namespace lamp::experiments
