// What a failed system call means: one exit code and one line, for everything that is opened, read,
// written, started or locked.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace lamp {

/// What a file is to the command that could not use it.
enum class Role { output, input };

/// The exit code for an errno. Whatever the role: permission (77); out_of_memory (71) for memory,
/// threads, processes and descriptors; io (74) for all that is not named here (device error, full
/// disk, quota, file size limit, no locks). A name that leads nowhere (no such file, a parent that
/// is no folder, a loop of links, too long) is missing_input (66) of an input, cannot_create (73)
/// of an output, as is a target of another kind; an input that is a folder or a socket is bad_data
/// (65).
ExitCode exit_code(int error_number, Role role);

/// The system's words for an errno, with what to do where a limit or the file system is to blame.
std::string system_words(int error_number);

/// "FILE: what: the system's words".
Error system_error(const std::filesystem::path& file, const std::string& what, int error_number,
                   Role role = Role::output);

/// Whether there is something of this name (links followed), or one cannot tell: a folder on the
/// way is closed, links are a loop. Who then opens it is told why; who took it for absent would say
/// something else.
bool may_be_there(const std::filesystem::path& path);

/// What is in a folder, in order of names.
Result<std::vector<std::filesystem::path>> entries_of(const std::filesystem::path& folder,
                                                      Role role = Role::input);

}  // namespace lamp
