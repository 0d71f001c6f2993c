// A network in which LAMP selects at two sites, one of them without heads and not causal: the pass
// is the composition of the operations, row by row or whole, and each selecting site has its own
// marks, draws and dataset.
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <tuple>

#include "core/model/buffers.hpp"
#include "core/model/ops/sites.hpp"
#include "core/mpfr/forward.hpp"
#include "core/selection/target.hpp"
#include "experiments/run/cell_recorder.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random_model.hpp"

using namespace lamp;
using namespace lamp::experiments;
using lamp::test::same_bits;

namespace {

constexpr Extent vocabulary = [](const ModelConfig& c) { return c.vocab_size; };
constexpr Extent positions = [](const ModelConfig& c) { return c.n_positions; };
constexpr Extent width = [](const ModelConfig& c) { return c.n_embd; };
constexpr Extent inner = [](const ModelConfig& c) { return c.n_inner; };
constexpr Extent head_width = [](const ModelConfig& c) { return c.d_head(); };
constexpr Extent queries_and_group = [](const ModelConfig& c) { return c.n_embd + 2 * c.d_head(); };

constexpr SiteRow linear_row(Site site, Site of, Extent out, std::optional<Composition> f = {}) {
  return {site, Operation::linear, out, {Input{of}}, {{{"w", width, out}, {"b", out}}}, f};
}
constexpr SiteRow norm_row(Site site) {
  return {site, Operation::layer_norm, width, {residual_stream}, {{{"g", width}, {"b", width}}}};
}

/// All heads share one group's keys and values; softmax instead of GELU.
constexpr Input queries{Site::qkv, [](const ModelConfig& c, Head head) {
                          return Columns{head.value * c.d_head(), c.d_head()};
                        }};
constexpr Input keys{Site::qkv,
                     [](const ModelConfig& c, Head) {
                       return Columns{c.n_embd, c.d_head()};
                     },
                     true};
constexpr Input shared_values{Site::qkv,
                              [](const ModelConfig& c, Head) {
                                return Columns{c.n_embd + c.d_head(), c.d_head()};
                              },
                              true};
constexpr std::array<SiteRow, 15> table{{
    {Site::embed,
     Operation::embed,
     width,
     {},
     {{{"t", vocabulary, width}, {"p", positions, width}}}},
    norm_row(Site::ln_1),
    linear_row(Site::qkv, Site::ln_1, queries_and_group),
    {Site::scores, Operation::scores, nullptr, {queries, keys}, {}, Composition::softmax},
    {Site::softmax, Operation::softmax, nullptr, {Input{Site::scores}}},
    {Site::values, Operation::values, head_width, {Input{Site::softmax}, shared_values}},
    linear_row(Site::attn_proj, Site::values, width),
    {Site::resid_1, Operation::residual, width, {residual_stream, Input{Site::attn_proj}}},
    norm_row(Site::ln_2),
    linear_row(Site::mlp_fc, Site::ln_2, inner, Composition::softmax),
    {Site::gelu, Operation::softmax, inner, {Input{Site::mlp_fc}}},
    {Site::mlp_proj,
     Operation::linear,
     width,
     {Input{Site::gelu}},
     {{{"w", inner, width}, {"b", width}}}},
    {Site::resid_2, Operation::residual, width, {residual_stream, Input{Site::mlp_proj}}},
    norm_row(Site::ln_f),
    {Site::logits,
     Operation::logits,
     vocabulary,
     {Input{Site::ln_f}},
     {{{"h", vocabulary, width}}}},
}};
static_assert(is_network(table));

/// What is_network() refuses, one row changed at a time.
constexpr bool accepts(std::size_t at, SiteRow row) {
  std::array<SiteRow, 15> other = table;
  other[at] = row;
  return is_network(other);
}
static_assert(accepts(9, table[9]));
static_assert(!accepts(9,
                       linear_row(Site::mlp_fc, Site::ln_2, inner, Composition::norm)));  // f later
static_assert(!accepts(9, linear_row(Site::mlp_fc, Site::mlp_proj, inner)));  // not there yet
static_assert(!accepts(9, linear_row(Site::ln_2, Site::ln_1, inner)));        // a second time
static_assert(!accepts(9, linear_row(Site::mlp_fc, Site::embed, inner)));     // of no layer
static_assert(!accepts(0, norm_row(Site::ln_1)));
static_assert(!accepts(13, table[1]));
static_assert(!accepts(14, norm_row(Site::logits)));
static_assert(!accepts(3, {Site::scores, Operation::scores, width, {queries, keys}, {}}));
static_assert(!accepts(1, {Site::ln_1, Operation::layer_norm, width, {residual_stream}, {}}));

/// Queries, keys and values as three sites that are needed at once, a key and a value for each
/// head; what is added to the stream twice is computed from the same row.
constexpr Columns own(const ModelConfig& c, Head head) {
  return {head.value * c.d_head(), c.d_head()};
}
constexpr std::array<SiteRow, 13> three_table{{
    table[0],
    norm_row(Site::ln_1),
    linear_row(Site::qkv, Site::ln_1, width),
    linear_row(Site::mlp_fc, Site::ln_1, width),
    linear_row(Site::mlp_proj, Site::ln_1, width),
    {Site::scores,
     Operation::scores,
     nullptr,
     {Input{Site::qkv, own}, Input{Site::mlp_fc, own, true}},
     {},
     Composition::softmax},
    table[4],
    {Site::values,
     Operation::values,
     head_width,
     {Input{Site::softmax}, Input{Site::mlp_proj, own, true}}},
    linear_row(Site::attn_proj, Site::values, width),
    {Site::gelu, Operation::activation, width, {Input{Site::ln_1}}},
    {Site::resid_1, Operation::residual, width, {residual_stream, Input{Site::attn_proj}}},
    {Site::resid_2, Operation::residual, width, {residual_stream, Input{Site::gelu}}},
    {Site::logits, Operation::logits, vocabulary, {residual_stream}, {{{"h", vocabulary, width}}}},
}};
static_assert(is_network(three_table));
const Network three{.model_type = "three", .title = "three", .sites = three_table};

const Network network{.model_type = "two", .title = "two", .sites = table};

constexpr std::size_t length = 7, layers = 2, heads = 3;
const std::vector<TokenId> ids{4, 9, 0, 12, 9, 1, 7};

Model random_model(const Network& of = network) {
  return test::random_model({.network = &of,
                             .vocab_size = 13,
                             .n_positions = length,
                             .n_embd = 12,
                             .n_layer = layers,
                             .n_head = heads,
                             .n_inner = 10,
                             .end_of_text = {},
                             .llama = {}});
}

using Place = std::tuple<Site, std::size_t, std::size_t>;  // layer, head

/// Defined entries of all that a pass shows, row after row.
class Everything final : public TapSink {
 public:
  void values(const TapPoint& p, MatrixView<const double> x) override {
    for (std::size_t i = 0; i < x.rows; ++i) {
      const auto row = x.row(i).first(info(p.site).causal ? p.first_row + i + 1 : x.cols);
      std::vector<double>& all = taps[{p.site, p.layer.value, p.head.value}];
      all.insert(all.end(), row.begin(), row.end());
    }
  }
  void selected(const TapPoint& p, std::span<const std::uint8_t> chosen) override {
    std::vector<std::uint8_t>& all = marks[{p.site, p.layer.value, p.head.value}];
    all.insert(all.end(), chosen.begin(), chosen.end());
  }
  [[nodiscard]] bool wants_local(Site site) const override { return site == local_at; }
  void local(const TapPoint& p, MatrixView<const double>,
             MatrixView<const double> reference) override {
    std::vector<double>& all = locals[p.layer.value];
    for (std::size_t i = 0; i < reference.rows; ++i)
      all.insert(all.end(), reference.row(i).begin(), reference.row(i).end());
  }
  [[nodiscard]] MatrixView<const double> matrix(Site site, std::size_t layer,
                                                std::size_t cols) const {
    const std::vector<double>& all = taps.at({site, layer, 0});
    return {all.data(), all.size() / cols, cols, cols};
  }
  std::map<Place, std::vector<double>> taps;
  std::map<Place, std::vector<std::uint8_t>> marks;
  std::optional<Site> local_at{};
  std::map<std::size_t, std::vector<double>> locals;  // by layer: the site's reference values
};

bool same(const Everything& a, const Everything& b) {
  if (a.marks != b.marks || a.taps.size() != b.taps.size()) return false;
  return std::all_of(a.taps.begin(), a.taps.end(),
                     [&](const auto& tap) { return same_bits(tap.second, b.taps.at(tap.first)); });
}

Everything pass(const Model& model, const PrecisionPlan& plan) {
  Everything sink;
  Workspace workspace;
  forward(model, ids, plan, {.seed = 3, .sequence = 2}, sink, workspace);
  return sink;
}

const Arithmetic low{.mac = {.format = ps(3)}, .order = {}}, high = fused(binary32);

SelectionPlan choosing(std::string_view rule, double tau = 1.0) {
  SelectionPlan selection{.spec = {}, .recompute = high};
  selection.spec.rule = rule_named(rule), selection.spec.tau = tau;
  return selection;
}

PrecisionPlan plan_with(std::initializer_list<Site> selecting, std::string_view rule) {
  PrecisionPlan plan(high);
  plan.set(Site::scores, low), plan.set(Site::mlp_fc, low);
  for (const Site site : selecting) plan.select(site, choosing(rule));
  return plan;
}

std::size_t count(const std::vector<std::uint8_t>& marks) {
  return static_cast<std::size_t>(std::count(marks.begin(), marks.end(), 1));
}

}  // namespace

TEST_CASE("networks: fast pass and twin run the same table", "[structure][networks]") {
  for (const Model& model : {random_model(network), random_model(three), test::random_llama()}) {
    INFO(model.config.network->title);
    for (const FloatFormat& format : {binary32, ps(4), bfloat16}) {
      const Arithmetic stochastic{.mac = {.format = format, .rounding = Rounding::sr}, .order = {}};
      for (const Arithmetic& arithmetic : {fused(format), stochastic}) {
        const PrecisionPlan plan(arithmetic);
        Everything twin;
        mpfr::forward(model, ids, plan, {.seed = 3, .sequence = 2}, twin);
        CHECK(same(pass(model, plan), twin));
      }
    }
    const Everything exact = pass(model, PrecisionPlan(unlimited(200))),
                     binary = pass(model, PrecisionPlan(fused(binary64)));
    for (const auto& [place, x] : exact.taps)
      for (std::size_t i = 0; i < x.size(); ++i)
        REQUIRE(std::abs(x[i] - binary.taps.at(place)[i]) <= 0x1p-36);
  }
}

TEST_CASE("networks: buffers are shared where nothing needs the older value",
          "[structure][networks]") {
  const auto buffer = [](const Buffers& buffers, Site site) {
    return buffers.of[static_cast<std::size_t>(site)];
  };
  const Model model = random_model(), other = random_model(three);
  const Buffers two(model.config), separate(other.config);
  CHECK(buffer(two, Site::ln_1) == buffer(two, Site::ln_2));
  CHECK(buffer(two, Site::attn_proj) == buffer(two, Site::mlp_proj));
  CHECK(two.shapes.size() == 8);  // ln, qkv, 2 squares, values, *_proj, mlp_fc, gelu
  CHECK(buffer(separate, Site::qkv) != buffer(separate, Site::mlp_fc));
  CHECK(buffer(separate, Site::mlp_fc) != buffer(separate, Site::mlp_proj));
  CHECK(buffer(separate, Site::attn_proj) == buffer(separate, Site::qkv));  // read no more
  CHECK(buffer(separate, Site::gelu) == buffer(separate, Site::ln_1));      // in its place
  const Model gpt2 = [&] {
    Model copy = model;
    copy.config.network = networks().front();
    return copy;
  }();
  std::size_t columns = 0, squares = 0;
  for (const Buffers::Shape& shape : Buffers(gpt2.config).shapes)
    columns += shape.cols, squares += shape.square() ? 1 : 0;
  CHECK(columns == 6 * gpt2.config.n_embd + gpt2.config.n_inner);  // and the stream: 7
  CHECK(squares == 2);
}

TEST_CASE("networks: select, recompute, mix at a site without heads is its steps",
          "[structure][networks]") {
  const Model model = random_model();
  const std::size_t n = model.config.n_inner;
  for (const std::string_view rule : {"lamp", "random", "largest-logit", "all", "none"}) {
    const PrecisionPlan plan = plan_with({Site::scores, Site::mlp_fc}, rule);
    const Everything taps = pass(model, plan);
    std::size_t chosen = 0;
    for (std::size_t l = 0; l < layers; ++l) {
      const auto in = taps.matrix(Site::ln_2, l, model.config.n_embd);
      const auto& weights = model.weights.at<Linear>(Site::mlp_fc, Layer{l});
      Matrix<double> y(length, n), recomputed(length, n);
      linear(low, weights, in, y.view());
      linear(high, weights, in, recomputed.view());
      SelectionScratch scratch;
      for (std::size_t i = 0; i < length; ++i) {
        std::vector<double> z(n);
        softmax_of_row(high, std::as_const(y).row(i), z);
        std::vector<std::uint8_t> marks(n);
        const DrawCoordinates where{.seed = 3,
                                    .sequence = 2,
                                    .layer = static_cast<std::uint32_t>(l),
                                    .row = static_cast<std::uint32_t>(i),
                                    .site = 9};  // mlp_fc's
        select_row(choosing(rule).spec, targets::softmax,
                   SelectionRow{.z = z, .y = std::as_const(y).row(i), .row_length = n}, where,
                   marks, scratch);
        const auto& found = taps.marks.at({Site::mlp_fc, l, 0});
        CHECK(std::equal(marks.begin(), marks.end(),
                         found.begin() + static_cast<std::ptrdiff_t>(i * n)));
        chosen += count(marks);
        for (std::size_t j = 0; j < n; ++j)
          if (marks[j] != 0) y(i, j) = recomputed(i, j);
        CHECK(same_bits(taps.matrix(Site::mlp_fc, l, n).row(i), std::as_const(y).row(i)));
        softmax_of_row(high, std::as_const(y).row(i), z);
        CHECK(same_bits(taps.matrix(Site::gelu, l, n).row(i), std::span<const double>(z)));
      }
    }
    CHECK((chosen > 0) == (rule != "none"));
    if (rule == "lamp") CHECK(chosen < layers * length * n);
  }
}

TEST_CASE("networks: local references at a selecting site and at the one it selects for",
          "[structure][networks]") {
  const Model model = random_model();
  const std::size_t n = model.config.n_inner;
  const Arithmetic exact = fused(binary64);
  const PrecisionPlan plan = plan_with({Site::scores, Site::mlp_fc}, "lamp"), reference(exact);
  for (const Site site : {Site::mlp_fc, Site::gelu}) {
    Everything sink;
    sink.local_at = site;
    Workspace workspace;
    forward(model, ids, plan, {.seed = 3, .sequence = 2, .local_reference = &reference}, sink,
            workspace);
    REQUIRE(sink.locals.size() == layers);
    for (std::size_t l = 0; l < layers; ++l) {
      Matrix<double> expected(length, n);  // on the inputs as the pass computed them
      if (site == Site::mlp_fc)
        linear(exact, model.weights.at<Linear>(site, Layer{l}),
               sink.matrix(Site::ln_2, l, model.config.n_embd), expected.view());
      else
        softmax(exact, sink.matrix(Site::mlp_fc, l, n), expected.view(), Entries::all);
      CHECK(same_bits(sink.locals.at(l), std::as_const(expected).flat()));
    }
  }
}

TEST_CASE("networks: a pass goes on from earlier rows with what its table keeps",
          "[structure][networks]") {
  const auto goes_on = [](const Model& model, const PrecisionPlan& plan, std::size_t kept,
                          std::size_t columns) {
    Everything by_rows;
    Workspace workspace;
    EarlierRows earlier(model.config, length);
    REQUIRE(earlier.kept.size() == kept);
    CHECK(earlier.values[0][0].cols() == columns);
    for (const std::size_t rows : {1U, 3U, 1U, 2U})
      forward_from(model, earlier, std::span(ids).subspan(earlier.rows, rows), plan,
                   {.seed = 3, .sequence = 2}, by_rows, workspace);
    CHECK(same(by_rows, pass(model, plan)));
  };
  const Model group = random_model(), each = random_model(three);
  const std::size_t head = group.config.d_head();
  for (const std::string_view rule : {"lamp", "random", "random-full-row"}) {
    goes_on(group, plan_with({Site::scores, Site::mlp_fc}, rule), 1, 2 * head);
    goes_on(each, plan_with({Site::scores}, rule), 2, heads * head);
  }
  for (const std::string_view rule : {"page-bound", "value-aware"}) {  // a group's keys and values
    goes_on(group, plan_with({Site::scores}, rule), 1, 2 * head);
    goes_on(each, plan_with({Site::scores}, rule), 2, heads * head);
  }
  goes_on(group, PrecisionPlan(unlimited(90)), 1, 2 * head);
  goes_on(each, PrecisionPlan(unlimited(90)), 2, heads * head);
}

TEST_CASE("networks: rules that read keys or values are refused where there are none",
          "[structure][networks]") {
  const Model model = random_model();
  const auto problem = [&](Site site, const char* rule, std::vector<GridAxis> grid = {}) {
    Config config;
    config.tokens.sequence_length = length;
    config.grid = std::move(grid);
    config.selection_or_new(site).spec.rule = rule_named(rule);
    const Result<void> fits = check_against(config, model.config);
    return fits.ok() ? std::string() : fits.error().message;
  };
  for (const char* rule : {"page-bound", "value-aware"}) CHECK(problem(Site::scores, rule).empty());
  for (const char* rule : {"window", "block-mean"}) CHECK(problem(Site::mlp_fc, rule).empty());
  const std::string none = ", and there are none there; legal: the other rules";
  CHECK(problem(Site::mlp_fc, "page-bound") ==
        "config: lamp.mlp_fc.rule: \"page-bound\" reads queries and keys" + none);
  CHECK(problem(Site::mlp_fc, "value-aware") ==
        "config: lamp.mlp_fc.rule: \"value-aware\" reads values" + none);
  CHECK(problem(Site::mlp_fc, "lamp",
                {{"lamp.mlp_fc.rule", {std::string("lamp"), std::string("value-aware")}}}) ==
        "config: lamp.mlp_fc.rule: \"value-aware\" reads values" + none);
}

TEST_CASE("networks: each selecting site has its own draws, counts and datasets",
          "[structure][networks]") {
  const Model model = random_model();
  Config config;
  config.tokens.sequence_length = length;
  config.selection_or_new(Site::mlp_fc);
  config.selection_or_new(Site::scores);
  config.record_selected = true;
  const Recording recording{config, model.config};
  CellRecorder recorder(recording);
  Workspace workspace;
  const PassOptions options{.seed = 3, .sequence = 2};
  const PrecisionPlan exact(fused(binary64));
  ReferenceRecorder reference_recorder(recorder, recording, ids.size());
  forward(model, ids, exact, options, reference_recorder, workspace);
  const Reference reference = reference_recorder.take(ids, workspace.team);

  std::map<std::string, std::vector<std::uint8_t>> sets;
  const auto recorded = [&](std::initializer_list<Site> selecting) {
    const PrecisionPlan plan = plan_with(selecting, "lamp");
    recorder.begin(reference, plan, {});
    forward(model, ids, plan, options, recorder, workspace);
    recorder.end({model, ids, plan, options, workspace});
    std::map<std::string, std::vector<double>> rates;
    const std::vector<record::Quantity> quantities = recorder.quantities();
    const std::vector<record::Values> values = recorder.cell_values();
    sets.clear();
    for (std::size_t q = 0; q < quantities.size(); ++q)
      if (quantities[q].path.starts_with("/selected/")) {
        sets[quantities[q].path] = std::get<std::vector<std::uint8_t>>(values[q]);
        CHECK(sets[quantities[q].path].size() == record::elements(quantities[q]));
        CHECK(quantities[q].dims ==
              (quantities[q].path.ends_with("scores")
                   ? std::vector<std::string>{"layer", "head", "query", "byte"}
                   : std::vector<std::string>{"layer", "query", "byte_mlp_fc"}));
      } else if (quantities[q].path.starts_with("/metrics/recompute_rate")) {
        rates[quantities[q].path] = std::get<std::vector<double>>(values[q]);
        const bool scores = quantities[q].path.ends_with("rate");
        CHECK(quantities[q].dims == (scores ? std::vector<std::string>{"layer", "head"}
                                            : std::vector<std::string>{"layer"}));
        CHECK(quantities[q].long_name ==
              (scores ? "recomputed scores / causal scores" : "recomputed mlp_fc / all mlp_fc"));
      }
    return rates;
  };
  const std::string of_scores = "/metrics/recompute_rate",
                    of_mlp_fc = "/metrics/recompute_rate_mlp_fc";
  auto both = recorded({Site::scores, Site::mlp_fc});
  REQUIRE(both.size() == 2);
  const Everything taps = pass(model, plan_with({Site::scores, Site::mlp_fc}, "lamp"));
  const auto bit = [&](const std::string& path, std::size_t row, std::size_t bytes, std::size_t j) {
    return sets.at(path)[row * bytes + j / 8] >> (j % 8) & 1;
  };
  const std::size_t n = model.config.n_inner, bytes = (n + 7) / 8;
  for (std::size_t l = 0; l < layers; ++l)
    for (std::size_t i = 0; i < length; ++i) {
      for (std::size_t j = 0; j < 8 * bytes; ++j)
        CHECK(bit("/selected/mlp_fc", l * length + i, bytes, j) ==
              (j < n ? taps.marks.at({Site::mlp_fc, l, 0})[i * n + j] : 0));
      for (std::size_t h = 0; h < heads; ++h)
        for (std::size_t j = 0; j < 8; ++j)
          CHECK(bit("/selected/scores", (l * heads + h) * length + i, 1, j) ==
                (j <= i ? taps.marks.at({Site::scores, l, h})[i * (i + 1) / 2 + j] : 0));
    }
  const std::size_t causal = length * (length + 1) / 2;
  for (std::size_t l = 0; l < layers; ++l) {
    CHECK(both[of_mlp_fc][l] == static_cast<double>(count(taps.marks.at({Site::mlp_fc, l, 0}))) /
                                    static_cast<double>(length * model.config.n_inner));
    for (std::size_t h = 0; h < heads; ++h)
      CHECK(both[of_scores][l * heads + h] ==
            static_cast<double>(count(taps.marks.at({Site::scores, l, h}))) /
                static_cast<double>(causal));
  }
  CHECK(both[of_mlp_fc][0] > 0.0);
  CHECK(both[of_scores][0] > 0.0);
  auto alone = recorded({Site::mlp_fc});  // nothing counts for another site
  CHECK(alone[of_scores] == std::vector<double>(layers * heads, 0.0));
  CHECK(alone[of_mlp_fc][0] > 0.0);

  // Random sets of two sites do not depend on each other.
  const Everything first = pass(model, plan_with({Site::scores}, "random")),
                   two = pass(model, plan_with({Site::scores, Site::mlp_fc}, "random"));
  for (std::size_t h = 0; h < heads; ++h)
    CHECK(first.marks.at({Site::scores, 0, h}) == two.marks.at({Site::scores, 0, h}));
}
