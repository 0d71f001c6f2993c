#include "core/record/apart.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <new>
#include <optional>
#include <vector>

#include "core/base/sanitized.hpp"
#include "core/base/system_error.hpp"
#include "core/record/strict.hpp"

namespace lamp::record {
namespace {

/// Bytes of address space that this process has.
std::uint64_t address_space() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// A sanitizer takes terabytes of address space and several times the processor's time, and opens
/// a file when it has found something: what it watches has no limit but that of time, which is
/// longer.
void limit(int resource, rlim_t soft, rlim_t hard) {
  if (sanitized && resource != RLIMIT_CPU) return;
  rlimit present{};
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &present) != 0) return;
  const rlimit wanted{std::min(soft, present.rlim_max), std::min(hard, present.rlim_max)};
  ::setrlimit(static_cast<__rlimit_resource_t>(resource), &wanted);
}

/// The memory that a child may take, of which the user may grant less.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::uint64_t most) : most_(most) {
    const std::uint64_t all = address_space() + most;
    rlimit present{};
    if (::getrlimit(RLIMIT_AS, &present) != 0 ||
        (present.rlim_cur != RLIM_INFINITY && present.rlim_cur <= all))
      return;
    before_ = present.rlim_cur;
    limit(RLIMIT_AS, all, present.rlim_max);
  }
  /// Whether memory was refused by this limit: without it there is as much as it grants.
  [[nodiscard]] bool has_refused() const {
    if (!before_) return false;
    limit(RLIMIT_AS, *before_, RLIM_INFINITY);
    void* const block = ::mmap(nullptr, most_, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return block != MAP_FAILED;  // NOLINT: the macro's cast
  }

 private:
  std::uint64_t most_;
  std::optional<rlim_t> before_{};  // the user's
};

/// A child's output into the pipe, by blocks.
class Output {
 public:
  explicit Output(int pipe) : pipe_(pipe) { buffer_.reserve(block); }
  void put(std::span<const std::byte> bytes) {
    if (buffer_.size() + bytes.size() > block) flush();
    if (bytes.size() > block) return write(bytes);
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  void flush() {
    write(buffer_);
    buffer_.clear();
  }

 private:
  static constexpr std::size_t block = std::size_t{1} << 16;
  void write(std::span<const std::byte> bytes) const {
    if (write_all(pipe_, bytes) != 0) ::_exit(1);
  }
  int pipe_;
  std::vector<std::byte> buffer_;
};

/// What the descriptor has, whatever has taken the file's name meanwhile: HDF5 opens names alone.
/// One that is large is opened by the descriptor's name, which fails when the file has gone.
hdf5::Handle open(const StoredFile& file) {
  constexpr std::uint64_t most_in_memory = std::uint64_t{64} << 20;
  if (file.size() > most_in_memory)
    return hdf5::open_file("/proc/self/fd/" + std::to_string(file.descriptor()));
  std::vector<std::byte> bytes(file.size());
  if (const Result<void> done = file.read(0, bytes); !done)
    throw hdf5::Failure(done.error().message, EIO);
  return hdf5::open_image(bytes);
}

/// What the child says of a file that cannot be read.
Error error_of(const StoredFile& file, const hdf5::Failure& failure, const MemoryLimit& memory) {
  const std::string name = file.path().string();
  if (failure.error_number() == ENOMEM && memory.has_refused())
    return {ExitCode::bad_data, name + ": asks for more memory than a file of its size may"};
  if (failure.error_number() == ENOMEM)
    return {ExitCode::out_of_memory, name + ": out of memory while reading it"};
  if (failure.error_number() != 0)
    return system_error(file.path(), "cannot read", failure.error_number(), Role::input);
  if (stamp_of(file.path()) != file.stamp())
    return {ExitCode::io, name + ": was replaced while it was read; run the same command again"};
  return {ExitCode::bad_data, name +
                                  (file.kind() == FileKind::shard
                                       ? ": not readable as a shard: "
                                       : ": an HDF5 file, but not a whole result of lamp: ") +
                                  failure.what()};
}

/// The child: never returns.
[[noreturn]] void read_and_exit(
    const StoredFile& file, int pipe, const std::function<void(hid_t, const Child::Put&)>& answer,
    const std::function<void(const Child::Failed&, const Child::Put&)>& fail) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int signal : {SIGXCPU, SIGPIPE, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL})
    std::signal(signal, SIG_DFL);  // what the parent does on its own is not the child's to do
  if (const int null = ::open("/dev/null", O_WRONLY); null >= 0)
    ::dup2(null, STDERR_FILENO);  // the C library tells there why it aborts; the parent tells too
  errno = 0;                      // of the parent's last failure
  const Limits most = limits_for(file.size());
  limit(RLIMIT_CORE, 0, 0);
  constexpr std::uint64_t slower = sanitized ? 10 : 1;
  limit(RLIMIT_CPU, slower * most.seconds, slower * most.seconds + 1);
  const MemoryLimit memory(most.memory);
  Output output(pipe);
  const Child::Put put = [&](std::span<const std::byte> bytes) { output.put(bytes); };
  const auto failed = [&](const hdf5::Failure& failure) {
    fail({error_of(file, failure, memory), failure.error_number() == ENOMEM}, put);
    output.flush();
    ::_exit(0);
  };
  try {
    const hdf5::Handle opened = open(file);
    limit(RLIMIT_NOFILE, 0, 0);  // what is open stays so; nothing else is opened
    check_structure(opened, file.size());
    answer(opened, put);
    output.flush();
    ::_exit(0);
  } catch (const hdf5::Failure& failure) {
    failed(failure);
  } catch (const std::bad_alloc&) {
    failed(hdf5::Failure("out of memory", ENOMEM));
  } catch (const std::length_error&) {
    failed(hdf5::Failure("a size that no memory has", ENOMEM));
  } catch (...) {
  }
  ::_exit(1);
}

}  // namespace

Limits limits_for(std::uint64_t size) {
  constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
  const std::uint64_t machine = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                                static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return {.seconds = 3 + size / mebibyte,
          .memory = std::min(machine, 256 * mebibyte + hdf5::most_inflation * size)};
}

Result<Child> Child::start(const StoredFile& file,
                           const std::function<void(hid_t, const Put&)>& answer,
                           const std::function<void(const Failed&, const Put&)>& fail) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return system_error(file.path(), "cannot read (a pipe)", errno, Role::input);
  Descriptor out(ends[0]), in(ends[1]);
  const auto lock = hdf5::use_library();  // no other thread is inside while the process divides
  const pid_t process = ::fork();
  if (process == 0) read_and_exit(file, in.get(), answer, fail);
  if (process < 0) return system_error(file.path(), "no process to read it in", errno, Role::input);
  return Child(process, std::move(out), limits_for(file.size()).memory);
}

Child::Child(Child&& other) noexcept
    : process_(std::exchange(other.process_, -1)),
      pipe_(std::move(other.pipe_)),
      left_(other.left_),
      ahead_(std::move(other.ahead_)),
      taken_(other.taken_) {}

Child::~Child() {
  pipe_.close();
  if (process_ < 0) return;
  ::kill(process_, SIGKILL);
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Child::get(std::span<std::byte> out) {
  if (out.size() > left_) throw wire::Torn();
  left_ -= out.size();
  while (!out.empty()) {
    if (taken_ == ahead_.size()) {
      ahead_.resize(std::size_t{1} << 16);
      const ssize_t n = ::read(pipe_.get(), ahead_.data(), ahead_.size());
      ahead_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
      taken_ = 0;
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) throw wire::Torn();
    }
    const std::size_t count = std::min(out.size(), ahead_.size() - taken_);
    std::memcpy(out.data(), ahead_.data() + taken_, count);
    taken_ += count;
    out = out.subspan(count);
  }
}

Child::Failed Child::fate(const StoredFile& file) {
  pipe_.close();  // or one that has more to say would wait for us
  int status = 0;
  const pid_t process = std::exchange(process_, -1);
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  const auto bad = [&](const std::string& what) {
    return Failed{{ExitCode::bad_data, file.path().string() + ": " + what},
                  !WIFSIGNALED(status) || WTERMSIG(status) != SIGXCPU};
  };
  if (!WIFSIGNALED(status)) return bad("HDF5 cannot read it: damaged, or made to do harm");
  if (WTERMSIG(status) == SIGXCPU)
    return bad("reading it took more than " + std::to_string(limits_for(file.size()).seconds) +
               " s of processor time: damaged, or made to do harm");
  return bad(std::string("HDF5 crashes on it (") + ::strsignal(WTERMSIG(status)) +
             "): damaged, or made to do harm");
}

}  // namespace lamp::record
