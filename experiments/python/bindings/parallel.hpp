// Work on arrays by several threads, without the interpreter's lock, that Ctrl-C ends.
#pragma once

#include <cstddef>
#include <functional>

#include "core/base/stop.hpp"

namespace lamp::python {

/// Calls work(begin, end) for blocks of `block` that are 0 .. count - 1 together, on up to
/// `threads` threads where `macs`, the work in multiply-accumulates, is worth it. The caller holds
/// the GIL, which is released meanwhile. The calling thread looks for signals between its blocks:
/// an exception that a handler raises (KeyboardInterrupt) ends the work and is thrown. No result
/// depends on threads or blocks.
void in_blocks(std::size_t count, std::size_t block, std::size_t threads, double macs,
               const std::function<void(std::size_t begin, std::size_t end)>& work);

/// Calls work(stop) in a thread of its own, without the GIL, and looks for signals meanwhile: an
/// exception that a handler raises asks the work to stop, and is thrown when it has. What the work
/// throws is thrown here.
void while_looking_for_signals(const std::function<void(const StopRequest& stop)>& work);

}  // namespace lamp::python
