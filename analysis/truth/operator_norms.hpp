// Norms of linear maps with respect to the 2-norm, in binary64, each with a certified error: no
// starting vector decides, as it does in a power iteration. The same bits on every machine.
#pragma once

#include <span>

#include "core/base/matrix.hpp"

namespace lamp::truth {

/// The largest singular value of a, (m, n). G = a^T a or a a^T, the smaller one, is squared over
/// and over: of B = G^(2^i) / its Frobenius norm, the largest eigenvalue lies between norm_F(B^2)
/// and 1, and its 2^i-th root is what remains to be found. Stops where that root is within 2^-32 of
/// 1: a relative error below 2^-34, and a few m n u of rounding. 0 of a matrix of zeros, or without
/// elements; NaN where an element is NaN or infinite.
double spectral_norm(MatrixView<const double> a);

/// The norm of softmax's Jacobian diag(z) - z z^T: its largest eigenvalue lies between the two
/// largest z, where sum of z_j^2 / (z_j - lambda) grows through 1. 64 halvings of that interval.
/// z: probabilities; the norm is at most 1/2, and 0 of one component. NaN where one is NaN or
/// infinite.
double softmax_jacobian_norm(std::span<const double> z);

}  // namespace lamp::truth
