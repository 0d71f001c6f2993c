/* CPFloat's roundings behind functions that compare.py can call; compiled with -I FOLDER/src, the
   user's copy of CPFloat. */
#include <cpfloat_binary32.h>
#include <cpfloat_binary64.h>

/* modes: those of enum cpfloat_rounding_t. */
static optstruct* options(int p, int emin, int emax, int mode) {
  optstruct* o = init_optstruct();
  o->precision = (cpfloat_precision_t)p;
  o->emin = (cpfloat_exponent_t)emin;
  o->emax = (cpfloat_exponent_t)emax;
  o->explim = CPFLOAT_EXPRANGE_TARG;
  o->infinity = CPFLOAT_INF_USE;
  o->round = (cpfloat_rounding_t)mode;
  o->saturation = CPFLOAT_SAT_NO;
  o->subnormal = CPFLOAT_SUBN_USE;
  o->flip = CPFLOAT_SOFTERR_NO;
  return o;
}

void round_array(double* y, const double* x, size_t n, int p, int emin, int emax, int mode) {
  optstruct* o = options(p, emin, emax, mode);
  cpfloat(y, x, n, o);
  free_optstruct(o);
}

/* c (m, n) += a (m, k) b (k, n), k ascending, product and sum rounded to nearest even, a row of
   outputs at a time in binary32, which is innocuous up to p = 11. row: n numbers to work with. */
void gemm(float* c, const float* a, const float* b, float* row, size_t m, size_t k, size_t n, int p,
          int emin, int emax) {
  optstruct* o = options(p, emin, emax, CPFLOAT_RND_NE);
  for (size_t i = 0; i < m; ++i)
    for (size_t l = 0; l < k; ++l) {
      for (size_t j = 0; j < n; ++j) row[j] = a[i * k + l] * b[l * n + j];
      cpfloatf(row, row, n, o);
      for (size_t j = 0; j < n; ++j) c[i * n + j] += row[j];
      cpfloatf(c + i * n, c + i * n, n, o);
    }
  free_optstruct(o);
}
