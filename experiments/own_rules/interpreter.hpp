// A python3 in a child process, which answers one question at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"
#include "core/base/stop.hpp"

namespace lamp::experiments {

inline constexpr std::chrono::seconds standard_patience{60};

/// Who evaluates rules, and how long a row may take.
struct PythonSettings {
  std::string program;                                // found: LAMP_PYTHON, or python3 of PATH
  std::chrono::seconds patience = standard_patience;  // LAMP_PYTHON_SECONDS
};
/// Of the environment. missing_input where there is no python3.
Result<PythonSettings> python_settings();

class Interpreter {
 public:
  /// Starts the program with this text in place of a file. It has an interrupt and SIGTERM ignored,
  /// one thread for numpy's products and one seed for hashes of strings, and dies with the thread
  /// that started it.
  static Result<Interpreter> start(const PythonSettings& settings, std::string_view text);
  Interpreter(Interpreter&&) noexcept;
  Interpreter& operator=(Interpreter&&) = delete;
  ~Interpreter();

  struct Answer {
    std::int64_t code = 0;  // 0, or the exit code of what `said` tells
    std::string said{};
  };
  /// What went wrong with the child itself, and which step it was in, from 0, where it said so.
  struct Fate {
    std::string what{};
    std::optional<std::size_t> step{};
  };
  struct Reply {
    std::optional<Answer> answer{};
    Fate fate{};  // where there is none: the child is gone
  };
  /// Waits for as long as each step takes less than the patience; for the first answer, before
  /// which the program reads its libraries, at least a minute. Throws Stopped where `stop` says so;
  /// the child is gone then, too.
  Reply ask(std::string_view question, const StopRequest* stop);

 private:
  struct Unmap {
    void operator()(std::int64_t* memory) const;
  };
  using Steps = std::unique_ptr<std::int64_t, Unmap>;

  Interpreter(pid_t process, Descriptor channel, Steps steps, std::chrono::seconds patience)
      : process_(process),
        channel_(std::move(channel)),
        steps_(std::move(steps)),
        patience_(patience) {}
  /// The number of the step that is under way, from 1; 0: none.
  [[nodiscard]] std::int64_t step() const;
  /// Ends the child, where it is not given a second to end by itself, and says how it ended.
  std::string end(bool at_once);

  pid_t process_ = -1;
  Descriptor channel_;
  Steps steps_;
  std::chrono::seconds patience_;
  bool has_answered_ = false;
};

}  // namespace lamp::experiments
