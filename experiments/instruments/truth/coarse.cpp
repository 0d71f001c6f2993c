// Heads, sites of layers, and layers, alone low and alone exact; a published score of layers.
#include "analysis/truth/coarse.hpp"

#include <optional>
#include <utility>

#include "analysis/truth/layer_risk.hpp"
#include "experiments/instruments/truth/part.hpp"

namespace lamp::experiments {
namespace {

class CoarseTruth final : public TruthPart {
 public:
  using TruthPart::TruthPart;

  void add_readings(std::vector<Reading<>>& all) override {
    add(all, "one_low_kl", "head", &truth::Coarse::low_heads, "the scores of this head alone low");
    add(all, "one_high_kl", "head", &truth::Coarse::high_heads,
        "the scores of this head alone recomputed, all others low");
    add(all, "one_low_kl_site", "site", &truth::Coarse::low_sites,
        "this site of this layer alone low");
    add(all, "one_high_kl_site", "site", &truth::Coarse::high_sites,
        "this site of this layer alone in the reference arithmetic, all others of layers low");
    add(all, "one_low_layer_kl", {}, &truth::Coarse::low_layers,
        "all sites of this layer alone low");
    add(all, "one_high_layer_kl", {}, &truth::Coarse::high_layers,
        "all sites of this layer alone in the reference arithmetic, all other layers low");
    all.push_back({quantity("/truth/coarse/all_low_layers_kl", "nat",
                            "KL(reference || run) with all sites of all layers low"),
                   [this] { return found_.all_low_layers; }});
    if (!truth::has_layer_risk(model)) return;
    record::Quantity risk = quantity("/truth/coarse/risk", "1",
                                     "risk score of this layer, of the reference pass and the "
                                     "weights (Baek, arXiv 2510.21770)");
    risk.dims = {"layer"};
    risk.shape = {model.n_layer};
    all.push_back({std::move(risk), [this] { return risk_; }});
  }

  [[nodiscard]] std::vector<record::Axis> axes() const override {
    std::vector<std::string> names;
    for (const Site s : truth::layer_sites(model)) names.emplace_back(info(s).name);
    return {{.name = "site", .values = std::move(names), .long_name = "site of a layer"}};
  }

  void clear() override { found_ = {}, risk_.clear(); }

  bool evaluate(TruthOfCell& cell) override {
    const std::size_t threads = cell.pass.options.threads;
    std::optional<truth::Coarse> found =
        truth::coarse(cell.question, cell.exact.target(), threads, truth_is_stopped);
    if (!found) return false;
    found_ = *std::move(found);
    if (!truth::has_layer_risk(model)) return true;
    if (!norms_ || model_ != &cell.pass.model) {
      norms_ = truth::layer_norms(cell.pass.model, threads, truth_is_stopped);
      model_ = &cell.pass.model;
    }
    if (norms_) risk_ = truth::layer_risk(cell.pass.model.config, *norms_, cell.exact.pass());
    return norms_.has_value();
  }

 private:
  /// By layer; `grain`: the other dimension, where there is one.
  void add(std::vector<Reading<>>& all, const char* name, std::string grain,
           std::vector<double> truth::Coarse::*values, const char* meaning) {
    record::Quantity q = quantity(std::string("/truth/coarse/") + name, "nat",
                                  std::string("KL(reference || run) with ") + meaning);
    q.dims = {"layer"};
    q.shape = {model.n_layer};
    if (!grain.empty()) {
      q.shape.push_back(grain == "head" ? model.n_head : truth::layer_sites(model).size());
      q.dims.push_back(std::move(grain));
    }
    all.push_back({std::move(q), [this, values] { return found_.*values; }});
  }

  truth::Coarse found_;
  std::vector<double> risk_;
  std::optional<std::vector<truth::LayerNorms>> norms_;  // of a model of the run, once
  const Model* model_ = nullptr;                         // that one
};

}  // namespace

std::unique_ptr<TruthPart> coarse_truth(const Recording& recording) {
  return recording.config.truth->coarse ? std::make_unique<CoarseTruth>(recording) : nullptr;
}

}  // namespace lamp::experiments
