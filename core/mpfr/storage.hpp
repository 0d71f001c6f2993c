// Storage a second time (core/model/storage.hpp: same names and meaning), on the rounding of
// core/mpfr/number_system.hpp.
#pragma once

#include "core/base/matrix.hpp"
#include "core/model/files/config.hpp"
#include "core/model/storage.hpp"

namespace lamp::mpfr {

void store_rows(const NumberSystem& system, MatrixView<double> out, Entries entries);

/// Which columns hold the keys and the values of which head is what the network's table says.
void store_cache(const ModelConfig& model, const Storage& storage, Site site, std::size_t first,
                 MatrixView<double> rows);

}  // namespace lamp::mpfr
