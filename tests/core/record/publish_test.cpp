// Publishing under faults: an error of the right kind, nothing left behind, the earlier version
// intact.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>

#include "core/record/merge.hpp"
#include "core/record/shard.hpp"
#include "tests/core/record/samples.hpp"

using namespace lamp;
using namespace lamp::record;
using record::test::Folder;
using record::test::sample_cells;
using record::test::sample_plan;
using record::test::sample_shard;
using record::test::slurp;

// HDF5 1.10 keeps what it failed to write; the leak checker of a sanitizer build need not tell.
extern "C" const char* __lsan_default_suppressions();  // NOLINT: the sanitizer's name
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }  // NOLINT

namespace {

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder),
                                                std::filesystem::directory_iterator()));
}

/// A shard whose bytes do not compress: about 2 MB.
Shard large_shard(const std::string& name) {
  Shard shard = sample_shard(name, {});
  shard.quantities.push_back(
      {"/activations/scores/run", {"query", "key"}, {100, 200}, "1", "scores"});
  lamp::test::Random random(7);
  for (const std::string& cell : sample_cells()) {
    shard.cells.push_back({record::test::named(cell), CellStatus::done, {}});
    for (const Quantity& q : shard.quantities)
      shard.cells.back().values.push_back(record::test::random_values(q, random));
  }
  return shard;
}

/// A file size limit for the life of the object, without the signal.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t size) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{size, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = SIG_DFL;
};

/// A tmpfs of `size` on a folder, if this process may mount.
class SmallDisk {
 public:
  SmallDisk(std::filesystem::path folder, const char* size) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
    mounted_ = ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, size) == 0;
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  [[nodiscard]] bool mounted() const { return mounted_; }

 private:
  std::filesystem::path folder_;
  bool mounted_;
};

ExitCode code_of(const Result<void>& result) {
  return result.ok() ? ExitCode::done : result.error().code;
}

}  // namespace

TEST_CASE("publish: wrong targets are refused and left alone", "[record]") {
  const Folder folder;
  const std::string text = "bytes";
  const auto bytes = std::as_bytes(std::span(text));
  CHECK(code_of(publish(folder.path / "missing" / "s.h5", bytes)) == ExitCode::cannot_create);
  std::ofstream(folder.path / "file") << "a file";
  CHECK(code_of(publish(folder.path / "file" / "s.h5", bytes)) == ExitCode::cannot_create);
  CHECK(code_of(publish(folder.path, bytes)) == ExitCode::cannot_create);
  CHECK(code_of(publish("/dev/full", bytes)) == ExitCode::cannot_create);
  std::filesystem::create_symlink(folder.path / "file", folder.path / "link");
  CHECK(code_of(publish(folder.path / "link", bytes)) == ExitCode::cannot_create);
  CHECK(slurp(folder.path / "file") == "a file");
  CHECK(files_in(folder.path) == 2);
  CHECK(code_of(publish("/proc/lamp.h5", bytes)) != ExitCode::done);
  CHECK(code_of(publish(folder.path / "file", bytes)) == ExitCode::done);  // the control
  CHECK(slurp(folder.path / "file") == text);
  if (::geteuid() != 0) {  // root may write anywhere
    ::chmod(folder.path.c_str(), 0500);
    CHECK(code_of(publish(folder.path / "s.h5", bytes)) == ExitCode::permission);
    ::chmod(folder.path.c_str(), 0700);
  }
}

TEST_CASE("publish: errors of the system have the exit codes of the contract", "[record]") {
  CHECK(system_error("f", "cannot write", EACCES).code == ExitCode::permission);
  CHECK(system_error("f", "cannot write", EROFS).code == ExitCode::permission);
  CHECK(system_error("f", "cannot write", ENOENT).code == ExitCode::cannot_create);
  CHECK(system_error("f", "cannot write", ENOTDIR).code == ExitCode::cannot_create);
  for (const int disk : {ENOSPC, EIO, EDQUOT, EFBIG})
    CHECK(system_error("f", "cannot write", disk).code == ExitCode::io);
  CHECK(system_error("f", "cannot write", ENOSPC).message ==
        "f: cannot write: No space left on device");
  for (const Role role : {Role::output, Role::input}) {
    for (const int denied : {EACCES, EPERM, EROFS})
      CHECK(exit_code(denied, role) == ExitCode::permission);
    for (const int lacking : {ENOMEM, EAGAIN, EMFILE, ENFILE})
      CHECK(exit_code(lacking, role) == ExitCode::out_of_memory);
    for (const int broken : {EIO, ENOLCK, EOPNOTSUPP, ESTALE})
      CHECK(exit_code(broken, role) == ExitCode::io);
  }
  for (const int nowhere : {ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG}) {
    CHECK(exit_code(nowhere, Role::input) == ExitCode::missing_input);
    CHECK(exit_code(nowhere, Role::output) == ExitCode::cannot_create);
  }
  CHECK(exit_code(EISDIR, Role::input) == ExitCode::bad_data);
  CHECK(exit_code(EISDIR, Role::output) == ExitCode::cannot_create);
  CHECK(system_error("f", "cannot open", EMFILE, Role::input).message ==
        "f: cannot open: Too many open files; raise the limit of open files (ulimit -n)");
}

TEST_CASE("publish: a folder that cannot be read is refused before anything is written",
          "[record]") {
  if (::geteuid() == 0) return;  // root may read any
  const Folder folder;
  ::chmod(folder.path.c_str(), 0300);
  const std::string text = "bytes";
  const Result<void> published = publish(folder.path / "s.h5", std::as_bytes(std::span(text)));
  ::chmod(folder.path.c_str(), 0700);
  CHECK(code_of(published) == ExitCode::permission);
  CHECK(files_in(folder.path) == 0);
}

TEST_CASE("publish: at a file size limit nothing is left and the earlier version stays",
          "[record]") {
  const Folder folder;
  const MergePlan plan = sample_plan(folder.path);
  const auto file = plan.shards[0], out = folder.path / "result.h5";
  REQUIRE(publish_shard(file, large_shard("prose0")).ok());
  REQUIRE(merge(plan, out).ok());
  const std::string shard_before = slurp(file), result_before = slurp(out);
  REQUIRE(result_before.size() > 1'000'000);
  for (std::size_t limit = 0; limit < result_before.size();
       limit += limit < 20'000 ? 4'000 : 250'001) {
    INFO(limit);
    const FileSizeLimit small(limit);
    const Result<void> published = publish_shard(file, large_shard("prose0"));
    if (limit < shard_before.size()) CHECK(code_of(published) == ExitCode::io);
    const Result<MergeSummary> merged = merge(plan, out);
    REQUIRE_FALSE(merged.ok());
    CHECK(merged.error().code == ExitCode::io);
    CHECK(merged.error().message.find(out.string() + ": cannot write") == 0);
    CHECK(merged.error().message.find('\n') == std::string::npos);
    CHECK(files_in(folder.path) == 2);
  }
  CHECK((slurp(file) == shard_before));
  CHECK((slurp(out) == result_before));
  CHECK(merge(plan, out).ok());  // HDF5 is still of use
  CHECK((slurp(out) == result_before));
}

TEST_CASE("publish: on a full disk nothing is left and the earlier version stays", "[record]") {
  const Folder folder;
  const auto disk = folder.path / "disk";
  const SmallDisk small(disk, "size=3m");
  if (!small.mounted()) {
    WARN("skipped: this process may not mount a tmpfs");
    return;
  }
  MergePlan plan = sample_plan(folder.path);
  REQUIRE(publish_shard(plan.shards[0], large_shard("prose0")).ok());
  const auto shard = disk / "prose0.h5", out = disk / "result.h5";
  REQUIRE(publish_shard(shard, sample_shard("prose0", sample_cells())).ok());
  const std::string before = slurp(shard);
  const auto filler = disk / "filler";
  for (std::size_t left = 0; left < 1'500'000; left += 250'000) {  // room left, in bytes
    INFO(left);
    std::filesystem::remove(filler);
    const auto room = std::filesystem::space(disk).available;
    std::ofstream(filler) << std::string(room - left, 'x') << std::flush;
    CHECK(code_of(publish_shard(shard, large_shard("prose0"))) == ExitCode::io);
    const Result<MergeSummary> merged = merge(plan, out);
    REQUIRE_FALSE(merged.ok());
    CHECK(merged.error().code == ExitCode::io);
    CHECK(files_in(disk) == 2);
    CHECK((slurp(shard) == before));
  }
  std::filesystem::remove(filler);
  CHECK(merge(plan, out).ok());
}

TEST_CASE("publish: temporary files of killed writers are removed, those of living ones stay",
          "[record]") {
  const Folder folder;
  const auto file = folder.path / "s.h5";
  const pid_t child = ::fork();
  if (child == 0) {
    const Result<TemporaryFile> temporary = TemporaryFile::beside(file);
    ::_exit(temporary.ok() ? 0 : 1);  // as if killed: no destructor
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(status == 0);
  std::ofstream(folder.path / ".hidden") << "not ours";
  std::ofstream(folder.path / "visible.tmp") << "not ours";
  const Result<TemporaryFile> living = TemporaryFile::beside(file);
  REQUIRE(living.ok());
  CHECK(files_in(folder.path) == 4);
  CHECK(remove_leftovers(folder.path, "other") == 0);
  CHECK(remove_leftovers(folder.path, file.filename().string()) == 1);
  CHECK(remove_leftovers(folder.path) == 0);
  CHECK(files_in(folder.path) == 3);
  CHECK(std::filesystem::exists(living->path()));
  CHECK(remove_leftovers(folder.path / "missing") == 0);
}

TEST_CASE("publish: a writer killed at any time leaves a whole file", "[record][fault]") {
  const Folder folder;
  const auto file = folder.path / "s.h5";
  const Shard small = sample_shard("prose0", {"a"}), large = large_shard("prose0");
  const auto small_bytes = *shard_bytes(small), large_bytes = *shard_bytes(large);
  REQUIRE(publish(file, small_bytes).ok());
  lamp::test::Random random(3);
  for (int kill = 0; kill < 20; ++kill) {
    const pid_t child = ::fork();
    if (child == 0)
      for (;;)
        if (!publish(file, large_bytes).ok() || !publish(file, small_bytes).ok()) ::_exit(1);
    ::usleep(static_cast<useconds_t>(random.below(12'000)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    const Result<Shard> found = read_shard(file);
    REQUIRE(found.ok());
    CHECK((found->cells.size() == 1 || found->cells.size() == large.cells.size()));
    remove_leftovers(folder.path);
    CHECK(files_in(folder.path) == 1);
  }
}
