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
  const auto pass = [&](PrecisionPlan plan, const SitePath& path, const Arithmetic& arithmetic,
                        std::vector<double>& kl) {
    plan.set(path, arithmetic);
    plans.push_back(std::move(plan));
    found.push_back(&kl);
  };
  for (std::size_t l = 0; l < layers; ++l) {
    for (std::size_t h = 0; h < heads; ++h) {
      const SitePath head{.site = q.site, .layer = Layer{l}, .head = Head{h}};
      pass(q.reference, head, low(l, h), out.low_heads);
      pass(low_scores, head, q.high, out.high_heads);
    }
    for (const Site site : sites) {
      const SitePath path{.site = site, .layer = Layer{l}};
      pass(q.reference, path, low(l, 0), out.low_sites);
      pass(low_layers, path, q.reference.at(site, Layer{l}), out.high_sites);
    }
  }
  const std::vector<double> kl = kl_of_passes(q, target, plans, threads, stop);
  if (kl.size() != plans.size()) return std::nullopt;
  for (std::size_t i = 0; i < kl.size(); ++i) found[i]->push_back(kl[i]);
  return out;
}

std::size_t coarse_passes(const ModelConfig& model, Site site) {
  return 2 * model.n_layer * (heads_of(model, site) + layer_sites(model).size());
}

}  // namespace lamp::truth
