// The own rules of a run: Python functions, evaluated in children of the program. This alone
// executes what a config names.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/stop.hpp"
#include "core/selection/rules/own.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/own_rules/interpreter.hpp"
#include "experiments/run/experiment.hpp"

namespace lamp::experiments {

class OwnRules {
 public:
  /// Starts as many children as threads ask at once, which read the experiment's rules, and gives
  /// the cells' plans their rules and the experiment its Python. Without own rules: nothing. What a
  /// plan then holds lives as long as this. Call it in the thread that outlives all others. `stop`:
  /// asked while a child is waited for. Errors: missing_input without Python or numpy, bad_data for
  /// a file that is no Python or has not the function.
  static Result<std::unique_ptr<OwnRules>> start(Experiment& experiment, std::size_t threads,
                                                 const StopRequest* stop);

 private:
  class Function;
  class Lent;

  explicit OwnRules(const StopRequest* stop) : stop_(stop) {}
  Result<void> begin(Experiment& experiment, std::size_t threads);
  [[nodiscard]] OwnRule* find(const OwnRuleName& name) const;
  [[noreturn]] void fail(Error error);

  const StopRequest* stop_;
  std::vector<OwnRuleName> names_;
  std::vector<std::unique_ptr<OwnRule>> functions_;  // of names_
  std::mutex mutex_;                                 // of what follows
  std::condition_variable returned_;
  std::vector<Interpreter> idle_;
  std::optional<Error> failed_;  // the first of all failures
};

}  // namespace lamp::experiments
