// Storage: every value of a pass is that of its arithmetic on what it reads, rounded once. Oracles:
// the pass's own local values (the same arithmetic, nothing stored) rounded by core/mpfr;
// operations on keys and values that are rounded here; LAMP's choice on the stored rows.
#include "core/model/storage.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "core/model/forward.hpp"
#include "core/model/ops/sites.hpp"
#include "core/mpfr/number_system.hpp"
#include "core/selection/target.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

using test::same_bits;

BlockFormat with(const char* name, std::size_t size, bool automatic = false) {
  BlockFormat format = BlockFormat::named(name).value();
  format.size = size;
  format.tensor_scale.automatic = automatic;
  return format;
}

const std::vector<NumberSystem> systems{
    bfloat16, binary16, e4m3fn, ps(3), with("mxfp4", 5), with("nvfp4", 16), with("nvfp4", 7, true)};

const Model& sort_model() {
  static const Model model =
      read_model(std::string(LAMP_SOURCE_DIR) + "/tests/golden/gpt-nano-sort").value();
  return model;
}
const std::vector<TokenId> tokens{0, 2, 1, 1, 0, 2, 2, 0, 1};

std::vector<double> rounded(const NumberSystem& system, std::span<const double> x,
                            std::optional<double> tensor = {}) {
  std::vector<double> y(x.begin(), x.end());
  mpfr::round_row(system, y, y, tensor);
  return y;
}

using Key = std::tuple<Site, std::size_t, std::size_t>;  // and layer, head
using Rows = std::vector<std::vector<double>>;           // the entries that are defined

/// What a pass shows.
class Everything final : public TapSink {
 public:
  void values(const TapPoint& point, MatrixView<const double> x) override { add(passed, point, x); }
  [[nodiscard]] bool wants_local(Site) const override { return true; }
  void local(const TapPoint& point, MatrixView<const double>,
             MatrixView<const double> reference) override {
    add(locals, point, reference);
  }
  void selected(const TapPoint& point, std::span<const std::uint8_t> chosen) override {
    marks[{point.site, point.layer.value, point.head.value}].emplace_back(chosen.begin(),
                                                                          chosen.end());
  }
  std::map<Key, Rows> passed, locals;
  std::map<Key, std::vector<std::vector<std::uint8_t>>> marks;

 private:
  static void add(std::map<Key, Rows>& all, const TapPoint& point, MatrixView<const double> x) {
    for (std::size_t i = 0; i < x.rows; ++i) {
      const std::span<const double> row =
          x.row(i).first(info(point.site).causal ? point.first_row + i + 1 : x.cols);
      all[{point.site, point.layer.value, point.head.value}].emplace_back(row.begin(), row.end());
    }
  }
};

/// A pass in the plan; local() is the plan without storage, on `original`.
Everything pass(const Model& model, PrecisionPlan plan, const Storage& storage,
                const Model& original = sort_model()) {
  const PrecisionPlan as_computed = plan;
  plan.store(storage);
  Everything sink;
  Workspace workspace;
  forward(model, tokens, plan, {.local_reference = &as_computed, .local_model = &original}, sink,
          workspace);
  return sink;
}

/// Columns of rows, as a matrix.
Matrix<double> columns(const Rows& rows, std::size_t first, std::size_t count) {
  Matrix<double> x(rows.size(), count);
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy_n(rows[i].begin() + static_cast<std::ptrdiff_t>(first), count, x.row(i).begin());
  return x;
}

void store(const NumberSystem& system, Matrix<double>& x) {
  for (std::size_t i = 0; i < x.rows(); ++i) mpfr::round_row(system, x.row(i), x.row(i));
}

}  // namespace

TEST_CASE("storage: every site is its arithmetic on what it reads, rounded once",
          "[model][store]") {
  for (const NumberSystem& system : systems)
    for (const bool weights : {false, true}) {
      if (weights && !keeps_binary32(system)) continue;
      INFO(name_of(system));
      const Model model = weights ? with_stored_weights(sort_model(), system) : sort_model();
      PrecisionPlan plan(fused(binary32));
      plan.set(Site::mlp_fc, lamp_paper(7));
      const Everything seen = pass(model, plan, {.everywhere = system}, model);
      int changed = 0;
      for (const auto& [key, rows] : seen.passed) {
        INFO(info(std::get<0>(key)).name);
        const Rows& computed = seen.locals.at(key);
        for (std::size_t i = 0; i < rows.size(); ++i) {
          REQUIRE(same_bits(rows[i], rounded(system, computed[i])));
          changed += same_bits(rows[i], computed[i]) ? 0 : 1;
        }
      }
      CHECK(changed > 50);
    }
}

TEST_CASE("storage: the most specific wins, and what is not named is as computed",
          "[model][store]") {
  Storage storage{.everywhere = bfloat16};
  storage.sites[{Site::gelu, std::nullopt}] = e4m3fn;
  storage.sites[{Site::gelu, Layer{1}}] = std::nullopt;
  storage.sites[{Site::ln_1, Layer{2}}] = binary16;
  const auto is = [&](Site site, std::size_t layer, const Storage::System& want) {
    const NumberSystem* found = storage.at(site, Layer{layer});
    return want ? found != nullptr && *found == *want : found == nullptr;
  };
  CHECK(is(Site::gelu, 0, e4m3fn));
  CHECK(is(Site::gelu, 1, std::nullopt));
  CHECK(is(Site::ln_1, 1, bfloat16));
  CHECK(is(Site::ln_1, 2, binary16));
  storage.everywhere.reset();
  CHECK(is(Site::ln_1, 1, std::nullopt));
  const Everything some = pass(sort_model(), PrecisionPlan(fused(binary32)), storage);
  for (const auto& [key, rows] : some.passed) {
    const auto& [site, layer, head] = key;
    const NumberSystem* system = storage.at(site, Layer{layer});
    const Rows& computed = some.locals.at(key);
    for (std::size_t i = 0; i < rows.size(); ++i)
      CHECK(same_bits(rows[i], system ? rounded(*system, computed[i]) : computed[i]));
  }
}

TEST_CASE("storage: scores and values read the cache, which is stored after its site",
          "[model][store]") {
  const std::size_t c = sort_model().config.n_embd, d = sort_model().config.d_head();
  for (const NumberSystem& keys : systems)
    for (const Storage::System& outputs : {Storage::System(), Storage::System(bfloat16)}) {
      if (reads_tensor(keys)) continue;
      const NumberSystem values = e4m3fn;
      INFO(name_of(keys));
      const Everything seen = pass(sort_model(), PrecisionPlan(fused(binary32)),
                                   {.everywhere = outputs, .keys = keys, .values = values});
      for (std::size_t layer = 0; layer < 3; ++layer)
        for (std::size_t head = 0; head < 3; ++head) {
          const Rows& qkv = seen.passed.at({Site::qkv, layer, 0});
          const Matrix<double> q = columns(qkv, head * d, d);
          Matrix<double> k = columns(qkv, c + head * d, d), v = columns(qkv, 2 * c + head * d, d);
          store(keys, k), store(values, v);
          const std::size_t n = tokens.size();
          Matrix<double> y(n, n), z(n, n), o(n, d);
          scores(fused(binary32), q.view(), std::as_const(k).view(), y.view());
          const Rows& softmaxed = seen.passed.at({Site::softmax, layer, head});
          for (std::size_t i = 0; i < n; ++i)
            std::copy(softmaxed[i].begin(), softmaxed[i].end(), z.row(i).begin());
          lamp::values(fused(binary32), std::as_const(z).view(), std::as_const(v).view(), o.view());
          for (std::size_t i = 0; i < n; ++i) {
            const auto want = [&](std::span<const double> row) {
              return outputs ? rounded(*outputs, row) : std::vector(row.begin(), row.end());
            };
            REQUIRE(same_bits(seen.passed.at({Site::scores, layer, head})[i],
                              want(y.row(i).first(i + 1))));
            REQUIRE(same_bits(seen.passed.at({Site::values, layer, head})[i], want(o.row(i))));
          }
        }
    }
}

TEST_CASE("storage: LAMP reads the stored low row, and the mixed row is stored again",
          "[model][store]") {
  const SelectionSpec spec{.tau = 1.1};
  int mixed_rows = 0, chosen_otherwise = 0;
  for (const NumberSystem& system : systems) {
    INFO(name_of(system));
    PrecisionPlan low(fused(binary32)), high(fused(binary32));
    low.set(Site::scores, lamp_paper(4));
    PrecisionPlan selecting = low;
    selecting.select(Site::scores, {.spec = spec, .recompute = fused(binary32)});
    const Storage everywhere{.everywhere = system};
    Storage but_scores = everywhere;
    but_scores.sites[{Site::scores, std::nullopt}] = std::nullopt;
    const Everything seen = pass(sort_model(), selecting, everywhere),
                     unselected = pass(sort_model(), low, everywhere),
                     as_computed = pass(sort_model(), low, but_scores),
                     exact = pass(sort_model(), high, but_scores);
    for (std::size_t head = 0; head < 3; ++head) {  // of layer 0: later ones have other inputs
      const Key y{Site::scores, 0, head}, z{Site::softmax, 0, head};
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        const std::vector<double>& stored = unselected.passed.at(y)[i];
        const auto select_on = [&](const std::vector<double>& row, std::vector<double> p) {
          std::vector<std::uint8_t> marks(row.size());
          SelectionScratch scratch;
          static_cast<void>(select_row(spec, targets::softmax,
                                       {.z = p, .y = row, .row_length = tokens.size()}, {}, marks,
                                       scratch));
          return marks;
        };
        const std::vector<std::uint8_t>& marks = seen.marks.at(y)[i];
        REQUIRE(marks == select_on(stored, unselected.passed.at(z)[i]));
        chosen_otherwise +=
            marks != select_on(as_computed.passed.at(y)[i], as_computed.passed.at(z)[i]) ? 1 : 0;
        std::vector<double> mixed = stored;
        bool any = false;
        for (std::size_t j = 0; j < mixed.size(); ++j)
          if (marks[j] != 0) mixed[j] = exact.passed.at(y)[i][j], any = true;
        if (any) mixed = rounded(system, mixed);
        mixed_rows += any ? 1 : 0;
        REQUIRE(same_bits(seen.passed.at(y)[i], mixed));
        std::vector<double> p(mixed.size());
        softmax_of_row(fused(binary32), mixed, p);
        REQUIRE(same_bits(seen.passed.at(z)[i], rounded(system, p)));
      }
    }
  }
  CHECK(mixed_rows > 50);
  CHECK(chosen_otherwise > 0);
}

TEST_CASE("storage: weights along their inputs, vectors as rows of their own", "[model][store]") {
  const Model& model = sort_model();
  for (const NumberSystem& system : {systems[2], systems[4], systems[5]}) {
    INFO(name_of(system));
    const Model stored = with_stored_weights(model, system);
    const SiteRow* rows = model.config.network->sites.data();
    for (const SiteRow* row = rows; row != rows + model.config.network->sites.size(); ++row)
      for (std::size_t l = 0; l < layers_of(model.config, row->site); ++l) {
        const Layer layer{l};
        if (row->operation == Operation::layer_norm) {
          const auto &was = model.weights.at<LayerNormWeights>(row->site, layer),
                     &is = stored.weights.at<LayerNormWeights>(row->site, layer);
          CHECK(same_bits(is.gamma, rounded(system, was.gamma)));
          CHECK(same_bits(is.beta, rounded(system, was.beta)));
        }
        if (row->operation != Operation::linear && row->operation != Operation::logits) continue;
        const auto &was = model.weights.at<Linear>(row->site, layer),
                   &is = stored.weights.at<Linear>(row->site, layer);
        CHECK(same_bits(is.bias, rounded(system, was.bias)));
        for (std::size_t j = 0; j < was.weight.cols(); ++j) {
          std::vector<double> before, after;
          for (std::size_t k = 0; k < was.weight.rows(); ++k)
            before.push_back(was.weight.at(k, j)), after.push_back(is.weight.at(k, j));
          REQUIRE(same_bits(after, rounded(system, before)));
        }
      }
    const auto &was = model.weights.at<EmbeddingWeights>(Site::embed),
               &is = stored.weights.at<EmbeddingWeights>(Site::embed);
    for (const auto& [before, after] :
         {std::pair(&was.tokens, &is.tokens), std::pair(&was.positions, &is.positions)})
      for (std::size_t i = 0; i < before->rows(); ++i) {
        const std::vector<double> row(before->row(i).begin(), before->row(i).end()),
            now(after->row(i).begin(), after->row(i).end());
        REQUIRE(same_bits(now, rounded(system, row)));
      }
  }
}

TEST_CASE("storage: which systems give binary32 weights", "[model][store]") {
  for (const NumberSystem& system : {NumberSystem(binary32), NumberSystem(binary64),
                                     NumberSystem(e4m3fn), NumberSystem(with("nvfp4", 16))})
    CHECK(keeps_binary32(system));
  BlockFormat scaled = with("nvfp4", 16);
  scaled.tensor_scale.number = 0x1p-7;
  CHECK(keeps_binary32(scaled));
  scaled.tensor_scale.number = 0x1.8p-7;
  CHECK_FALSE(keeps_binary32(scaled));
  CHECK_FALSE(keeps_binary32(with("nvfp4", 16, true)));
  CHECK_FALSE(keeps_binary32(FloatFormat{.p = 30, .emin = -10, .emax = 10}));
}

TEST_CASE("storage: local values are the reference's operation and weights on the stored inputs",
          "[model][store]") {
  const Model stored = with_stored_weights(sort_model(), e4m3fn);
  const Everything seen =
      pass(stored, PrecisionPlan(fused(binary32)), {.everywhere = bfloat16}, sort_model());
  const Rows& in = seen.passed.at({Site::ln_2, 0, 0});
  const Matrix<double> x = columns(in, 0, in[0].size());
  const auto& layer = sort_model().weights.at<Linear>(Site::mlp_fc, Layer{0});
  Matrix<double> want(x.rows(), layer.weight.cols());
  linear(fused(binary32), layer, x.view(), want.view());
  for (std::size_t i = 0; i < x.rows(); ++i)
    CHECK(same_bits(seen.locals.at({Site::mlp_fc, 0, 0})[i], want.row(i)));
}

}  // namespace lamp
