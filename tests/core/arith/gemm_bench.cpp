// Prints ns per multiply-accumulate of gemm for several arithmetics and shapes, and its ratio to
// OpenBLAS SGEMM measured in the same process. One thread; the shortest of several repetitions.
//   lamp_gemm_bench [automatic|avx2|avx512]
#include <time.h>  // NOLINT: clock_gettime is POSIX's

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

#include "core/arith/engine.hpp"
#include "core/arith/gemm/gemm.hpp"
#include "tests/support/random.hpp"

#ifdef LAMP_HAS_OPENBLAS
#include <cblas.h>
#endif

namespace lamp {
namespace {

struct Problem {
  const char* name;
  std::size_t m, k, n;
  Shape shape;
};

constexpr Problem problems[] = {
    {"1024 x 768 x 3072", 1024, 768, 3072, Shape::full},
    {"256 x 256 x 768", 256, 256, 768, Shape::full},
    {"256 x 1024 x 256", 256, 1024, 256, Shape::full},
    {"256 x 256 x 4096", 256, 256, 4096, Shape::full},
    {"256 x 4096 x 256", 256, 4096, 256, Shape::full},
    {"256 x 64 x 256 lower output", 256, 64, 256, Shape::lower_output},
    {"256 x 256 x 64 lower operand", 256, 256, 64, Shape::lower_operand},
    {"1 x 768 x 3072", 1, 768, 3072, Shape::full},
};

double macs(const Problem& p) {
  const double all = static_cast<double>(p.m * p.k) * static_cast<double>(p.n);
  return p.shape == Shape::full ? all : all * 0.5 * (1.0 + 1.0 / 256.0);
}

/// Processor time of this thread in ns: what others do on the machine does not count.
double thread_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e9 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec);
}

/// Shortest ns per multiply-accumulate of the runs that fit into `time` ns, at least one.
template <class F>
double shortest(const Problem& p, double time, F&& run) {
  double best = 1e300;
  const double end = thread_time() + time;
  do {
    const double start = thread_time();
    run();
    best = std::min(best, thread_time() - start);
  } while (thread_time() < end);
  return best / macs(p);
}

Matrix<double> random_matrix(std::size_t rows, std::size_t cols, std::uint32_t seed,
                             const FloatFormat& format) {
  test::Random random(seed);
  Matrix<double> x(rows, cols);
  for (double& value : x.flat()) value = round(random.symmetric(), format);
  return x;
}

void bench(Backend backend) {
  struct Row {
    const char* name;
    Arithmetic arithmetic;
    bool wide = false;
  };
  const FloatFormat e4m3{.p = 4, .emin = -6, .emax = 7};
  const auto both = [](const FloatFormat& f) {
    return Arithmetic{.mac = {.operands = f, .product = f, .format = f}, .order = {}};
  };
  const auto engine = [](const char* name, const FloatFormat& operands, const FloatFormat& format) {
    return engine_arithmetic(name, operands, format).value();
  };
  const Row rows[] = {
      {"binary32 fused", fused(binary32)},
      {"binary32 mul, add", {.mac = {.product = binary32}, .order = {}}},
      {"ps7 via binary32", lamp_paper(7)},
      {"ps7 via binary32, product binary32",
       {.mac = {.product = binary32, .via = binary32, .format = ps(7)}, .order = {}}},
      {"ps7 direct", fused(ps(7))},
      {"ps20 direct", fused(ps(20))},
      {"ps22 direct", fused(ps(22))},
      {"bfloat16 product, sum", both(bfloat16)},
      {"binary16 via binary32", {.mac = {.via = binary32, .format = binary16}, .order = {}}},
      {"binary16 direct", fused(binary16)},
      {"binary16 product, sum", both(binary16)},
      {"e4m3 direct", fused(e4m3)},
      {"e4m3fn product, sum", both(e4m3fn)},
      {"binary64 fused", fused(binary64)},
      {"binary64 fused, wide operands", fused(binary64), true},
      {"ps7 via binary32, wide operands", lamp_paper(7), true},
      {"binary32 fused, wide operands", fused(binary32), true},
      {"binary16 direct, wide operands", fused(binary16), true},
      {"v100 binary16", engine("v100", binary16, binary32)},
      {"a100 binary16", engine("a100", binary16, binary32)},
      {"a100 tf32", engine("a100", tf32, binary32)},
      {"h100 binary16", engine("h100", binary16, binary32)},
      {"h100 bfloat16", engine("h100", bfloat16, binary32)},
      {"h100 tf32", engine("h100", tf32, binary32)},
      {"h100 binary16 to binary16", engine("h100", binary16, binary16)},
      {"ada e4m3fn", engine("ada", e4m3fn, binary32)},
      {"h100 e4m3fn", engine("h100", e4m3fn, binary32)},
      {"h100 e5m2 to binary16", engine("h100", e5m2, binary16)},
      {"b200 e5m2", engine("b200", e5m2, binary32)},
  };
  for (const Problem& p : problems) {
    const Matrix<double> a32 = random_matrix(p.m, p.k, 1, binary32),
                         b32 = random_matrix(p.k, p.n, 2, binary32);
    const Matrix<double> a64 = random_matrix(p.m, p.k, 1, binary64),
                         b64 = random_matrix(p.k, p.n, 2, binary64);
    const PackedMatrix packed32(b32.view()), packed64(b64.view());
    Matrix<double> out(p.m, p.n);
    double sgemm = 0.0;
#ifdef LAMP_HAS_OPENBLAS
    std::vector<float> a(a32.flat().begin(), a32.flat().end()),
        b(b32.flat().begin(), b32.flat().end()), c(p.m * p.n);
    const auto i = [](std::size_t x) { return static_cast<int>(x); };
    const Problem whole{.name = "", .m = p.m, .k = p.k, .n = p.n, .shape = Shape::full};
    sgemm = shortest(whole, 1e8, [&] {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, i(p.m), i(p.n), i(p.k), 1.0F, a.data(),
                  i(p.k), b.data(), i(p.n), 0.0F, c.data(), i(p.n));
    });
#endif
    std::printf("\n%s\n  %-38s %8.4f\n", p.name, "OpenBLAS SGEMM (whole product)", sgemm);
    for (const Row& row : rows) {
      const MatrixView<const double> left = row.wide ? a64.view() : a32.view(),
                                     right = row.wide ? b64.view() : b32.view();
      const PackedMatrix& weights = row.wide ? packed64 : packed32;
      // The naive loop needs minutes for the whole product: where a few rows are slow, they have to
      // do. For ten milliseconds: one first call of four rows says how cold the memory is.
      const Problem few{
          .name = "", .m = std::min<std::size_t>(p.m, 4), .k = p.k, .n = p.n, .shape = Shape::full};
      double ns = shortest(few, 1e7, [&] {
        gemm(row.arithmetic, left.row_block(0, few.m), weights, out.view().row_block(0, few.m),
             Shape::full, backend);
      });
      if (ns < 4.0) {
        ns = shortest(p, 1e8, [&] {
          if (p.shape == Shape::full)
            gemm(row.arithmetic, left, weights, out.view(), p.shape, backend);
          else
            gemm(row.arithmetic, left, right, out.view(), p.shape,
                 backend);  // attention: packing B is part of the call
        });
      }
      std::printf("  %-38s %8.4f  %5.1f x\n", row.name, ns, sgemm > 0.0 ? ns / sgemm : 0.0);
    }
  }
}

}  // namespace
}  // namespace lamp

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "automatic";
  const lamp::Backend backend = name == "avx2"     ? lamp::Backend::avx2
                                : name == "avx512" ? lamp::Backend::avx512
                                                   : lamp::Backend::automatic;
  if (!lamp::available(backend))
    return std::fprintf(stderr, "lamp_gemm_bench: this machine has no %s\n", argv[1]), 1;
#ifdef LAMP_HAS_OPENBLAS
  openblas_set_num_threads(1);
  std::printf("OpenBLAS core type: %s (OPENBLAS_CORETYPE chooses another)\n",
              openblas_get_corename());
#endif
  std::printf("kernels: %s; ns per multiply-accumulate\n",
              name == "automatic" ? lamp::best_target().data() : argv[1]);
  lamp::bench(backend);
  return 0;
}
