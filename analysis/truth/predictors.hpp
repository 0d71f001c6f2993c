// Rankings of the scores of a row by how much recomputing them is said to help: LAMP's, those of
// other rules that a run can use, those that know the actual errors or derivatives, and the truth
// itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "analysis/truth/end_to_end.hpp"
#include "core/selection/selection.hpp"

namespace lamp::truth {

/// What a ranking may look at, of one row of n scores; n of each, or none where not needed.
struct Evidence {
  SelectionRow row;                          // of the low scores, with bounds, query, keys, values
  DrawCoordinates where{};                   // of its random words
  std::span<const double> error{};           // low - recomputed
  std::span<const Derivative> derivative{};  // at the reference
  std::span<const Derivative> low_derivative{};  // where all scores are low
  std::span<const double> low_error{};           // low - recomputed there
  std::span<const double> one_low{};             // KL with this score alone low
  std::span<const double> benefit{};  // KL with all low, less that with this one recomputed
  std::span<const double> local{};    // relative error of softmax with this one low
};

/// Which parts of the evidence a predictor reads beside the row and the errors.
struct Needs {
  bool derivative = false, low_derivative = false, one_low = false, one_high = false, local = false;
};

/// Fills the priorities: the largest is recomputed first, of equal ones the lower index; NaN last.
/// Priorities of different rows compare, too. `repetition`: of a random ranking.
using Ranking = void (*)(const Evidence& evidence, std::uint32_t repetition,
                         std::span<double> priority, SelectionScratch& scratch);

/// The error model and the norm of a form of LAMP: its cost bounds an error of softmax.
struct LampForm {
  ErrorWeights weights;
  Norm norm = Norm::componentwise;
};

struct Predictor {
  std::string_view name;
  Ranking rank;
  std::string_view meaning;  // what the priority is
  Needs needs{};
  std::uint32_t repetitions = 1;
  std::optional<LampForm> form{};
};

void rank_by_lamp(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_lamp_relative(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_lamp_dot(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_lamp_exact(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_lamp_normwise1(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_values(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_logit(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_at_random(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_window(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_block_mean(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_page_bound(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_error(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_z_error(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_k_error(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_first_order(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_first_order_bound(const Evidence&, std::uint32_t, std::span<double>,
                               SelectionScratch&);
void rank_by_first_order_high(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_fisher(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_fisher_error(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_one_low(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_benefit(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);
void rank_by_local(const Evidence&, std::uint32_t, std::span<double>, SelectionScratch&);

/// Every predictor, in the order in which messages list them.
inline constexpr std::array predictors{
    Predictor{.name = "lamp",
              .rank = rank_by_lamp,
              .meaning = "z_j, in units of 2^-40",
              .form = LampForm{ErrorWeights::absolute}},
    Predictor{.name = "lamp-relative",
              .rank = rank_by_lamp_relative,
              .meaning = "z_j abs(y_j), in units of 2^-40",
              .form = LampForm{ErrorWeights::relative}},
    Predictor{.name = "lamp-dot",
              .rank = rank_by_lamp_dot,
              .meaning = "z_j w_j, w_j the bound of the inner product, in units of 2^-40",
              .form = LampForm{ErrorWeights::dot}},
    Predictor{.name = "lamp-exact",
              .rank = rank_by_lamp_exact,
              .meaning =
                  "1 - (k - 1)/n, k the size of the smallest optimal set (solver exact) that "
                  "has the score; 0: none has"},
    Predictor{.name = "lamp-normwise1",
              .rank = rank_by_lamp_normwise1,
              .meaning = "2 z_j (1 - z_j), in units of 2^-40",
              .form = LampForm{ErrorWeights::absolute, Norm::normwise1}},
    Predictor{.name = "value-aware",
              .rank = rank_by_values,
              .meaning = "z_j norm2(v_j - o), in units of 2^-40"},
    Predictor{.name = "largest-logit", .rank = rank_by_logit, .meaning = "y_j"},
    Predictor{.name = "random",
              .rank = rank_at_random,
              .meaning = "a uniform number; what follows from it is the mean of 10 draws",
              .repetitions = 10},
    Predictor{.name = "window",
              .rank = rank_by_window,
              .meaning = "share of the row that comes no sooner"},
    Predictor{.name = "block-mean",
              .rank = rank_by_block_mean,
              .meaning = "share of the row that comes no sooner"},
    Predictor{.name = "page-bound",
              .rank = rank_by_page_bound,
              .meaning = "share of the row that comes no sooner"},
    Predictor{
        .name = "error", .rank = rank_by_error, .meaning = "abs(dy_j), dy_j the actual error"},
    Predictor{.name = "z-error", .rank = rank_by_z_error, .meaning = "z_j abs(dy_j)"},
    Predictor{.name = "k-error", .rank = rank_by_k_error, .meaning = "max(z_j, 1 - z_j) abs(dy_j)"},
    Predictor{.name = "first-order",
              .rank = rank_by_first_order,
              .meaning = "half the variance of J e_j, times dy_j^2",
              .needs = {.derivative = true}},
    Predictor{.name = "first-order-bound",
              .rank = rank_by_first_order_bound,
              .meaning = "half the variance of J e_j, times w_j^2, w_j the bound of the product",
              .needs = {.derivative = true}},
    Predictor{.name = "first-order-high",
              .rank = rank_by_first_order_high,
              .meaning = "d KL / dy_j where all scores are low, times dy_j",
              .needs = {.low_derivative = true}},
    Predictor{.name = "fisher",
              .rank = rank_by_fisher,
              .meaning = "(d log-likelihood / dy_j)^2 w_j^2, w_j the bound of the product",
              .needs = {.derivative = true}},
    Predictor{.name = "fisher-error",
              .rank = rank_by_fisher_error,
              .meaning = "(d log-likelihood / dy_j)^2 dy_j^2",
              .needs = {.derivative = true}},
    Predictor{.name = "one-low",
              .rank = rank_by_one_low,
              .meaning = "KL with this score alone low",
              .needs = {.one_low = true}},
    Predictor{.name = "one-high",
              .rank = rank_by_benefit,
              .meaning = "what recomputing this score alone takes off the KL",
              .needs = {.one_high = true}},
    Predictor{.name = "local",
              .rank = rank_by_local,
              .meaning = "relative error of softmax with this score alone low",
              .needs = {.local = true}},
};

constexpr const Predictor* predictor_named(std::string_view name) {
  for (const Predictor& predictor : predictors)
    if (predictor.name == name) return &predictor;
  return nullptr;
}

}  // namespace lamp::truth
