// Scratch folders: gone with their object, and those of killed processes with the next sweep.
#include "experiments/run/scratch_folder.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <string>

#include "tests/core/model/files.hpp"

using namespace lamp;
using namespace lamp::experiments;
using lamp::test::TemporaryFolder;

namespace {

std::ptrdiff_t entries(const std::filesystem::path& folder) {
  return std::distance(std::filesystem::directory_iterator(folder),
                       std::filesystem::directory_iterator());
}

/// TMPDIR for as long as it lives.
class Tmpdir {
 public:
  explicit Tmpdir(const std::filesystem::path& folder) {
    if (const char* before = std::getenv("TMPDIR")) before_ = before;
    ::setenv("TMPDIR", folder.c_str(), 1);
  }
  Tmpdir(Tmpdir&&) = delete;
  Tmpdir& operator=(Tmpdir&&) = delete;
  ~Tmpdir() {
    if (before_)
      ::setenv("TMPDIR", before_->c_str(), 1);
    else
      ::unsetenv("TMPDIR");
  }

 private:
  std::optional<std::string> before_;
};

const std::filesystem::path nowhere = "/proc/self/task";  // where not even root creates folders

}  // namespace

TEST_CASE("scratch folder: hidden in the folder, gone with the object", "[scratch]") {
  const TemporaryFolder folder;
  {
    Result<ScratchFolder> first = ScratchFolder::create(folder.path());
    const Result<ScratchFolder> second = ScratchFolder::create(folder.path());
    REQUIRE(first.ok());
    REQUIRE(second.ok());
    CHECK(entries(folder.path()) == 2);
    for (const std::filesystem::path& path : {first->path(), second->path()}) {
      CHECK(path.parent_path() == folder.path());
      CHECK(path.filename().string().starts_with("."));
      CHECK(std::filesystem::is_directory(path / "shards"));
    }
    const ScratchFolder moved = *std::move(first);
    CHECK(std::filesystem::exists(moved.path()));
  }
  CHECK(entries(folder.path()) == 0);
}

TEST_CASE("scratch folder: abandoned ones are removed, living ones and all else stay",
          "[scratch]") {
  const TemporaryFolder folder;
  folder.write(".lamp-verify-note", "a file");
  const Result<ScratchFolder> living = ScratchFolder::create(folder.path());
  REQUIRE(living.ok());
  const pid_t child = ::fork();
  if (child == 0) {  // is killed, as it were: no destructor runs
    const Result<ScratchFolder> mine = ScratchFolder::create(folder.path());
    ::_exit(mine.ok() ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  const std::filesystem::path target = folder.path() / "target";
  std::filesystem::create_directory(target);
  std::filesystem::create_directory_symlink(target, folder.path() / ".lamp-verify-link");
  REQUIRE(entries(folder.path()) == 5);
  remove_abandoned_scratch(folder.path());
  CHECK(entries(folder.path()) == 4);
  CHECK(std::filesystem::exists(living->path() / "shards"));
  CHECK(std::filesystem::exists(target));
  remove_abandoned_scratch(folder.path() / "absent");
}

TEST_CASE("scratch folder: in TMPDIR where the folder cannot be written", "[scratch]") {
  const TemporaryFolder other;
  const Tmpdir tmpdir(other.path());
  std::filesystem::create_directories(other.path() / ".lamp-verify-1-0/shards");  // abandoned
  {
    const Result<ScratchFolder> scratch = ScratchFolder::create(nowhere);
    REQUIRE(scratch.ok());
    CHECK(scratch->path().parent_path() == other.path());
    CHECK(entries(other.path()) == 1);
  }
  CHECK(entries(other.path()) == 0);
  for (const std::filesystem::path& none : {nowhere, other.path() / "absent"}) {
    const Tmpdir wrong(none);
    const Result<ScratchFolder> refused = ScratchFolder::create(nowhere);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ExitCode::cannot_create);
    CHECK(refused.error().message.find("TMPDIR") != std::string::npos);
  }
}
