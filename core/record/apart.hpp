// HDF5 1.10 may crash, loop or follow links out of the file on bytes that nobody of ours wrote, and
// a digest says only that bytes are as somebody left them. So every file is parsed in a child
// process: with limits of processor time and memory, no way to open another file, and an answer
// that the parent checks. What befalls the child is one error.
#pragma once

#include <sys/types.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/descriptor.hpp"
#include "core/record/hdf5.hpp"
#include "core/record/stored_file.hpp"
#include "core/record/wire.hpp"

namespace lamp::record {

/// What a child may take to read a file of `size` bytes.
struct Limits {
  std::uint64_t seconds;  // of processor time
  std::uint64_t memory;   // bytes beyond what the parent has
};
Limits limits_for(std::uint64_t size);

/// A child process that writes an answer into a pipe.
class Child {
 public:
  using Put = std::function<void(std::span<const std::byte>)>;
  struct Failed {
    Error error;
    bool may_pass;  // for want of memory, which may be there the next time
  };
  /// Opens the file in a child, looks at its structure (strict.hpp) and lets `answer` read it. An
  /// Error where there can be no child.
  static Result<Child> start(const StoredFile& file,
                             const std::function<void(hid_t, const Put&)>& answer,
                             const std::function<void(const Failed&, const Put&)>& fail);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();

  /// Fills `out` with the next bytes of the answer, or throws wire::Torn where there are none, or
  /// more than the child could have read.
  void get(std::span<std::byte> out);
  /// What befell a child whose answer is torn. A crash may pass: HDF5 follows null pointers where
  /// it is refused memory.
  Failed fate(const StoredFile& file);

 private:
  Child(pid_t process, Descriptor pipe, std::uint64_t most)
      : process_(process), pipe_(std::move(pipe)), left_(most) {}
  pid_t process_ = -1;
  Descriptor pipe_;
  std::uint64_t left_ = 0;          // bytes that it may still send
  std::vector<std::byte> ahead_{};  // read from the pipe
  std::size_t taken_ = 0;           // of these
};

/// read(file) as it comes out in a child. `read` throws hdf5::Failure. Errors: bad_data naming the
/// file, for what `read` cannot read or what kills the child; io, permission; out_of_memory where
/// the machine has too little at every try.
template <std::invocable<hid_t> Read>
auto read_apart(const StoredFile& file, const Read& read, int tries = 2)
    -> Result<decltype(read(hid_t{}))> {
  using Answer = decltype(read(hid_t{}));
  Result<Child> child = Child::start(
      file,
      [&](hid_t opened, const Child::Put& put) {
        const Answer answer = read(opened);
        wire::Sender sender{std::ref(put)};
        sender.send(true);
        sender.send(answer);
        sender.send(true);
      },
      [](const Child::Failed& failed, const Child::Put& put) {
        wire::Sender sender{std::ref(put)};
        sender.send(false);
        sender.send(failed.may_pass);
        sender.send(failed.error);
      });
  if (!child) return child.error();
  wire::Receiver receiver{[&](std::span<std::byte> bytes) { child->get(bytes); }};
  try {
    bool good = false;
    receiver.receive(good);
    if (!good) {
      Child::Failed failed{};
      receiver.receive(failed.may_pass);
      receiver.receive(failed.error);
      if (failed.may_pass && tries > 1) return read_apart(file, read, tries - 1);
      return failed.error;
    }
    Answer answer{};
    receiver.receive(answer);
    bool whole = false;
    receiver.receive(whole);
    if (!whole) throw wire::Torn();
    return answer;
  } catch (const wire::Torn&) {
    const Child::Failed fate = child->fate(file);
    if (fate.may_pass && tries > 1) return read_apart(file, read, tries - 1);
    return fate.error;
  }
}

}  // namespace lamp::record
