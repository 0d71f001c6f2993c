// Prints what LAMP's step of a pass costs at every site that selects, in ns an entry and as a share
// of the low product that it guards: `seeing` is what f makes of the low rows, `choosing` the set,
// by every error weight, norm and solver; `again` is the recomputation of that set, and mixing (of
// scores and the heads' outputs the high product is made before the choice: it is in `seeing`). The
// budget leaves about 3 % of the entries to recompute. Low is PS(7) via binary32, the rest
// binary32. Passes are timed from tap to tap, with the selection, with its sets as given ones, with
// none of them, and without; the shortest of several. One thread.
//   lamp_selecting_bench [MODEL_FOLDER [TOKENS [SITE]]]
#include <time.h>  // NOLINT: clock_gettime is POSIX's

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include "core/model/compositions.hpp"
#include "core/model/forward.hpp"
#include "core/selection/rules/given.hpp"
#include "core/selection/target.hpp"
#include "tests/support/random_model.hpp"

namespace lamp {
namespace {

constexpr double wanted_share = 0.03;

/// Processor time of this thread in ns: what others do on the machine does not count.
double thread_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e9 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec);
}

/// The time that a pass spends at some sites, and the sets of one of them where they are asked for.
class Stopwatch : public TapSink {
 public:
  explicit Stopwatch(std::vector<Site> timed, GivenSets* sets = nullptr, std::size_t width = 0)
      : timed_(std::move(timed)), sets_(sets), width_(width), last_(thread_time()) {}

  void values(const TapPoint& point, MatrixView<const double>) override {
    const double now = thread_time();
    if (std::find(timed_.begin(), timed_.end(), point.site) != timed_.end()) spent_ += now - last_;
    last_ = thread_time();
  }
  void selected(const TapPoint& point, std::span<const std::uint8_t> marks) override {
    if (sets_ == nullptr) return;
    // Where f reads the rows of all heads, they stand side by side in one row of the sets.
    const std::size_t column = sets_->heads == 1 ? point.head.value * width_ : 0,
                      head = sets_->heads == 1 ? 0 : point.head.value;
    const std::size_t first =
        ((point.layer.value * sets_->heads + head) * sets_->rows + point.first_row) *
            sets_->components +
        column;
    std::copy(marks.begin(), marks.end(),
              sets_->marks.begin() + static_cast<std::ptrdiff_t>(first));
    entries += marks.size();
    chosen += static_cast<std::size_t>(std::count(marks.begin(), marks.end(), 1));
  }
  [[nodiscard]] double spent() const { return spent_; }
  std::size_t entries = 0, chosen = 0;

 private:
  std::vector<Site> timed_;
  GivenSets* sets_;
  std::size_t width_;
  double last_, spent_ = 0.0;
};

class Bench {
 public:
  Bench(const Model& model, std::size_t length) : model_(model) {
    test::Random random(3);
    for (std::size_t i = 0; i < length; ++i)
      tokens_.push_back(TokenId{random.below(static_cast<std::uint32_t>(model.config.vocab_size))});
  }

  void site(const SiteRow& g) {
    const ModelConfig& config = model_.config;
    const Target& target = target_of(*config.network, g, config.activation);
    const SiteRow* f = row_of_f(config.network->sites, g);
    timed_ = {g.site};
    const bool across = *g.f == Composition::linear_map;
    if (*g.f == Composition::softmax) timed_.push_back(f->site);
    if (across) timed_.push_back(Site::scores), timed_.push_back(Site::softmax);
    const std::size_t width = width_of(config, g.site, tokens_.size()),
                      heads = heads_of(config, g.site), columns = across ? heads * width : width;
    const std::size_t layers = layers_of(config, g.site);
    const GivenSets none = GivenSets::none(layers, across ? 1 : heads, tokens_.size(), columns);
    first_logits_ = g.operation == Operation::logits ? 0 : tokens_.size();
    for (const ErrorWeights weights :
         {ErrorWeights::absolute, ErrorWeights::relative, ErrorWeights::dot})
      for (const Norm norm : {Norm::componentwise, Norm::normwise1})
        for (const Solver solver : {Solver::greedy, Solver::exact}) {
          SelectionSpec spec{.weights = weights, .norm = norm, .solver = solver};
          if (!check(spec, target).empty()) continue;
          GivenSets sets = none;
          const Stopwatch counts = find_budget(g.site, spec, sets, width);
          SelectionSpec given{.rule = &given_sets, .weights = weights, .given = &sets};
          SelectionSpec nothing = given;
          nothing.given = &none;
          const Times t = shortest(g.site, {spec, given, nothing});
          const auto n = static_cast<double>(counts.entries);
          const double low = t.product / n, seeing = (t.nothing - t.without) / n,
                       choosing = (t.whole - t.given) / n, again = (t.given - t.nothing) / n;
          std::printf("%-9s %-9s %-8s %-13s %-6s %5.1f%% %9.2f %8.2f %8.2f %6.1f%% %8.2f %6.1f%%\n",
                      info(g.site).name.data(), target.function.data(),
                      name_in(error_weights_names, weights).data(),
                      name_in(norm_names, norm).data(), name_in(solver_names, solver).data(),
                      100.0 * static_cast<double>(counts.chosen) / n, low, seeing, choosing,
                      100.0 * (seeing + choosing) / low, again, 100.0 * again / low);
          std::fflush(stdout);
        }
  }

 private:
  struct Selecting {
    Site site;
    SelectionSpec spec;
  };

  void pass(std::optional<Selecting> selecting, Stopwatch& watch) {
    PrecisionPlan plan(fused(binary32));
    for (const SiteRow& row : model_.config.network->sites)
      if (row.f) plan.set(row.site, lamp_paper(7));
    if (selecting)
      plan.select(selecting->site, {.spec = selecting->spec, .recompute = fused(binary32)});
    forward(model_, tokens_, plan,
            {.activation = model_.config.activation, .first_logits = first_logits_}, watch, work_);
  }

  struct Times {
    double product = 1e300, without = 1e300, whole = 1e300, given = 1e300, nothing = 1e300;
  };

  /// Of passes that take turns, so that others at work meet all of them.
  Times shortest(Site site, const std::array<SelectionSpec, 3>& specs) {
    Times times;
    const auto take = [&](double& best, const std::optional<Selecting>& selecting,
                          const std::vector<Site>& timed) {
      Stopwatch watch(timed);
      pass(selecting, watch);
      best = std::min(best, watch.spent());
    };
    for (int repeat = 0; repeat < 9; ++repeat) {
      take(times.product, {}, {site});
      take(times.without, {}, timed_);
      take(times.whole, Selecting{site, specs[0]}, timed_);
      take(times.given, Selecting{site, specs[1]}, timed_);
      take(times.nothing, Selecting{site, specs[2]}, timed_);
    }
    return times;
  }

  /// Sets tau so that about the wanted share is chosen, and `sets` to what is.
  Stopwatch find_budget(Site site, SelectionSpec& spec, GivenSets& sets, std::size_t width) {
    double low = -20.0, high = 20.0;  // log2 tau
    for (int step = 0; step < 14; ++step) {
      const double middle = 0.5 * (low + high);
      spec.tau = std::exp2(middle);
      Stopwatch watch({}, &sets, width);
      pass(Selecting{site, spec}, watch);
      const double share = static_cast<double>(watch.chosen) / static_cast<double>(watch.entries);
      if (std::abs(share / wanted_share - 1.0) < 0.1 || step == 13) return watch;
      (share > wanted_share ? low : high) = middle;
    }
    contract_violated("find_budget: returns");
  }

  const Model& model_;
  std::vector<TokenId> tokens_;
  std::vector<Site> timed_;
  std::size_t first_logits_ = 0;
  Workspace work_;
};

void bench(const Model& model, std::size_t length, std::string_view only) {
  Bench bench(model, length);
  for (const SiteRow& row : model.config.network->sites)
    if (row.f && (only.empty() || only == info(row.site).name)) bench.site(row);
}

/// One layer of SmolLM2-135M's shape, and of a GPT-2 as wide; weights from (-1, 1) / 16.
Model one_layer(const char* network, Activation activation) {
  ModelConfig config{.network = &test::network_called(network),
                     .vocab_size = 49152,
                     .n_positions = 1024,
                     .n_embd = 576,
                     .n_layer = 1,
                     .n_head = 9,
                     .n_inner = 2304,
                     .activation = activation,
                     .end_of_text = {}};
  if (std::string_view(network) == "llama") {
    config.n_inner = 1536;
    config.llama = LlamaShape{.n_kv_head = 3, .d_head = 64, .rope = {.theta = 1e5}};
  }
  return test::random_model(config, 8, 0x1p-4F);
}

}  // namespace
}  // namespace lamp

int main(int argc, char** argv) {
  using namespace lamp;  // NOLINT
  const std::size_t length = argc > 2 ? static_cast<std::size_t>(std::atoi(argv[2])) : 128;
  const std::string_view only = argc > 3 ? argv[3] : "";
  std::printf("%-9s %-9s %-8s %-13s %-6s %6s %9s %8s %8s %7s %8s %7s\n", "site", "f", "weights",
              "norm", "solver", "share", "low ns", "seeing", "choosing", "of low", "again",
              "of low");
  if (argc > 1 && *argv[1] != '\0') {
    const Result<Model> model = read_model(argv[1]);
    if (!model) return std::fprintf(stderr, "%s\n", model.error().message.c_str()), 1;
    bench(*model, length, only);
    return 0;
  }
  bench(one_layer("llama", Activation::silu), length, only);
  bench(one_layer("gpt2", Activation::gelu_new), length, only);
  bench(one_layer("gpt2", Activation::gelu), length, only.empty() ? "mlp_fc" : only);
  return 0;
}
