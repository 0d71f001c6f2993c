// From a network's table to the function whose conditioning LAMP looks at.
#pragma once

#include "core/model/networks/network.hpp"
#include "core/selection/target.hpp"

namespace lamp {

/// What the f of a product makes of its rows. Pre: g.f is set; the network's table fits.
inline const Target& target_of(const Network& network, const SiteRow& g, Activation activation) {
  expects(g.f.has_value(), "target_of: a site that f follows");
  switch (*g.f) {
    case Composition::softmax:
    case Composition::final_softmax:
      return targets::softmax;
    case Composition::norm:
      return norm_of(network.sites) == Operation::rms_norm ? targets::rms_norm
                                                           : targets::layer_norm;
    case Composition::linear_map:
      return targets::linear_map;
    case Composition::activation:
      switch (activation) {
        case Activation::gelu_new:
          return targets::gelu_tanh;
        case Activation::gelu:
          return targets::gelu_erf;
        case Activation::silu:
          return targets::silu;
        case Activation::relu:
          return targets::relu;
      }
  }
  contract_violated("target_of: a known composition");
}

}  // namespace lamp
