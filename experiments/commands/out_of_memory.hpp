// How a command ends that the system refuses memory: with 71 and one line, wherever it happens.
#pragma once

namespace lamp::experiments {

/// Libraries and destructors that cannot go on without memory then end the process like
/// out_of_memory(), where they would end it by a signal or without a word. `speaker` begins the
/// line, "lamp run: ", and outlives the process. Called once, by the main thread.
void end_well_without_memory(const char* speaker);

/// The command has come to its end: from here on an exit is one.
void command_has_ended();

/// Writes the line, which takes no memory; the exit code.
int out_of_memory();

}  // namespace lamp::experiments
