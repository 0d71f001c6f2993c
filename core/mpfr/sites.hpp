// The sites of core/model/ops/sites.hpp a second time, on MPFR: same names, shapes and meaning,
// another implementation. Any Arithmetic, with the same bits for p <= 24 (above that the functions
// are correctly rounded here, and within 1 ulp there); and `unlimited(p)`, which takes binary64
// inputs exactly and rounds its outputs to binary64 RNE once, at the end: the local reference
// mpfr:p.
#pragma once

#include <cstddef>
#include <span>

#include "core/arith/spec.hpp"
#include "core/base/index.hpp"
#include "core/base/matrix.hpp"
#include "core/model/files/config.hpp"
#include "core/model/site.hpp"
#include "core/model/weights.hpp"

namespace lamp::mpfr {

void embed(const Arithmetic& arithmetic, const EmbeddingWeights& weights,
           std::span<const TokenId> tokens, MatrixView<double> out, std::size_t first = 0);
void layer_norm(const Arithmetic& arithmetic, const LayerNormWeights& weights, double eps,
                MatrixView<const double> x, MatrixView<double> out);
void rms_norm(const Arithmetic& arithmetic, const RmsNormWeights& weights, double eps,
              MatrixView<const double> x, MatrixView<double> out);
void linear(const Arithmetic& arithmetic, const Linear& layer, MatrixView<const double> x,
            MatrixView<double> out);
void scores(const Arithmetic& arithmetic, MatrixView<const double> q, MatrixView<const double> k,
            MatrixView<double> out, double divisor = 1.0);
void softmax(const Arithmetic& arithmetic, MatrixView<const double> y, MatrixView<double> z,
             Entries entries = Entries::causal);
void values(const Arithmetic& arithmetic, MatrixView<const double> z, MatrixView<const double> v,
            MatrixView<double> out);
void residual(const Arithmetic& arithmetic, MatrixView<const double> x, MatrixView<const double> y,
              MatrixView<double> out);
void product(const Arithmetic& arithmetic, MatrixView<const double> x, MatrixView<const double> y,
             MatrixView<double> out);
void rope(const Arithmetic& arithmetic, const Rope& frequencies, std::size_t d_head,
          std::size_t first, MatrixView<const double> x, MatrixView<double> out);
void activate(const Arithmetic& arithmetic, Activation activation, MatrixView<const double> x,
              MatrixView<double> out);

}  // namespace lamp::mpfr
