// Budgets and coarse truth against whole passes one by one; the sets of a budget by brute force.
#include "analysis/truth/budgets.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "analysis/truth/coarse.hpp"
#include "analysis/truth/passes.hpp"
#include "tests/analysis/truth/question.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::Asked;
using test::same_bits;
using test::sorter;
using truth::Background;
using truth::Row;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// Priorities (layer, head, query, key) with many ties, both zeros, NaN and infinities; above the
/// diagonal they are infinite, which nothing may look at.
std::vector<double> priorities(std::size_t layers, std::size_t heads, std::size_t length,
                               std::uint32_t seed) {
  constexpr std::array some{-infinity, -1.0, -0.0, 0.0, 0.0, 1.0, 2.0, infinity, not_a_number};
  test::Random random(seed);
  std::vector<double> p(layers * heads * length * length, infinity);
  for (std::size_t row = 0; row < layers * heads * length; ++row)
    for (std::size_t j = 0; j <= row % length; ++j) {
      const std::uint32_t which = random.below(2 * some.size());
      p[row * length + j] = which < some.size() ? some[which] : random.symmetric();
    }
  return p;
}

/// Whether a score is among the first `count` of those at `places`: fewer than `count` come before
/// it.
bool is_among_first(const std::vector<double>& p, const std::vector<std::size_t>& places,
                    std::size_t place, double count) {
  double before = 0.0;
  for (const std::size_t other : places) {
    const double x = p[other], y = p[place];
    const bool tie = x == y || (std::isnan(x) && std::isnan(y));
    before += tie ? other < place : !std::isnan(x) && (std::isnan(y) || x > y);
  }
  return before < count;
}

std::vector<std::size_t> causal_places(std::size_t first_row, std::size_t rows,
                                       std::size_t length) {
  std::vector<std::size_t> places;
  for (std::size_t row = first_row; row < first_row + rows; ++row)
    for (std::size_t j = 0; j <= row % length; ++j) places.push_back(row * length + j);
  return places;
}

double kl_of(const Asked& asked, const PrecisionPlan& plan) {
  return test::effect_of(asked, test::logits_of(asked, asked.reference),
                         test::logits_of(asked, plan))
      .kl;
}

}  // namespace

TEST_CASE("budgets: pooled and by rows, by brute force", "[truth][budgets]") {
  for (const auto& [layers, heads, length] :
       {std::tuple<std::size_t, std::size_t, std::size_t>{1, 1, 1}, {2, 1, 3}, {2, 3, 7}}) {
    const std::vector<double> p =
        priorities(layers, heads, length, static_cast<std::uint32_t>(length));
    const std::size_t rows = layers * heads * length;
    const std::vector<std::size_t> all = causal_places(0, rows, length);
    const double n = static_cast<double>(all.size());
    CAPTURE(rows, length);
    for (const double share : {0.0, 1e-6, 1.0 / n, 0.1, 0.5, 1.0 - 1.0 / n, 1.0}) {
      const GivenSets sets = truth::pooled_sets(p, layers, heads, length, share);
      CHECK((sets.heads == heads && sets.rows == length && sets.components == length));
      REQUIRE(sets.marks.size() == p.size());
      std::vector<std::uint8_t> expected(p.size());
      for (const std::size_t place : all)
        expected[place] = is_among_first(p, all, place, std::ceil(share * n - 1e-9));
      CHECK(sets.marks == expected);
    }
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{4}, length, length + 1}) {
      const GivenSets sets = truth::row_sets(p, layers, heads, length, size);
      CHECK((sets.heads == heads && sets.rows == length && sets.components == length));
      std::vector<std::uint8_t> expected(p.size());
      for (std::size_t row = 0; row < rows; ++row) {
        const std::vector<std::size_t> places = causal_places(row, 1, length);
        for (const std::size_t place : places)
          expected[place] = is_among_first(p, places, place, static_cast<double>(size));
      }
      CHECK(sets.marks == expected);
    }
  }
}

TEST_CASE("budgets: the KL of whole passes, for any number of threads", "[truth][budgets]") {
  // High is not the reference's own arithmetic, and low differs by head.
  PrecisionPlan low(lamp_paper(2));
  low.set({.site = Site::scores, .layer = Layer{1}, .head = Head{0}}, lamp_paper(4));
  const Asked asked(sorter(), 9, PrecisionPlan(fused(binary64)), low, fused(ps(12)));
  const Background exact = Background::reference(asked.question()),
                   all_low = Background::all_low(asked.question(), exact);
  const std::vector<double> p = priorities(3, 3, 9, 5);
  const truth::Budgets budgets{.shares = {0.0, 0.1, 0.7, 1.0}, .row_sizes = {0, 2, 9}};
  const auto found = truth::kl_of_budgets(asked.question(), exact.target(), p, budgets, 1, {});
  REQUIRE(found.has_value());
  REQUIRE((found->shares.size() == 4 && found->row_sizes.size() == 3));
  PrecisionPlan all_high = asked.reference;
  all_high.set(Site::scores, asked.high);
  const double none = all_low.effect().kl, every = kl_of(asked, all_high);
  CHECK((none > every && every > 0.0));
  CHECK((same_bits(found->shares[0], none) && same_bits(found->row_sizes[0], none)));
  CHECK((same_bits(found->shares[3], every) && same_bits(found->row_sizes[2], every)));

  const std::vector<std::size_t> all = causal_places(0, 81, 9);
  const auto place_of = [](const Row& row, std::size_t key) {
    return ((row.layer.value * 3 + row.head.value) * 9 + row.query) * 9 + key;
  };
  const auto kl_with = [&](const test::Chosen& chosen) {
    return test::effect_of(asked, test::logits_of(asked, asked.reference),
                           test::logits_of(asked, asked.high, chosen))
        .kl;
  };
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    const double count = std::ceil(budgets.shares[i] * 405.0 - 1e-9);
    CHECK(same_bits(found->shares[i], kl_with([&](const Row& row, std::size_t key) {
                      return is_among_first(p, all, place_of(row, key), count);
                    })));
  }
  CHECK(same_bits(found->row_sizes[1], kl_with([&](const Row& row, std::size_t key) {
                    const std::size_t first = place_of(row, 0);
                    return is_among_first(p, causal_places(first / 9, 1, 9), first + key, 2.0);
                  })));
  const auto again = truth::kl_of_budgets(asked.question(), exact.target(), p, budgets, 3, {});
  CHECK((again->shares == found->shares && again->row_sizes == found->row_sizes));
  CHECK_FALSE(truth::kl_of_budgets(asked.question(), exact.target(), p, budgets, 2, [] {
                return true;
              }).has_value());
}

TEST_CASE("coarse truth: heads, sites of layers and layers against plain passes",
          "[truth][coarse]") {
  PrecisionPlan low(lamp_paper(3));
  low.set({.site = Site::scores, .layer = Layer{2}, .head = Head{0}}, lamp_paper(5));
  low.set({.site = Site::scores, .layer = Layer{0}, .head = Head{1}}, lamp_paper(1));
  const Asked asked(sorter(), 6, PrecisionPlan(fused(binary64)), low, fused(ps(12)));
  const Background exact = Background::reference(asked.question());
  const auto found = truth::coarse(asked.question(), exact.target(), 2, {});
  REQUIRE(found.has_value());
  const std::vector<Site> layer_sites = truth::layer_sites(asked.model.config);
  CHECK(layer_sites == std::vector<Site>{Site::ln_1, Site::qkv, Site::scores, Site::softmax,
                                         Site::values, Site::attn_proj, Site::resid_1, Site::ln_2,
                                         Site::mlp_fc, Site::gelu, Site::mlp_proj, Site::resid_2});
  REQUIRE((found->low_heads.size() == 9 && found->high_heads.size() == 9));
  REQUIRE((found->low_sites.size() == 36 && found->high_sites.size() == 36));
  REQUIRE((found->low_layers.size() == 3 && found->high_layers.size() == 3));
  REQUIRE(found->all_low_layers.size() == 1);
  CHECK(truth::coarse_passes(asked.model.config, Site::scores) == 97);
  /// These layers low at all sites, the rest exact.
  const auto with_low = [&](const std::vector<std::size_t>& low_ones) {
    PrecisionPlan plan = asked.reference;
    for (const std::size_t l : low_ones)
      for (const Site site : layer_sites)
        plan.set({.site = site, .layer = Layer{l}}, lamp_paper(l == 2 ? 5 : 3));
    return plan;
  };
  const PrecisionPlan low_layers = with_low({0, 1, 2});
  CHECK(same_bits(found->all_low_layers[0], kl_of(asked, low_layers)));
  for (std::size_t l = 0; l < 3; ++l) {
    for (std::size_t h = 0; h < 3; ++h) {
      CAPTURE(l, h);
      const auto is_head = [&](const Row& row) {
        return row.layer == Layer{l} && row.head == Head{h};
      };
      // By rules: recomputed are the scores of all other heads, or of this one.
      const auto kl_where = [&](const Arithmetic& recompute, bool own) {
        return test::effect_of(asked, test::logits_of(asked, asked.reference),
                               test::logits_of(asked, recompute,
                                               [&](const Row& row, std::size_t) {
                                                 return is_head(row) == own;
                                               }))
            .kl;
      };
      CHECK(same_bits(found->low_heads[3 * l + h], kl_where(fused(binary64), false)));
      CHECK(same_bits(found->high_heads[3 * l + h], kl_where(asked.high, true)));
    }
    for (std::size_t s = 0; s < layer_sites.size(); ++s) {
      CAPTURE(l, s);
      PrecisionPlan one_low = asked.reference, one_high = low_layers;
      one_low.set({.site = layer_sites[s], .layer = Layer{l}}, lamp_paper(l == 2 ? 5 : 3));
      one_high.set({.site = layer_sites[s], .layer = Layer{l}}, fused(binary64));
      CHECK(same_bits(found->low_sites[12 * l + s], kl_of(asked, one_low)));
      CHECK(same_bits(found->high_sites[12 * l + s], kl_of(asked, one_high)));
    }
    CAPTURE(l);
    CHECK(same_bits(found->low_layers[l], kl_of(asked, with_low({l}))));
    CHECK(same_bits(found->high_layers[l], kl_of(asked, with_low({(l + 1) % 3, (l + 2) % 3}))));
  }
  const auto again = truth::coarse(asked.question(), exact.target(), 1, {});
  CHECK((again->low_heads == found->low_heads && again->high_heads == found->high_heads &&
         again->low_sites == found->low_sites && again->high_sites == found->high_sites &&
         again->low_layers == found->low_layers && again->high_layers == found->high_layers &&
         again->all_low_layers == found->all_low_layers));
  CHECK_FALSE(truth::coarse(asked.question(), exact.target(), 1, [] { return true; }).has_value());
}

}  // namespace lamp
