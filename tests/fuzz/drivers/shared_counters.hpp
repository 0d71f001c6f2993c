// What a child process runs is code that libFuzzer has seen.
#pragma once

namespace lamp::fuzz {

/// Moves the whole pages of this executable's coverage counters to memory that its children share.
void share_counters();

}  // namespace lamp::fuzz
