// The operations of `lamp calc`: each reads its keys from the request and returns the answer, or
// leaves what is wrong in the request.
#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "experiments/calc/request.hpp"

namespace lamp::experiments::calc {

using Answer = nlohmann::json;

// elementwise.cpp: element i draws as row i, step 0.
Answer round(CalcRequest& request);
Answer add(CalcRequest& request);
Answer sub(CalcRequest& request);
Answer mul(CalcRequest& request);
Answer div(CalcRequest& request);
Answer fma(CalcRequest& request);
Answer sqrt(CalcRequest& request);
Answer exp(CalcRequest& request);
Answer exp2(CalcRequest& request);
Answer log(CalcRequest& request);
Answer tanh(CalcRequest& request);
Answer erf(CalcRequest& request);
Answer rsqrt(CalcRequest& request);
Answer reciprocal(CalcRequest& request);
Answer gelu(CalcRequest& request);
Answer silu(CalcRequest& request);
Answer relu(CalcRequest& request);
Answer encode(CalcRequest& request);
Answer decode(CalcRequest& request);

// sums.cpp: dot draws as output (0, 0), gemm as output (i, j); softmax and layernorm draw as one
// output, with their roundings as its steps.
Answer dot(CalcRequest& request);
Answer gemm(CalcRequest& request);
Answer softmax(CalcRequest& request);
Answer layernorm(CalcRequest& request);
Answer select(CalcRequest& request);

/// Numbers as C hex floats.
Answer hex_list(std::span<const double> values);

}  // namespace lamp::experiments::calc
