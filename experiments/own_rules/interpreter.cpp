#include "experiments/own_rules/interpreter.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "core/base/system_error.hpp"
#include "core/base/whole_number.hpp"

namespace lamp::experiments {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds look{100};  // at who asks to stop, and at the child's step
constexpr int steps_descriptor = 3;
constexpr int not_executed = 127;  // as a shell says it

/// What makes a rule's answer depend on more than its row.
constexpr std::array<std::string_view, 4> settled{"PYTHONHASHSEED=0", "OMP_NUM_THREADS=1",
                                                  "OPENBLAS_NUM_THREADS=1", "MKL_NUM_THREADS=1"};

Error failed_start(const std::string& program, const char* what) {
  return {exit_code(errno, Role::input), program + ": " + what + ": " + system_words(errno)};
}

std::string name_of(std::string_view setting) {
  return std::string(setting.substr(0, setting.find('=') + 1));
}

std::vector<std::string> environment_of_child() {
  std::vector<std::string> all(settled.begin(), settled.end());
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view setting = *entry;
    if (std::none_of(settled.begin(), settled.end(),
                     [&](std::string_view s) { return setting.starts_with(name_of(s)); }))
      all.emplace_back(setting);
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

/// The child, from fork on: calls that are legal there alone.
[[noreturn]] void become(const char* program, char* const* arguments, char* const* environment,
                         int channel, int steps, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(not_executed);
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_IGN);
  for (const int signal : {SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // Both may lie where the others go.
  const int own_channel = ::fcntl(channel, F_DUPFD_CLOEXEC, 10),
            own_steps = ::fcntl(steps, F_DUPFD_CLOEXEC, 10);
  if (::dup2(own_channel, STDIN_FILENO) < 0 || ::dup2(own_channel, STDOUT_FILENO) < 0 ||
      ::dup2(own_steps, steps_descriptor) < 0)
    ::_exit(not_executed);
  ::close_range(steps_descriptor + 1, ~0U, 0);
  ::execve(program, arguments, environment);
  ::_exit(not_executed);
}

/// Whole messages through a socket that does not block: a question out, an answer in.
class Exchange {
 public:
  Exchange(int channel, std::string_view question) : channel_(channel), left_(question) {
    const auto size = static_cast<std::int64_t>(question.size());
    std::memcpy(head_out_.data(), &size, sizeof size);
  }

  /// Sends and takes what is possible; false where the other side has gone.
  bool step(std::chrono::milliseconds wait) {
    pollfd socket{channel_, POLLIN, 0};
    if (!is_sent()) socket.events |= POLLOUT;
    if (::poll(&socket, 1, static_cast<int>(wait.count())) <= 0) return true;  // or interrupted
    if ((socket.revents & POLLOUT) != 0 && !send()) return false;
    return (socket.revents & ~POLLOUT) == 0 || receive();
  }
  /// The answer, once it is whole.
  [[nodiscard]] std::optional<Interpreter::Answer> answer() {
    if (!is_whole()) return std::nullopt;
    Interpreter::Answer whole{.said = std::move(said_)};
    std::memcpy(&whole.code, head_in_.data() + sizeof(std::int64_t), sizeof whole.code);
    return whole;
  }

 private:
  static constexpr std::size_t most_answer = std::size_t{1} << 32;

  [[nodiscard]] bool is_sent() const { return head_sent_ == head_out_.size() && left_.empty(); }
  [[nodiscard]] std::size_t answer_size() const {
    std::int64_t size = 0;
    std::memcpy(&size, head_in_.data(), sizeof size);
    return static_cast<std::size_t>(size);
  }
  [[nodiscard]] bool is_whole() const {
    return head_got_ == head_in_.size() && got_ == answer_size();
  }
  static bool may_go_on() { return errno == EAGAIN || errno == EINTR; }

  bool send() {
    while (!is_sent()) {
      const bool head = head_sent_ < head_out_.size();
      const std::string_view part =
          head ? std::string_view(head_out_.data(), head_out_.size()).substr(head_sent_) : left_;
      const ssize_t n = ::send(channel_, part.data(), part.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) return may_go_on();
      if (head)
        head_sent_ += static_cast<std::size_t>(n);
      else
        left_.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  /// Takes memory for an answer only as its bytes arrive.
  bool receive() {
    std::array<char, std::size_t{1} << 16> block{};
    while (!is_whole()) {
      const bool head = head_got_ < head_in_.size();
      const std::size_t wanted =
          head ? head_in_.size() - head_got_ : std::min(block.size(), answer_size() - got_);
      const ssize_t n = ::recv(channel_, block.data(), wanted, MSG_DONTWAIT);
      if (n < 0) return may_go_on();
      if (n == 0) return false;
      const auto count = static_cast<std::size_t>(n);
      if (head) {
        std::copy_n(block.begin(), count,
                    head_in_.begin() + static_cast<std::ptrdiff_t>(head_got_));
        head_got_ += count;
        if (head_got_ == head_in_.size() && answer_size() > most_answer) return false;
      } else {
        said_.append(block.data(), count);
        got_ += count;
      }
    }
    return true;
  }

  int channel_;
  std::array<char, sizeof(std::int64_t)> head_out_{};
  std::size_t head_sent_ = 0;
  std::string_view left_;
  std::array<char, 2 * sizeof(std::int64_t)> head_in_{};
  std::size_t head_got_ = 0, got_ = 0;
  std::string said_;
};

/// An executable of this name: as it is where it has a slash, else of PATH; empty: there is none.
std::string executable(const std::string& name) {
  const auto is_executable = [](const std::string& file) {
    return ::access(file.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos) return is_executable(name) ? name : std::string();
  const char* const path = std::getenv("PATH");
  std::string_view left = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  while (!left.empty()) {
    const std::size_t end = std::min(left.find(':'), left.size());
    std::string file = std::string(end == 0 ? "." : left.substr(0, end)) + '/' + name;
    if (is_executable(file)) return file;
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return {};
}

}  // namespace

Result<PythonSettings> python_settings() {
  PythonSettings settings;
  const char* const named = std::getenv("LAMP_PYTHON");
  const std::string name = named == nullptr || *named == '\0' ? "python3" : named;
  settings.program = executable(name);
  if (settings.program.empty())
    return Error{
        ExitCode::missing_input,
        (name == "python3" ? "no python3 on PATH" : "LAMP_PYTHON: " + name + " is no program") +
            std::string(", and rules of Python need one with numpy; legal: python3 on "
                        "PATH, or LAMP_PYTHON=/path/to/python3")};
  if (const char* const seconds = std::getenv("LAMP_PYTHON_SECONDS")) {
    const std::optional<int> number = whole_number<int>(seconds);
    if (!number || *number < 1)
      return Error{ExitCode::usage, std::string("LAMP_PYTHON_SECONDS is ") + seconds +
                                        "; legal: whole seconds that a rule may take for a row"};
    settings.patience = std::chrono::seconds(*number);
  }
  return settings;
}

void Interpreter::Unmap::operator()(std::int64_t* memory) const {
  ::munmap(memory, sizeof *memory);
}

Result<Interpreter> Interpreter::start(const PythonSettings& settings, std::string_view text) {
  const std::string& program = settings.program;
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return failed_start(program, "a socket");
  Descriptor ours(ends[0]), theirs(ends[1]);
  const Descriptor shared(::memfd_create("lamp-steps", MFD_CLOEXEC));
  if (!shared.is_open() || ::ftruncate(shared.get(), sizeof(std::int64_t)) != 0)
    return failed_start(program, "shared memory");
  void* const memory =
      ::mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, shared.get(), 0);
  if (memory == MAP_FAILED) return failed_start(program, "shared memory");  // NOLINT: the macro's
  Steps steps(static_cast<std::int64_t*>(memory));
  std::vector<std::string> words{program, "-c", std::string(text) + "\nserve()\n"},
      settings_of_child = environment_of_child();
  const std::vector<char*> arguments = pointers(words), environment = pointers(settings_of_child);
  const pid_t parent = ::getpid(), process = ::fork();
  if (process == 0)
    become(program.c_str(), arguments.data(), environment.data(), theirs.get(), shared.get(),
           parent);
  if (process < 0) return failed_start(program, "no process");
  return Interpreter(process, std::move(ours), std::move(steps), settings.patience);
}

Interpreter::Interpreter(Interpreter&& other) noexcept
    : process_(std::exchange(other.process_, -1)),
      channel_(std::move(other.channel_)),
      steps_(std::move(other.steps_)),
      patience_(other.patience_),
      has_answered_(other.has_answered_) {}

Interpreter::~Interpreter() {
  if (process_ > 0) end(true);
}

std::int64_t Interpreter::step() const {
  return std::atomic_ref<std::int64_t>(*steps_).load(std::memory_order_relaxed);
}

std::string Interpreter::end(bool at_once) {
  constexpr int most_waits = 20;
  channel_.close();
  const pid_t process = std::exchange(process_, -1);
  int status = 0;
  const auto has_ended = [&](int options) {
    pid_t ended = 0;
    while ((ended = ::waitpid(process, &status, options)) < 0 && errno == EINTR) {
    }
    return ended != 0;
  };
  bool ended = false;
  for (int i = 0; !at_once && !ended && i < most_waits; ++i) {
    ended = has_ended(WNOHANG);
    if (!ended) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  if (!ended) ::kill(process, SIGKILL), has_ended(0);
  if (WIFSIGNALED(status))
    return std::string("was ended by signal ") + std::to_string(WTERMSIG(status)) + " (" +
           ::strsignal(WTERMSIG(status)) + ")";
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

Interpreter::Reply Interpreter::ask(std::string_view question, const StopRequest* stop) {
  const auto gone = [&](const std::string& what, std::int64_t step) {
    Reply reply{.fate = {.what = what}};
    if (step > 0) reply.fate.step = static_cast<std::size_t>(step - 1);
    return reply;
  };
  if (process_ < 0) return gone("has ended before", 0);
  std::atomic_ref<std::int64_t>(*steps_).store(0, std::memory_order_relaxed);
  const std::chrono::seconds patience =
      has_answered_ ? patience_ : std::max(patience_, standard_patience);
  Exchange exchange(channel_.get(), question);
  std::int64_t last = 0;
  Clock::time_point since = Clock::now();
  while (true) {
    const bool there = exchange.step(look);
    if (std::optional<Answer> answer = exchange.answer()) {
      has_answered_ = true;
      return {.answer = *std::move(answer)};
    }
    const std::int64_t now = step();
    if (!there) return gone(end(false), now);
    if (stop != nullptr && *stop != 0) end(true);
    end_if_asked(stop);
    if (now != last) last = now, since = Clock::now();
    if (Clock::now() - since < patience) continue;
    end(true);
    return gone(
        "gave no answer within " + std::to_string(patience.count()) + " s (LAMP_PYTHON_SECONDS)",
        now);
  }
}

}  // namespace lamp::experiments
