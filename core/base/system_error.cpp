#include "core/base/system_error.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>

namespace lamp {
namespace {

std::string_view advice(int error_number) {
  switch (error_number) {
    case EMFILE:
      return "; raise the limit of open files (ulimit -n)";
    case ENFILE:
      return "; this machine has no more, end other programs";
    case ENOLCK:
    case EOPNOTSUPP:
    case ENOSYS:
      return "; this file system cannot do that: use another one, such as a local disk";
    case EAGAIN:
      return "; use fewer threads, or raise the limits of processes and memory (ulimit -u, -v)";
    case ENOMEM:
      return "; use fewer threads, a smaller model or shorter sequences";
    case EFBIG:
      return "; raise the limit of a file's size (ulimit -f), or use another file system";
    default:
      return "";
  }
}

}  // namespace

ExitCode exit_code(int error_number, Role role) {
  switch (error_number) {
    case EACCES:
    case EPERM:
    case EROFS:
      return ExitCode::permission;
    case ENOMEM:
    case EAGAIN:
    case EMFILE:
    case ENFILE:
      return ExitCode::out_of_memory;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return role == Role::input ? ExitCode::missing_input : ExitCode::cannot_create;
    case EISDIR:
    case EEXIST:
    case ENXIO:  // a socket
      return role == Role::input ? ExitCode::bad_data : ExitCode::cannot_create;
    default:
      return ExitCode::io;
  }
}

std::string system_words(int error_number) {
  return std::generic_category().message(error_number).append(advice(error_number));
}

Error system_error(const std::filesystem::path& file, const std::string& what, int error_number,
                   Role role) {
  return {exit_code(error_number, role),
          file.string() + ": " + what + ": " + system_words(error_number)};
}

bool may_be_there(const std::filesystem::path& path) {
  std::error_code failure;
  return std::filesystem::status(path, failure).type() != std::filesystem::file_type::not_found;
}

Result<std::vector<std::filesystem::path>> entries_of(const std::filesystem::path& folder,
                                                      Role role) {
  std::vector<std::filesystem::path> found;
  std::error_code failure;
  for (std::filesystem::directory_iterator entry(folder, failure), end; !failure && entry != end;
       entry.increment(failure))
    found.push_back(entry->path());
  if (failure) return system_error(folder, "cannot list", failure.value(), role);
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace lamp
