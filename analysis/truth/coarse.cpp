#include "analysis/truth/coarse.hpp"

#include <utility>

#include "analysis/truth/passes.hpp"

namespace lamp::truth {

std::vector<Site> layer_sites(const ModelConfig& model) {
  std::vector<Site> sites;
  for (const SiteRow& row : model.network->sites)
    if (info(row.site).per_layer) sites.push_back(row.site);
  return sites;
}

std::optional<Coarse> coarse(const Question& q, const ReferenceDistribution& target,
                             std::size_t threads, const std::function<bool()>& stop) {
  const ModelConfig& config = q.model.config;
  const std::size_t layers = config.n_layer, heads = heads_of(config, q.site);
  const std::vector<Site> sites = layer_sites(config);
  const auto low = [&](std::size_t l, std::size_t h) {
    return q.low.at(q.site, Layer{l}, Head{h});
  };
  const PrecisionPlan low_scores = with_low_scores(q);
  PrecisionPlan low_layers = q.reference;
  for (std::size_t l = 0; l < layers; ++l)
    for (const Site site : sites) low_layers.set({.site = site, .layer = Layer{l}}, low(l, 0));

  Coarse out;
  std::vector<PrecisionPlan> plans;
  std::vector<std::vector<double>*> found;  // where the KL of each plan goes
  const auto pass_under = [&](PrecisionPlan plan, std::vector<double>& kl) {
    plans.push_back(std::move(plan));
    found.push_back(&kl);
  };
  const auto pass = [&](PrecisionPlan plan, const SitePath& path, const Arithmetic& arithmetic,
                        std::vector<double>& kl) {
    plan.set(path, arithmetic);
    pass_under(std::move(plan), kl);
  };
  pass_under(low_layers, out.all_low_layers);
  for (std::size_t l = 0; l < layers; ++l) {
    PrecisionPlan one_low = q.reference, one_high = low_layers;  // of this layer
    for (std::size_t h = 0; h < heads; ++h) {
      const SitePath head{.site = q.site, .layer = Layer{l}, .head = Head{h}};
      pass(q.reference, head, low(l, h), out.low_heads);
      pass(low_scores, head, q.high, out.high_heads);
    }
    for (const Site site : sites) {
      const SitePath path{.site = site, .layer = Layer{l}};
      pass(q.reference, path, low(l, 0), out.low_sites);
      pass(low_layers, path, q.reference.at(site, Layer{l}), out.high_sites);
      one_low.set(path, low(l, 0));
      one_high.set(path, q.reference.at(site, Layer{l}));
    }
    pass_under(std::move(one_low), out.low_layers);
    pass_under(std::move(one_high), out.high_layers);
  }
  const std::vector<double> kl = kl_of_passes(q, target, plans, threads, stop);
  if (kl.size() != plans.size()) return std::nullopt;
  for (std::size_t i = 0; i < kl.size(); ++i) found[i]->push_back(kl[i]);
  return out;
}

std::size_t coarse_passes(const ModelConfig& model, Site site) {
  return 2 * model.n_layer * (heads_of(model, site) + layer_sites(model).size() + 1) + 1;
}

}  // namespace lamp::truth
