// lamp.Model: tokens, passes with taps, greedy continuations.
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/model/files/tokenizer.hpp"
#include "core/model/forward.hpp"
#include "core/model/greedy.hpp"
#include "core/model/networks/network.hpp"
#include "experiments/config/config.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/python/bindings/errors.hpp"
#include "experiments/python/bindings/module.hpp"
#include "experiments/python/bindings/own_rule.hpp"
#include "experiments/python/bindings/parallel.hpp"

namespace lamp::python {

namespace nb = nanobind;

namespace {

/// What the plan of a config says, for sequences of one length, and the callables that it selects
/// by.
struct Plan {
  PrecisionPlan plan;
  std::vector<std::shared_ptr<CallableRule>> rules{};
};

/// Values of one site, (layer?, head?, T, width), row-major.
struct Tapped {
  std::vector<std::size_t> shape{};
  std::vector<double> values{};
  std::vector<std::uint8_t> marks{};  // of selections, (layer, head, T, width)
};

constexpr std::string_view selected_suffix = ".selected";

/// Keeps the values of some sites. Entries that do not exist are NaN.
class Taps final : public TapSink {
 public:
  Taps(const ModelConfig& model, std::size_t tokens, std::size_t first_logits)
      : config_(model), tokens_(tokens), first_logits_(first_logits) {}

  void want(Site site) { values_[site]; }
  void want_selected(Site site) { selected_[site]; }

  void values(const TapPoint& point, MatrixView<const double> x) override {
    const auto found = values_.find(point.site);
    if (found == values_.end()) return;
    const bool causal = info(point.site).causal;
    const std::size_t width = causal ? tokens_ : x.cols,
                      skipped = point.site == Site::logits ? first_logits_ : 0;
    Tapped& site = found->second;
    if (site.values.empty()) {
      site.shape = shape_of(point.site, width, tokens_ - skipped);
      site.values.assign(size_of(site.shape), std::numeric_limits<double>::quiet_NaN());
    }
    for (std::size_t i = 0; i < x.rows; ++i) {
      const std::size_t row = point.first_row + i;
      if (row < skipped) continue;
      const std::size_t columns = causal ? row + 1 : width;
      double* const to =
          site.values.data() + (place(point) * (tokens_ - skipped) + row - skipped) * width;
      for (std::size_t j = 0; j < columns; ++j) to[j] = x(i, j);
    }
  }

  void selected(const TapPoint& point, std::span<const std::uint8_t> marks) override {
    const auto found = selected_.find(point.site);
    if (found == selected_.end()) return;
    const std::size_t width = info(point.site).causal ? tokens_ : marks.size();
    Tapped& site = found->second;
    if (site.marks.empty()) {
      site.shape = shape_of(point.site, width, tokens_);
      site.marks.assign(size_of(site.shape), 0);
    }
    std::copy(marks.begin(), marks.end(),
              site.marks.begin() +
                  static_cast<std::ptrdiff_t>((place(point) * tokens_ + point.first_row) * width));
  }

  std::map<Site, Tapped>& all_values() { return values_; }
  std::map<Site, Tapped>& all_selected() { return selected_; }

 private:
  [[nodiscard]] std::vector<std::size_t> shape_of(Site site, std::size_t width,
                                                  std::size_t rows) const {
    std::vector<std::size_t> shape{rows, width};
    if (info(site).per_head) shape.insert(shape.begin(), config_.n_head);
    if (info(site).per_layer) shape.insert(shape.begin(), config_.n_layer);
    return shape;
  }
  static std::size_t size_of(const std::vector<std::size_t>& shape) {
    std::size_t size = 1;
    for (const std::size_t length : shape) size *= length;
    return size;
  }
  [[nodiscard]] std::size_t place(const TapPoint& point) const {
    const std::size_t heads = info(point.site).per_head ? config_.n_head : 1;
    return point.layer.value * heads + point.head.value;
  }

  const ModelConfig& config_;
  std::size_t tokens_, first_logits_;
  std::map<Site, Tapped> values_, selected_;
};

template <class T>
nb::object array_of(std::vector<T> values, const std::vector<std::size_t>& shape) {
  auto kept = std::make_unique<std::vector<T>>(std::move(values));
  T* const data = kept->data();
  const nb::capsule owner(kept.release(),
                          [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T>(data, shape.size(), shape.data(), owner));
}

class LanguageModel {
 public:
  explicit LanguageModel(const std::string& folder) : folder_(folder) {
    const nb::gil_scoped_release unlocked;
    model_ = std::make_shared<Model>(value_or_throw(read_model(folder)));
  }

  [[nodiscard]] const ModelConfig& config() const { return model_->config; }

  std::vector<TokenId> encode(const std::string& text, bool special) {
    return value_or_throw(tokenizer().encode(text, special));
  }
  nb::bytes decode(const std::vector<std::int64_t>& ids) {
    const std::string text = value_or_throw(tokenizer().decode(checked(ids, 0)));
    return nb::bytes(text.data(), text.size());
  }

  /// `toml`: a config whose [plan], [lamp], [store] and arithmetics are meant. `rules`: by site,
  /// what answers for its own rule, and whether that reads keys.
  [[nodiscard]] Plan plan(const std::string& toml, nb::dict rules) const {
    const experiments::Config config =
        value_or_throw(experiments::parse_config(toml, "plan", folder_, {}));
    const Result<void> fits = experiments::check_against(config, model_->config);
    if (!fits) throw Failure(fits.error());
    std::vector<std::shared_ptr<CallableRule>> own;
    const auto rule_of = [&](const experiments::SelectionConfig& selection) -> OwnRule* {
      const nb::object rule = rules[std::string(info(selection.site).name).c_str()];
      own.push_back(std::make_shared<CallableRule>(rule[0], nb::cast<bool>(rule[1])));
      return own.back().get();
    };
    PrecisionPlan plan = experiments::plan_of(config, rule_of);
    return {std::move(plan), std::move(own)};
  }

  nb::dict forward(const Plan& plan, const std::vector<std::int64_t>& ids,
                   const std::vector<std::string>& names, std::size_t first_logits,
                   std::uint32_t seed, std::uint32_t sequence, std::size_t threads) {
    const std::vector<TokenId> tokens = checked(ids, 1);
    Taps taps(model_->config, tokens.size(), first_logits);
    taps.want(Site::logits);
    for (const std::string& name : names) want(taps, name, plan.plan);
    const std::shared_ptr<const Model> model = stored(plan.plan);
    PassOptions options = pass_options(seed, sequence, threads);
    options.first_logits = first_logits;
    while_looking_for_signals([&](const StopRequest& stop) {
      options.stop = &stop;
      Workspace workspace;
      workspace.team = Team(threads);
      lamp::forward(*model, tokens, plan.plan, options, taps, workspace);
    });
    nb::dict found;
    for (auto& [site, tapped] : taps.all_values())
      found[nb::str(std::string(info(site).name).c_str())] =
          array_of(std::move(tapped.values), tapped.shape);
    for (auto& [site, tapped] : taps.all_selected())
      found[nb::str((std::string(info(site).name) + std::string(selected_suffix)).c_str())] =
          array_of(std::move(tapped.marks), tapped.shape);
    return found;
  }

  std::vector<TokenId> generate(const Plan& plan, const std::vector<std::int64_t>& ids,
                                std::size_t count, std::uint32_t seed, std::uint32_t sequence,
                                std::size_t threads) {
    const std::vector<TokenId> prefix = checked(ids, 1 + count);
    const std::shared_ptr<const Model> model = stored(plan.plan);
    PassOptions options = pass_options(seed, sequence, threads);
    std::vector<TokenId> tokens;
    while_looking_for_signals([&](const StopRequest& stop) {
      options.stop = &stop;
      Workspace workspace;
      workspace.team = Team(threads);
      tokens = greedy_continuation(*model, prefix, count, plan.plan, options, workspace);
    });
    return tokens;
  }

 private:
  const Tokenizer& tokenizer() {
    if (!tokenizer_) tokenizer_ = value_or_throw(Tokenizer::read(folder_));
    return *tokenizer_;
  }

  [[nodiscard]] PassOptions pass_options(std::uint32_t seed, std::uint32_t sequence,
                                         std::size_t threads) const {
    return {.activation = model_->config.activation,
            .seed = seed,
            .sequence = sequence,
            .threads = threads};
  }

  /// Ids as the pass takes them. `places`: 0 for any number, else 1 + the tokens that follow them.
  [[nodiscard]] std::vector<TokenId> checked(const std::vector<std::int64_t>& ids,
                                             std::size_t places) const {
    const std::size_t most = model_->config.n_positions, more = places == 0 ? 0 : places - 1;
    if (places > 0 && (ids.empty() || more > most || ids.size() > most - more))
      fail("tokens: " + std::to_string(ids.size()) + " of them" +
           (more > 0 ? " and " + std::to_string(more) + " to come" : std::string()) +
           "; legal: at least 1, together at most n_positions = " + std::to_string(most));
    std::vector<TokenId> tokens;
    for (const std::int64_t id : ids) {
      if (id < 0 || id >= static_cast<std::int64_t>(model_->config.vocab_size))
        fail("tokens: element " + std::to_string(tokens.size()) + " is " + std::to_string(id) +
             "; legal: 0 to " + std::to_string(model_->config.vocab_size - 1));
      tokens.push_back(static_cast<TokenId>(id));
    }
    return tokens;
  }

  void want(Taps& taps, const std::string& name, const PrecisionPlan& plan) const {
    const bool selected = name.ends_with(selected_suffix);
    const std::string_view of =
        std::string_view(name).substr(0, name.size() - (selected ? selected_suffix.size() : 0));
    std::string legal;
    for (const SiteRow& row : model_->config.network->sites) {
      legal.append(legal.empty() ? "" : ", ").append(info(row.site).name);
      if (info(row.site).name != of) continue;
      if (!selected) return taps.want(row.site);
      if (plan.selection(row.site) != nullptr) return taps.want_selected(row.site);
    }
    fail("taps: " + name + " is no site of this network; legal: " + legal +
         ", and SITE.selected where lamp.SITE selects");
  }

  /// Passes in other threads keep the one that they began with.
  std::shared_ptr<const Model> stored(const PrecisionPlan& plan) {
    const Storage::System& system = plan.storage().weights;
    if (!system) return model_;
    if (!stored_ || stored_->first != *system)
      stored_.emplace(*system, std::make_shared<Model>(with_stored_weights(*model_, *system)));
    return stored_->second;
  }

  std::string folder_;
  std::shared_ptr<const Model> model_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<std::pair<NumberSystem, std::shared_ptr<const Model>>> stored_;
};

}  // namespace

void bind_model(nb::module_& module) {
  nb::class_<Plan>(module, "Plan");
  nb::class_<LanguageModel>(module, "Model")
      .def(nb::init<std::string>())
      .def_prop_ro("vocab_size", [](const LanguageModel& m) { return m.config().vocab_size; })
      .def_prop_ro("n_positions", [](const LanguageModel& m) { return m.config().n_positions; })
      .def_prop_ro("n_embd", [](const LanguageModel& m) { return m.config().n_embd; })
      .def_prop_ro("n_layer", [](const LanguageModel& m) { return m.config().n_layer; })
      .def_prop_ro("n_head", [](const LanguageModel& m) { return m.config().n_head; })
      .def_prop_ro(
          "network",
          [](const LanguageModel& m) { return std::string(m.config().network->model_type); })
      .def_prop_ro("sites",
                   [](const LanguageModel& m) {
                     nb::list names;
                     for (const SiteRow& row : m.config().network->sites)
                       names.append(nb::str(std::string(info(row.site).name).c_str()));
                     return nb::tuple(names);
                   })
      .def("_encode", &LanguageModel::encode)
      .def("_decode", &LanguageModel::decode)
      .def("_plan", &LanguageModel::plan)
      .def("_forward", &LanguageModel::forward)
      .def("_generate", &LanguageModel::generate);
}

}  // namespace lamp::python
