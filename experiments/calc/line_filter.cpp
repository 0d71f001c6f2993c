#include "experiments/calc/line_filter.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "core/base/descriptor.hpp"
#include "core/base/system_error.hpp"

namespace lamp::experiments {
namespace {

Error failed_call(const std::string& what) {
  return {exit_code(errno, Role::input), what + ": " + system_words(errno)};
}

/// A command that is gone before it has read everything must not end this program.
class NoPipeSignal {
 public:
  NoPipeSignal() { before_ = std::signal(SIGPIPE, SIG_IGN); }
  ~NoPipeSignal() { std::signal(SIGPIPE, before_); }
  NoPipeSignal(const NoPipeSignal&) = delete;
  NoPipeSignal& operator=(const NoPipeSignal&) = delete;

 private:
  void (*before_)(int);
};

/// Starts the command between the pipes' ends `in` and `out`; its process.
Result<pid_t> start(const std::string& command, const Descriptor& in, const Descriptor& out) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t standard;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
  posix_spawnattr_init(&attributes);
  sigemptyset(&standard);
  for (const int ignored : {SIGPIPE, SIGXFSZ}) sigaddset(&standard, ignored);  // here, not there
  posix_spawnattr_setsigdefault(&attributes, &standard);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  std::string shell = "sh", option = "-c", text = command;
  std::array<char*, 4> arguments{shell.data(), option.data(), text.data(), nullptr};
  pid_t process = 0;
  errno = posix_spawn(&process, "/bin/sh", &actions, &attributes, arguments.data(), environ);
  const int failed = errno;
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  errno = failed;
  if (failed != 0) return failed_call("starting /bin/sh");
  return process;
}

/// Writes `input` and reads until the other side closes.
Result<std::string> converse(Descriptor to, Descriptor from, std::string_view input) {
  fcntl(to.get(), F_SETFL, O_NONBLOCK);
  std::string output;
  std::array<char, 1 << 16> buffer{};
  while (true) {
    if (input.empty()) to.close();
    std::array<pollfd, 2> wait{pollfd{from.get(), POLLIN, 0}, pollfd{to.get(), POLLOUT, 0}};
    if (poll(wait.data(), to.is_open() ? 2 : 1, -1) < 0) {
      if (errno == EINTR) continue;
      return failed_call("waiting for the command");
    }
    if (to.is_open() && wait[1].revents != 0) {
      const ssize_t count = ::write(to.get(), input.data(), input.size());
      if (count >= 0)
        input.remove_prefix(static_cast<std::size_t>(count));
      else if (errno == EPIPE)
        input = {};  // it wants no more; whether it answered enough is seen later
      else if (errno != EAGAIN && errno != EINTR)
        return failed_call("writing to the command");
    }
    if (wait[0].revents == 0) continue;
    const ssize_t count = read(from.get(), buffer.data(), buffer.size());
    if (count == 0) return output;
    if (count > 0)
      output.append(buffer.data(), static_cast<std::size_t>(count));
    else if (errno != EINTR)
      return failed_call("reading from the command");
  }
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

}  // namespace

Result<std::vector<std::string>> run_filter(const std::string& command, std::string_view input) {
  const NoPipeSignal no_pipe_signal;
  std::array<int, 2> in{}, out{};
  if (pipe2(in.data(), O_CLOEXEC) != 0) return failed_call("a pipe");
  Descriptor child_in(in[0]), to(in[1]);
  if (pipe2(out.data(), O_CLOEXEC) != 0) return failed_call("a pipe");
  Descriptor from(out[0]), child_out(out[1]);
  const Result<pid_t> process = start(command, child_in, child_out);
  if (!process) return process.error();
  child_in.close();
  child_out.close();
  const Result<std::string> output = converse(std::move(to), std::move(from), input);
  int status = 0;
  while (waitpid(*process, &status, 0) < 0)
    if (errno != EINTR) return failed_call("waiting for the command");
  if (!output) return output.error();
  if (WIFSIGNALED(status))
    return Error{ExitCode::bad_data,
                 "the command was ended by signal " + std::to_string(WTERMSIG(status))};
  if (WEXITSTATUS(status) != 0)
    return Error{ExitCode::bad_data,
                 "the command ended with exit code " + std::to_string(WEXITSTATUS(status))};
  return lines_of(*output);
}

}  // namespace lamp::experiments
