// What made a file of results: everything one needs to say in a paper exactly what was computed,
// and to compute it again.
#pragma once

#include "core/record/merge.hpp"
#include "experiments/run/experiment.hpp"

namespace lamp::experiments {

/// The entries of /provenance, by name: config (as study.toml), identities, build, machine,
/// occasion.
record::Provenance provenance(const Experiment& experiment, const Occasion& occasion);

}  // namespace lamp::experiments
