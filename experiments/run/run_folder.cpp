#include "experiments/run/run_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <span>
#include <string_view>
#include <thread>
#include <utility>

#include "core/base/input_file.hpp"
#include "core/base/system_error.hpp"
#include "core/record/publish.hpp"
#include "experiments/run/experiment.hpp"
#include "experiments/run/scratch_folder.hpp"
#include "experiments/run/what_changed.hpp"

namespace lamp::experiments {
namespace {

constexpr std::string_view study_header = "# lamp experiment ";  // then 64 hexadecimal digits

std::string holder_line() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return "host " + std::string(host.data()) + ", process " + std::to_string(getpid()) + ", since " +
         utc_now();
}

/// Takes a lock that is free, or soon will be: `holders` takes it for a moment. 0, or an errno:
/// EWOULDBLOCK where another holds it.
int try_lock(int descriptor, int operation) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (flock(descriptor, operation | LOCK_NB) == 0) return 0;
    if (errno != EWOULDBLOCK && errno != EINTR) return errno;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return EWOULDBLOCK;
}

constexpr const char* no_holder = "holder unknown";

std::string holder_in(int descriptor) {
  std::array<char, 512> holder{};
  return pread(descriptor, holder.data(), holder.size() - 1, 0) > 0 ? holder.data() : no_holder;
}

/// The same of a lock that was taken a moment ago, maybe: its holder is about to write its line.
std::string holder_soon_in(int descriptor) {
  for (int attempt = 0; attempt < 50 && holder_in(descriptor) == no_holder; ++attempt)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return holder_in(descriptor);
}

/// Opens and locks `file`; the descriptor holds the lock until it is closed.
Result<Descriptor> lock_file(const std::filesystem::path& file, int operation) {
  Descriptor opened(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!opened.is_open()) return system_error(file, "the lock cannot be created", errno);
  if (const int failed = try_lock(opened.get(), operation); failed != 0) {
    if (failed != EWOULDBLOCK) return system_error(file, "cannot take the lock (flock)", failed);
    return Error{ExitCode::partial,
                 file.parent_path().string() + ": another run is at work in this folder (" +
                     holder_soon_in(opened.get()) + "); wait for it, or choose another --out"};
  }
  if (operation != LOCK_EX) return opened;
  const std::string holder = holder_line();
  std::span<const std::byte> bytes = std::as_bytes(std::span(holder));
  const int failed = ftruncate(opened.get(), 0) != 0 ? errno : write_all(opened.get(), bytes);
  if (failed != 0) return system_error(file, "the lock cannot be written", failed);
  return opened;
}

/// Whether there is nothing else under the folder's name.
Result<void> check_folder(const std::filesystem::path& folder) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(folder, error);
  if (!std::filesystem::exists(status) || std::filesystem::is_directory(status)) return {};
  return Error{ExitCode::cannot_create,
               folder.string() + ": exists and is not a folder; choose another --out"};
}

/// Whether the folder holds nothing but what a run puts there.
Result<void> check_foreign(const std::filesystem::path& folder) {
  const Result<std::vector<std::filesystem::path>> entries = entries_of(folder, Role::output);
  if (!entries) return entries.error();
  for (const std::filesystem::path& entry : *entries) {
    const std::string name = entry.filename().string();
    if (!name.starts_with('.') &&  // locks, and what a killed write left
        name != "shards" && name != "slurm")
      return Error{
          ExitCode::cannot_create,
          folder.string() + ": holds '" + name +
              "' and no study.toml, so it is not the folder of a run; choose another --out"};
  }
  return {};
}

}  // namespace

std::vector<std::string> holders(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  const Result<std::vector<std::filesystem::path>> entries = entries_of(folder);
  if (!entries) return found;
  for (const std::filesystem::path& entry : *entries) {
    const std::string name = entry.filename().string();
    if (name != ".lock" && !name.starts_with(".lock.")) continue;
    const Descriptor opened(::open(entry.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (opened.is_open() && flock(opened.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      found.push_back(holder_in(opened.get()));
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<std::string> experiment_of(const std::filesystem::path& folder) {
  const std::filesystem::path study = folder / "study.toml";
  if (!may_be_there(study))
    return Error{ExitCode::missing_input,
                 folder.string() + ": no study.toml: not the folder of a run"};
  const Result<InputFile> file = InputFile::open(study);
  if (!file) return file.error();
  std::string line(study_header.size() + 65, '\0');  // with the newline
  line.resize(std::min<std::size_t>(line.size(), file->size()));
  if (Result<void> done = file->read_at(0, std::as_writable_bytes(std::span(line))); !done)
    return done.error();
  if (!line.starts_with(study_header) || line.find('\n') != study_header.size() + 64)
    return Error{
        ExitCode::bad_data,
        study.string() + ":1: does not name an experiment; it was not written by lamp run"};
  return line.substr(study_header.size(), 64);
}

Result<void> check_own(const std::filesystem::path& folder, const Experiment& experiment) {
  if (Result<void> is_folder = check_folder(folder); !is_folder) return is_folder;
  if (!may_be_there(folder)) return {};
  if (!may_be_there(folder / "study.toml")) return check_foreign(folder);
  const Result<std::string> present = experiment_of(folder);
  if (!present) {
    const ExitCode code = present.error().code;
    const bool of_others = code == ExitCode::bad_data || code == ExitCode::missing_input;
    return Error{of_others ? ExitCode::cannot_create : code, present.error().message};
  }
  const std::string asked = to_hex(experiment.grid.experiment);
  if (*present == asked) return {};
  return Error{ExitCode::cannot_create,
               folder.string() + ": holds another experiment (" + present->substr(0, 12) +
                   ", this one is " + asked.substr(0, 12) +
                   "): " + what_changed(folder, experiment.config, experiment.inputs()) +
                   "; choose another --out"};
}

Result<RunFolder> RunFolder::open(const std::filesystem::path& folder, const ShardPart& part,
                                  const Experiment& experiment) {
  if (Result<void> is_folder = check_folder(folder); !is_folder) return is_folder.error();
  std::error_code error;
  std::filesystem::create_directories(folder / "shards", error);
  if (error) return system_error(folder, "the folder cannot be created", error.value());

  RunFolder opened(folder, experiment.grid.experiment);
  Result<Descriptor> lock = lock_file(folder / ".lock", part.of == 1 ? LOCK_EX : LOCK_SH);
  if (!lock) return lock.error();
  opened.lock_ = std::move(*lock);
  if (part.of > 1) {
    Result<Descriptor> part_lock = lock_file(
        folder / (".lock." + std::to_string(part.part) + "-" + std::to_string(part.of)), LOCK_EX);
    if (!part_lock) return part_lock.error();
    opened.part_lock_ = std::move(*part_lock);
  }
  for (const std::filesystem::path& place : {folder, folder / "shards"})
    record::remove_leftovers(place);
  remove_abandoned_scratch(folder);
  if (Result<void> fits = record::check_target(opened.result()); !fits) return fits.error();
  if (Result<void> own = check_own(folder, experiment); !own) return own.error();
  return opened;
}

Result<void> RunFolder::write_study(const std::string& resolved_config) const {
  const std::string text = std::string(study_header) + to_hex(experiment_) + "\n" + resolved_config;
  return record::publish(path_ / "study.toml", std::as_bytes(std::span(text)));
}

std::filesystem::path RunFolder::shard(std::size_t sequence, const Digest& sequence_id) const {
  std::string number = std::to_string(sequence);
  number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
  return path_ / "shards" /
         ("sequence-" + number + "-" + to_hex(sequence_id).substr(0, 16) + ".h5");
}

}  // namespace lamp::experiments
