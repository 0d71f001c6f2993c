// The sites and the pass of core/model against the same a second time, on MPFR (core/mpfr/sites,
// forward), bit by bit: any format, mode, order and engine. For p > 24 the functions need not be
// correctly rounded: there the twin takes the fast path's, each of which must lie within 1 ulp of
// the correctly rounded one, and everything else keeps its bits. Then the reference mpfr:p against
// arithmetics that it must agree with.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "core/arith/engine.hpp"
#include "core/arith/stochastic.hpp"
#include "core/model/forward.hpp"
#include "core/model/ops/sites.hpp"
#include "core/mpfr/forward.hpp"
#include "core/mpfr/outputs.hpp"
#include "core/mpfr/sites.hpp"
#include "core/mpfr/steps.hpp"
#include "tests/core/arith/orders.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random_model.hpp"

namespace lamp {
namespace {

using test::Random;
using test::same_bits;

/// An Arithmetic whose functions are those of the fast path, after a look at how far they are from
/// the correctly rounded ones.
class FastFunctions : public mpfr::RoundedOutput {
 public:
  using RoundedOutput::RoundedOutput;
  [[nodiscard]] double function(Function f, double x) const {
    const double exact = RoundedOutput::function(f, x);  // takes the step
    const FloatFormat& format = spec().format;
    if (format.p <= 24) return exact;
    expects(!is_stochastic(spec()) && !spec().via, "FastFunctions: deterministic, without via");
    const double fast = evaluate(f, x, format, spec().rounding);
    const double ulp = std::max(std::ldexp(std::abs(exact), 1 - format.p), xmins(format));
    if (!same_bits(fast, exact)) CHECK(std::abs(fast - exact) <= ulp);
    return fast;
  }
};

struct FastFunctionOutputs {
  using Value = double;
  const Arithmetic& arithmetic;
  [[nodiscard]] bool reads_tensor() const {
    return mpfr::RoundedOutputs{arithmetic}.reads_tensor();
  }
  FastFunctions operator()(std::size_t row, std::size_t column) const {
    return {arithmetic, row, column};
  }
};

std::string name(const Arithmetic& a) {
  std::string text = format_name(a.mac.format) + " " + std::string(rounding_name(a.mac.rounding)) +
                     " " +
                     (engine_step(a.order) != nullptr ? engine_step_text(*engine_step(a.order))
                                                      : order_text(a.order));
  if (a.mac.via) text += " via " + format_name(*a.mac.via);
  if (a.mac.product) text += " product " + format_name(*a.mac.product);
  if (a.mac.operands) text += " operands " + name_of(*a.mac.operands);
  return text;
}

/// A random arithmetic whose order takes sums of any length; every third is one that the fast
/// kernels know.
Arithmetic random_arithmetic(Random& random, bool wide, bool stochastic) {
  constexpr std::array narrow{
      binary16, bfloat16, tf32,
      binary32, ps(3),    ps(13),
      e5m2,     e4m3fn,   FloatFormat{.p = 5, .emin = -20, .emax = 20, .subnormals = false}};
  constexpr std::array broad{binary64, FloatFormat{.p = 25, .emin = -126, .emax = 127},
                             FloatFormat{.p = 40, .emin = -300, .emax = 300}};
  constexpr std::array modes{Rounding::rne, Rounding::rna, Rounding::rtz, Rounding::rtp,
                             Rounding::rtn, Rounding::rto, Rounding::sr,  Rounding::sre};
  const auto any = [&](const auto& list) {
    return list[random.below(static_cast<std::uint32_t>(list.size()))];
  };
  if (!wide && !stochastic && random.below(6) == 0) {
    const Engine& engine = engines()[random.below(static_cast<std::uint32_t>(engines().size()))];
    const EngineMode& mode =
        engine.modes[random.below(static_cast<std::uint32_t>(engine.modes.size()))];
    return engine_arithmetic(engine.name, mode.operands, mode.format).value();
  }
  Arithmetic a{.mac = {.format = wide ? any(broad) : any(narrow)}, .order = {}};
  if (random.below(3) != 0) {
    std::vector<std::string> orders = test::order_texts(random, 0);
    a.order = test::order_of(any(orders));
    a.mac.rounding = modes[random.below(stochastic ? 8 : 6)];
    if (random.below(3) == 0) a.mac.product = any(narrow);
    if (random.below(3) == 0) a.mac.operands = any(narrow);
    if (random.below(6) == 0) a.mac.operands = *BlockFormat::named(any(BlockFormat::names()));
    if (random.below(2) == 0) a.mac.random_bits = random.between(1, 32);
    if (is<Blocked>(a.order) && random.below(2) == 0)
      a.block = MacSpec{.product = any(narrow), .format = any(broad)};
  }
  if (stochastic && random.below(2) == 0)
    a.mac.rounding = random.below(2) == 0 ? Rounding::sr : Rounding::sre;
  if (!wide && random.below(3) == 0) a.mac.via = binary32;
  a.draws = {.seed = 7, .sequence = 3, .layer = 5, .head = 2, .site = 11, .first_row = 4};
  return a;
}

/// Entries of the kinds of terms that sums are tried on.
Matrix<double> random_matrix(Random& random, std::size_t rows, std::size_t cols, test::Terms kind) {
  Matrix<double> m(rows, cols);
  for (std::size_t i = 0; i < rows; ++i) {
    const std::vector<double> x = test::operands(random, kind, cols).x;
    std::copy(x.begin(), x.end(), m.row(i).begin());
  }
  return m;
}

std::vector<double> random_vector(Random& random, std::size_t n, test::Terms kind) {
  return test::operands(random, kind, n).x;
}

/// The smallest shapes with several rows, odd lengths, and a width that is no power of four.
constexpr std::size_t rows = 3, width = 12, earlier = 2;

Matrix<double> unwritten(std::size_t n, std::size_t cols) {
  return Matrix<double>(n, cols, 12345.0);
}

/// Each site by core/model and by the twin, with FastFunctions.
struct Sites {
  const Arithmetic& arithmetic;
  Random& random;
  test::Terms kind;
  std::string differ{};

  void compare(std::string_view site, const Matrix<double>& fast, const Matrix<double>& twin) {
    if (!same_bits(fast.flat(), twin.flat())) differ += std::string(site) + " ";
  }
  /// fast(out) and twin(outputs, out) into unwritten matrices.
  template <class Fast, class Twin>
  void both(std::string_view site, std::size_t n, std::size_t cols, const Fast& fast,
            const Twin& twin) {
    Matrix<double> a = unwritten(n, cols), b = unwritten(n, cols);
    fast(a.view());
    twin(FastFunctionOutputs{arithmetic}, b.view());
    compare(site, a, b);
  }

  void all() {
    namespace steps = mpfr::steps;
    const auto view = [](const Matrix<double>& m) { return m.view(); };
    const Matrix<double> x = random_matrix(random, rows, width, kind),
                         other = random_matrix(random, rows, width, kind);

    const LayerNormWeights norm{random_vector(random, width, test::Terms::ordinary),
                                random_vector(random, width, kind)};
    const double eps = random.below(2) == 0 ? 1e-5 : std::abs(random.with_exponent(-40, 2));
    both(
        "layer_norm", rows, width,
        [&](auto out) { layer_norm(arithmetic, norm, eps, view(x), out); },
        [&](const auto& outputs, auto out) {
          steps::layer_norm(outputs, 1, view(x), norm.gamma, norm.beta, eps, out);
        });

    const std::size_t columns = 5;
    const Matrix<double> w = random_matrix(random, width, columns, kind);
    const Linear layer{PackedMatrix(view(w)), random_vector(random, columns, kind)};
    both(
        "linear", rows, columns, [&](auto out) { linear(arithmetic, layer, view(x), out); },
        [&](const auto& outputs, auto out) {
          steps::linear(
              outputs, 1, view(x), [&](std::size_t k, std::size_t j) { return w(k, j); },
              layer.bias, out);
        });

    const Matrix<double> k = random_matrix(random, earlier + rows, width, kind);
    for (const double divisor : {1.0, 3.0})
      both(
          "scores", rows, earlier + rows,
          [&](auto out) { scores(arithmetic, view(x), view(k), out, divisor); },
          [&](const auto& outputs, auto out) {
            steps::scores(outputs, 1, view(x), view(k), divisor, out);
          });

    const auto magnitudes = [](Matrix<double> m) {
      for (double& value : m.flat()) value = std::abs(value);
      return m;
    };
    Matrix<double> bounds = unwritten(rows, earlier + rows),
                   twin =
                       bounds;  // error weights `dot`: in binary64, whatever the site's arithmetic
    const Matrix<double> abs_q = magnitudes(x), abs_k = magnitudes(k);
    score_bounds(view(x), view(k), bounds.view(), 3.0);
    mpfr::scores(fused(binary64), view(abs_q), view(abs_k), twin.view(), 3.0);
    compare("score_bounds", bounds, twin);

    const Matrix<double> y = random_matrix(random, rows, earlier + rows, kind);
    both(
        "softmax", rows, earlier + rows, [&](auto out) { softmax(arithmetic, view(y), out); },
        [&](const auto& outputs, auto out) { steps::softmax(outputs, 1, view(y), out); });
    both(
        "values", rows, width, [&](auto out) { values(arithmetic, view(y), view(k), out); },
        [&](const auto& outputs, auto out) { steps::values(outputs, 1, view(y), view(k), out); });

    both(
        "residual", rows, width, [&](auto out) { residual(arithmetic, view(x), view(other), out); },
        [&](const auto& outputs, auto out) {
          steps::residual(outputs, 1, view(x), view(other), out);
        });
    both(
        "rms_norm", rows, width,
        [&](auto out) { rms_norm(arithmetic, {norm.gamma}, eps, view(x), out); },
        [&](const auto& outputs, auto out) {
          steps::rms_norm(outputs, 1, view(x), norm.gamma, eps, out);
        });
    both(
        "product", rows, width, [&](auto out) { product(arithmetic, view(x), view(other), out); },
        [&](const auto& outputs, auto out) {
          steps::elementwise_product(outputs, 1, view(x), view(other), out);
        });
    Rope frequencies{.theta = 3.0 + 1e4 * std::abs(random.symmetric())};
    if (random.below(2) == 0) frequencies.scaling = Rope::Llama3{.factor = 8.0, .positions = 64.0};
    const std::size_t position = random.below(2) == 0 ? 0 : random.below(100);
    both(
        "rope", rows, width,
        [&](auto out) { rope(arithmetic, frequencies, width / 2, position, view(x), out); },
        [&](const auto& outputs, auto out) {
          steps::rope(outputs, 1, frequencies, width / 2, position, view(x), out);
        });
    EmbeddingWeights tokens_only;
    tokens_only.tokens.reshape(2, width);
    for (std::size_t i = 0; i < 2; ++i)
      for (std::size_t j = 0; j < width; ++j)
        tokens_only.tokens(i, j) = static_cast<float>(x(i, j));
    const std::vector<TokenId> ids{1, 0, 1};
    both(
        "embed", rows, width, [&](auto out) { embed(arithmetic, tokens_only, ids, out, 5); },
        [&](const auto& outputs, auto out) { steps::embed(outputs, 1, tokens_only, ids, 5, out); });
    for (const auto& activation : activation_names)
      both(
          activation.name, rows, width,
          [&](auto out) { activate(arithmetic, activation.value, view(x), out); },
          [&](const auto& outputs, auto out) {
            steps::activate(outputs, 1, activation.value, view(x), out);
          });
  }
};

std::string differing_sites(const Arithmetic& arithmetic, Random& random, test::Terms kind) {
  Sites sites{arithmetic, random, kind};
  sites.all();
  return sites.differ;
}

/// A GPT-2 of random weights: 2 layers, 2 heads of 12 (sqrt 12 is no binary number), 23 tokens, 9
/// positions.
Model random_model(std::uint32_t seed) {
  Random random(seed);
  Model model;
  model.config = {.network = networks().front(),
                  .vocab_size = 23,
                  .n_positions = 9,
                  .n_embd = 24,
                  .n_layer = 2,
                  .n_head = 2,
                  .n_inner = 20,
                  .end_of_text = {},
                  .scores_by_layer = seed % 2 == 1};
  model.config.layer_norm_epsilon = 0x1.4f8b588e368f1p-10;  // no binary32 number
  const auto weight = [&](double scale) {
    return static_cast<double>(static_cast<float>(scale * random.symmetric()));
  };
  const auto matrix = [&](std::size_t n, std::size_t m, double scale) {
    Matrix<double> x(n, m);
    for (double& value : x.flat()) value = weight(scale);
    return x;
  };
  const auto linear_of = [&](std::size_t in, std::size_t out) {
    const Matrix<double> w = matrix(in, out, 0.5);
    Linear layer{PackedMatrix(w.view()), std::vector<double>(out)};
    for (double& b : layer.bias) b = weight(0.25);
    return layer;
  };
  const auto norm = [&] {
    LayerNormWeights w;
    for (std::size_t i = 0; i < 24; ++i)
      w.gamma.push_back(1.0 + weight(0.5)), w.beta.push_back(weight(0.125));
    return w;
  };
  Weights& w = model.weights;
  const auto narrow = [](const Matrix<double>& x) {
    Matrix<float> y(x.rows(), x.cols());
    std::transform(x.flat().begin(), x.flat().end(), y.flat().begin(),
                   [](double value) { return static_cast<float>(value); });
    return y;
  };
  w.add(Site::embed,
        EmbeddingWeights{narrow(matrix(23, 24, 0.0625)),  // variances of the size of eps
                         narrow(matrix(9, 24, 0.03125))});
  for (int l = 0; l < 2; ++l) {
    w.add(Site::ln_1, norm());
    w.add(Site::ln_2, norm());
    w.add(Site::qkv, linear_of(24, 72));
    w.add(Site::attn_proj, linear_of(24, 24));
    w.add(Site::mlp_fc, linear_of(24, 20));
    w.add(Site::mlp_proj, linear_of(20, 24));
  }
  w.add(Site::ln_f, norm());
  const Matrix<float>& vectors = w.at<EmbeddingWeights>(Site::embed).tokens;
  w.add(Site::logits, Linear{PackedMatrix(vectors.view().transposed()), {}});
  return model;
}

/// All that a pass shows, entries above the diagonal left out.
class Everything final : public TapSink {
 public:
  void values(const TapPoint& p, MatrixView<const double> x) override {
    std::vector<double>& all = taps[{p.site, p.layer.value, p.head.value}];
    for (std::size_t i = 0; i < x.rows; ++i) {
      const std::span<const double> row =
          x.row(i).first(info(p.site).causal ? p.first_row + i + 1 : x.cols);
      all.insert(all.end(), row.begin(), row.end());
    }
  }
  void selected(const TapPoint&, std::span<const std::uint8_t>) override {}
  std::map<std::tuple<Site, std::size_t, std::size_t>, std::vector<double>> taps;
};

/// The first site whose bits differ, or nothing.
std::string first_difference(const Everything& a, const Everything& b) {
  for (const auto& [where, x] : a.taps) {
    const auto found = b.taps.find(where);
    if (found == b.taps.end() || !same_bits(x, found->second))
      return std::string(info(std::get<0>(where)).name) + " of layer " +
             std::to_string(std::get<1>(where)) + ", head " + std::to_string(std::get<2>(where));
  }
  return a.taps.size() == b.taps.size() ? "" : "other sites";
}

Everything pass(const Model& model, std::span<const TokenId> tokens, const PrecisionPlan& plan,
                const PassOptions& options) {
  Everything sink;
  Workspace workspace;
  forward(model, tokens, plan, options, sink, workspace);
  return sink;
}

const std::vector<TokenId> tokens{3, 17, 0, 22, 5, 5, 11, 8, 19};

/// x in `format`'s exponent range always: the law of mpfr:p below holds there only.
bool within(const Everything& everything, const FloatFormat& format) {
  for (const auto& [where, x] : everything.taps)
    for (const double value : x)
      if (value != 0.0 && !(std::abs(value) >= xmin(format) && std::abs(value) <= xmax(format)))
        return false;
  return true;
}

}  // namespace

TEST_CASE("sites: every bit of the twin, p <= 24", "[mpfr][sites]") {
  Random random(1);
  for (int round = 0; round < 150; ++round) {
    const Arithmetic arithmetic = random_arithmetic(random, false, round % 3 == 0);
    for (const test::Terms kind : test::all_terms) {
      INFO(name(arithmetic) << ", terms " << static_cast<int>(kind) << ", round " << round);
      CHECK(differing_sites(arithmetic, random, kind) == "");
    }
  }
}

TEST_CASE("sites: p > 24, each step from the fast path's functions, which are within 1 ulp",
          "[mpfr][sites]") {
  Random random(2);
  for (int round = 0; round < 100; ++round) {
    const Arithmetic arithmetic = random_arithmetic(random, true, false);
    for (const test::Terms kind : test::all_terms) {
      INFO(name(arithmetic) << ", terms " << static_cast<int>(kind) << ", round " << round);
      CHECK(differing_sites(arithmetic, random, kind) == "");
    }
  }
}

TEST_CASE("sites: rotary positions far along a sequence, in formats up to binary64",
          "[mpfr][sites]") {
  constexpr std::size_t d = 8, position = 8'000;
  Random random(12);
  const Matrix<double> x = random_matrix(random, rows, 2 * d, test::Terms::ordinary);
  for (const Rope& frequencies :
       {Rope{.theta = 1e5}, Rope{.theta = 5e5, .scaling = Rope::Llama3{.factor = 8.0}}})
    for (const FloatFormat& format :
         {binary64, FloatFormat{.p = 52, .emin = -1000, .emax = 1000}, binary32, ps(2)}) {
      Matrix<double> fast = unwritten(rows, 2 * d), twin = fast;
      rope(fused(format), frequencies, d, position, x.view(), fast.view());
      mpfr::rope(fused(format), frequencies, d, position, x.view(), twin.view());
      CHECK(same_bits(fast.flat(), twin.flat()));
      rope(fused(format), frequencies, d, position + 1, x.view(), twin.view());
      CHECK_FALSE(same_bits(fast.flat(), twin.flat()));
    }
  Matrix<double> binary = unwritten(rows, 2 * d), exact = binary;
  rope(fused(binary64), {}, d, position, x.view(), binary.view());
  rope(unlimited(300), {}, d, position, x.view(), exact.view());
  for (std::size_t i = 0; i < binary.flat().size(); ++i)  // two products and a sum
    CHECK(std::abs(binary.flat()[i] - exact.flat()[i]) <= 0x1p-46);
}

TEST_CASE("sites: the comparison sees one bit and another draw", "[mpfr][sites]") {
  Random random(3);
  const Arithmetic stochastic{.mac = {.format = binary16, .rounding = Rounding::sr}, .order = {}};
  const Matrix<double> x = random_matrix(random, rows, width, test::Terms::ordinary);
  const Linear layer{PackedMatrix(std::as_const(x).view().transposed()), {1.0, 2.0, 3.0}};
  Matrix<double> a = unwritten(rows, rows), b = a;
  linear(stochastic, layer, std::as_const(x).view(), a.view());
  mpfr::linear(stochastic, layer, std::as_const(x).view(), b.view());
  REQUIRE(same_bits(a.flat(), b.flat()));
  Arithmetic other = stochastic;
  other.draws.site = 1;
  mpfr::linear(other, layer, std::as_const(x).view(), b.view());
  CHECK_FALSE(same_bits(a.flat(), b.flat()));
  a(0, 0) = test::off_by_one_bit(b(0, 0)), a(1, 2) = b(1, 2);
  CHECK_FALSE(same_bits(a.flat(), b.flat()));
}

TEST_CASE(
    "forward: every site of the whole pass has the bits of the twin, each site in an arithmetic of "
    "its own",
    "[mpfr][forward]") {
  Random random(4);
  for (std::uint32_t round = 0; round < 12; ++round) {
    const Model model = round % 3 == 2 ? test::random_llama(9, round) : random_model(round);
    PrecisionPlan plan(random_arithmetic(random, false, true));
    std::string chosen;
    for (const SiteInfo& s : sites)
      for (std::size_t l = 0; l < (s.per_layer ? 2 : 1); ++l) {
        const Arithmetic arithmetic = random_arithmetic(random, false, true);
        if (s.per_layer)
          plan.set({.site = s.site, .layer = Layer{l}}, arithmetic);
        else
          plan.set(s.site, arithmetic);
        chosen += std::string(s.name) + ": " + name(arithmetic) + "\n";
      }
    plan.set({.site = Site::scores, .layer = Layer{1}, .head = Head{1}},
             random_arithmetic(random, false, true));
    PassOptions options{.activation = round % 3 == 2   ? Activation::silu
                                      : round % 2 == 0 ? Activation::gelu_new
                                                       : Activation::gelu,
                        .seed = 5 + round,
                        .sequence = round};
    const std::span<const TokenId> some =
        std::span(tokens).first(round % 3 == 0 ? 9 : 1 + round % 5);
    const Everything fast = pass(model, some, plan, options);
    Everything twin;
    mpfr::forward(model, some, plan, options, twin);
    INFO(chosen);
    CHECK(first_difference(fast, twin) == "");
    options.sequence += 1;
    Everything elsewhere;
    mpfr::forward(model, some, plan, options, elsewhere);
    CHECK(first_difference(twin, elsewhere) != "");  // its draws are its own
  }
}

TEST_CASE("forward: with storage, every site of the whole pass has the bits of the twin",
          "[mpfr][forward][store]") {
  Random random(14);
  const std::vector<NumberSystem> systems{
      bfloat16,
      binary16,
      e4m3fn,
      ps(2),
      FloatFormat{.p = 40, .emin = -300, .emax = 300},
      BlockFormat::named("mxfp4").value(),
      BlockFormat::named("nvfp4").value(),
      BlockFormat{.element = e5m2, .scale = e8m0fnu, .size = 5}};
  const auto any = [&]() -> Storage::System {
    const std::uint32_t which = random.below(static_cast<std::uint32_t>(systems.size() + 2));
    return which < systems.size() ? Storage::System(systems[which]) : std::nullopt;
  };
  for (std::uint32_t round = 0; round < 6; ++round) {
    const Model model = random_model(round);
    PrecisionPlan plan(fused(binary32));
    plan.set(Site::scores, random_arithmetic(random, false, true));
    plan.set(Site::mlp_fc, random_arithmetic(random, false, true));
    const PassOptions options{.seed = 5 + round, .sequence = round};
    const Everything as_computed = pass(model, tokens, plan, options);
    Storage storage{.everywhere = any(), .keys = any(), .values = any()};
    for (const SiteInfo& s : sites)
      if (random.below(3) == 0)
        storage
            .sites[{s.site, s.per_layer ? std::optional(Layer{random.below(2)}) : std::nullopt}] =
            any();
    plan.store(storage);
    const Everything fast = pass(model, tokens, plan, options);
    Everything twin;
    mpfr::forward(model, tokens, plan, options, twin);
    CHECK(first_difference(fast, twin) == "");
    CHECK(first_difference(fast, as_computed) != "");
  }
}

TEST_CASE("mpfr:p: in p = 24 the pass is that of fused binary32, where exponents do not matter",
          "[mpfr][reference]") {
  for (std::uint32_t seed = 0; seed < 3; ++seed) {
    const Model model = random_model(seed);
    const Everything binary = pass(model, tokens, PrecisionPlan(fused(binary32)), {});
    REQUIRE(within(binary, binary32));
    CHECK(first_difference(binary, pass(model, tokens, PrecisionPlan(unlimited(24)), {})) == "");
    CHECK(first_difference(binary, pass(model, tokens, PrecisionPlan(unlimited(23)), {})) != "");
    const FloatFormat two_bits{.p = 2, .emin = -1000, .emax = 1000};
    CHECK(first_difference(pass(model, tokens, PrecisionPlan(fused(two_bits)), {}),
                           pass(model, tokens, PrecisionPlan(unlimited(2)), {})) == "");
  }
}

TEST_CASE(
    "mpfr:p: more bits change less; local references, threads and rows one by one give the same "
    "numbers",
    "[mpfr][reference]") {
  const Model model = random_model(9);
  const auto distance = [](const Everything& a, const Everything& b) {
    double most = 0.0;
    for (const auto& [where, x] : a.taps)
      for (std::size_t i = 0; i < x.size(); ++i)
        most = std::max(most, std::abs(x[i] - b.taps.at(where)[i]));
    return most;
  };
  const Everything exact = pass(model, tokens, PrecisionPlan(unlimited(300)), {});
  // Nothing here is worse conditioned than 2^12, and all values are below 2^5.
  CHECK(distance(pass(model, tokens, PrecisionPlan(unlimited(80)), {}), exact) <=
        0x1p-48);  // binary64's own rounding of values
  const double error64 = distance(pass(model, tokens, PrecisionPlan(fused(binary64)), {}), exact);
  CHECK(error64 <= 0x1p-36);
  CHECK(error64 > 0.0);
  CHECK(distance(pass(model, tokens, PrecisionPlan(unlimited(40)), {}), exact) > 4.0 * error64);

  CHECK(first_difference(exact,
                         pass(model, tokens, PrecisionPlan(unlimited(300)), {.threads = 3})) == "");
  Everything by_rows;
  EarlierRows earlier_rows(model.config, tokens.size());
  Workspace workspace;
  for (const std::size_t n : {4U, 1U, 1U, 3U})
    forward_from(model, earlier_rows, std::span(tokens).subspan(earlier_rows.rows, n),
                 PrecisionPlan(unlimited(300)), {}, by_rows, workspace);
  CHECK(first_difference(exact, by_rows) == "");

  Random random(
      10);  // a site on binary64 inputs: p bits throughout, rounded to binary64 at the end
  const Matrix<double> x = random_matrix(random, rows, width, test::Terms::cancelling);
  const Linear layer{PackedMatrix(std::as_const(x).view().transposed()), {1.0, 0x1p-40, -3.0}};
  Matrix<double> wide(rows, rows), exactly(rows, rows);
  linear(unlimited(4000), layer, std::as_const(x).view(), wide.view());
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < rows; ++j) {
      std::vector<double> left(x.row(i).begin(), x.row(i).end()),
          right(x.row(j).begin(), x.row(j).end());
      left.push_back(1.0), right.push_back(layer.bias[j]);
      exactly(i, j) =
          mpfr::dot({.mac = {.format = binary64}, .order = test::order_of("exact")}, left, right);
    }
  CHECK(same_bits(wide.flat(), exactly.flat()));
}

TEST_CASE("mpfr:p: exponents have no limits", "[mpfr][reference]") {
  const Matrix<double> y = [] {
    Matrix<double> m(1, 3);
    m(0, 0) = 0.0, m(0, 1) = -1e6, m(0, 2) = -2e6;
    return m;
  }();
  const Arithmetic arithmetic = unlimited(64);
  const mpfr::ExponentRange range = mpfr::ExponentRange::widest_of_all();
  std::vector<mpfr::Number> in, out(3);
  for (const double value : y.row(0)) in.push_back(mpfr::Number::exactly(value));
  mpfr::steps::softmax_row(mpfr::UnlimitedOutput(arithmetic.mac.format),
                           std::span<const mpfr::Number>(in), std::span<mpfr::Number>(out));
  CHECK(mpfr_get_exp(out[2].get()) ==
        -2885390);  // exp(-2e6) = 2^-2885390.08, significands in [1/2, 1)
}

}  // namespace lamp
