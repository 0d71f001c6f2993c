#include "experiments/own_rules/own_rules.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "core/base/side_by_side.hpp"
#include "experiments/config/own_rules.hpp"
#include "experiments/config/value.hpp"
#include "experiments/own_rules/driver.hpp"
#include "experiments/own_rules/messages.hpp"

namespace lamp::experiments {
namespace {

constexpr std::size_t most_said = 1000;  // of what a rule says, in one line

Error error_of(const std::string& who, std::int64_t code, const std::string& said) {
  std::string line = one_line(said);
  if (line.size() > most_said) line = line.substr(0, most_said) + "..";
  return {static_cast<ExitCode>(code), who + ": " + line};
}

constexpr auto bad_data = static_cast<std::int64_t>(ExitCode::bad_data);

/// What the children read first.
Message setup_of(const Experiment& experiment, const std::vector<OwnRuleName>& names) {
  Message setup;
  setup.put(static_cast<std::int64_t>(names.size()));
  for (const OwnRuleName& name : names) {
    const auto source =
        std::find_if(experiment.rules.begin(), experiment.rules.end(),
                     [&](const RuleSource& rule) { return rule.file == name.file; });
    expects(source != experiment.rules.end(), "own rules: the experiment has read their files");
    setup.put_text(name.file.string());
    setup.put_text(name.function);
    setup.put_text(source->text);
  }
  return setup;
}

}  // namespace

/// One of the children while a thread asks it.
class OwnRules::Lent {
 public:
  explicit Lent(OwnRules& all) : all_(all) {
    std::unique_lock lock(all.mutex_);
    all.returned_.wait(lock, [&] { return !all.idle_.empty() || all.failed_; });
    if (all.failed_) throw RuleFailed(*all.failed_);
    child_.emplace(std::move(all.idle_.back()));
    all.idle_.pop_back();
  }
  ~Lent() {
    const std::lock_guard lock(all_.mutex_);
    all_.idle_.push_back(*std::move(child_));
    all_.returned_.notify_one();
  }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;
  Interpreter& operator*() { return *child_; }

 private:
  OwnRules& all_;
  std::optional<Interpreter> child_;
};

/// A function of a file, as one that selects.
class OwnRules::Function final : public OwnRule {
 public:
  Function(OwnRules& all, std::int64_t index, std::string name, bool reads_keys)
      : all_(all), index_(index), name_(std::move(name)), reads_keys_(reads_keys) {}

  void mark(const OwnRows& rows, std::span<const std::span<std::uint8_t>> selected) override {
    Message question;
    question.put(index_);
    put_rows(question, rows, selected, reads_keys_);
    Lent child(all_);
    const Interpreter::Reply reply = (*child).ask(question.bytes(), all_.stop_);
    if (!reply.answer) {
      const std::optional<std::size_t> step = reply.fate.step;
      const std::string place =
          step && *step < rows.rows.size() ? place_of(rows, *step) + ": " : "";
      all_.fail(error_of(name_, bad_data, place + "its python3 " + reply.fate.what));
    }
    if (reply.answer->code != 0) all_.fail(error_of(name_, reply.answer->code, reply.answer->said));
    if (!take_marks(reply.answer->said, selected))
      all_.fail(error_of(name_, bad_data,
                         place_of(rows, 0) + ": its python3 answered no marks: something else "
                                             "writes to the descriptors it was started with"));
  }

 private:
  OwnRules& all_;
  std::int64_t index_;
  std::string name_;
  bool reads_keys_;
};

void OwnRules::fail(Error error) {
  const std::lock_guard lock(mutex_);
  if (!failed_) failed_ = std::move(error);
  returned_.notify_all();
  throw RuleFailed(*failed_);
}

Result<std::unique_ptr<OwnRules>> OwnRules::start(Experiment& experiment, std::size_t threads,
                                                  const StopRequest* stop) {
  std::unique_ptr<OwnRules> rules(new OwnRules(stop));
  rules->names_ = own_rules_of(experiment.config);
  if (rules->names_.empty()) return rules;
  if (const Result<void> begun = rules->begin(experiment, threads); !begun) return begun.error();
  for (Cell& cell : experiment.grid.cells)
    cell.plan = plan_of(cell_config(experiment.config, cell.index),
                        [&](const SelectionConfig& s) { return rules->find(*s.own); });
  return rules;
}

Result<void> OwnRules::begin(Experiment& experiment, std::size_t threads) {
  const Result<PythonSettings> settings = python_settings();
  if (!settings) return settings.error();
  for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i) {
    Result<Interpreter> child = Interpreter::start(*settings, driver);
    if (!child) return child.error();
    idle_.push_back(*std::move(child));
  }
  const Message setup = setup_of(experiment, names_);
  std::vector<Interpreter::Reply> replies(idle_.size());
  side_by_side(std::span(idle_), idle_.size(), [&](Interpreter&, std::size_t i) {
    replies[i] = idle_[i].ask(setup.bytes(), stop_);
    return true;
  });
  for (const Interpreter::Reply& reply : replies) {
    if (!reply.answer)
      return error_of(settings->program, bad_data,
                      reply.fate.what + " before it had read the rules");
    if (reply.answer->code == bad_data)
      return Error{ExitCode::bad_data, one_line(reply.answer->said)};
    if (reply.answer->code != 0)
      return error_of(settings->program, reply.answer->code, reply.answer->said);
  }
  std::istringstream words(replies.front().answer->said);
  std::string keys;
  experiment.python.emplace();
  words >> experiment.python->python >> experiment.python->numpy >> keys;
  if (keys.size() != names_.size())
    return error_of(settings->program, bad_data, "did not say what its rules read");
  for (std::size_t i = 0; i < names_.size(); ++i)
    functions_.push_back(std::make_unique<Function>(
        *this, static_cast<std::int64_t>(i), one_line(own_rule_text(names_[i])), keys[i] == '1'));
  return {};
}

OwnRule* OwnRules::find(const OwnRuleName& name) const {
  const auto at = std::find(names_.begin(), names_.end(), name);
  expects(at != names_.end(), "own rules: one of the experiment");
  return functions_[static_cast<std::size_t>(at - names_.begin())].get();
}

}  // namespace lamp::experiments
