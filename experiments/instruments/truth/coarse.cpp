// Heads, and sites of layers, alone low and alone exact.
#include "analysis/truth/coarse.hpp"

#include <utility>

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
  }

  [[nodiscard]] std::vector<record::Axis> axes() const override {
    std::vector<std::string> names;
    for (const Site s : truth::layer_sites(model)) names.emplace_back(info(s).name);
    return {{.name = "site", .values = std::move(names), .long_name = "site of a layer"}};
  }

  void clear() override { found_ = {}; }

  bool evaluate(TruthOfCell& cell) override {
    std::optional<truth::Coarse> found = truth::coarse(cell.question, cell.exact.target(),
                                                       cell.pass.options.threads, truth_is_stopped);
    if (found) found_ = *std::move(found);
    return found.has_value();
  }

 private:
  void add(std::vector<Reading<>>& all, const char* name, std::string grain,
           std::vector<double> truth::Coarse::*values, const char* meaning) {
    record::Quantity q = quantity(std::string("/truth/coarse/") + name, "nat",
                                  std::string("KL(reference || run) with ") + meaning);
    const std::size_t size = grain == "head" ? model.n_head : truth::layer_sites(model).size();
    q.dims = {"layer", std::move(grain)};
    q.shape = {model.n_layer, size};
    all.push_back({std::move(q), [this, values] { return found_.*values; }});
  }

  truth::Coarse found_;
};

}  // namespace

std::unique_ptr<TruthPart> coarse_truth(const Recording& recording) {
  return recording.config.truth->coarse ? std::make_unique<CoarseTruth>(recording) : nullptr;
}

}  // namespace lamp::experiments
