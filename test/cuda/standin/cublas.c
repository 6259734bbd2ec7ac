/* cuBLAS: products are counted with their sizes. Matrices are column by column there: M and N are the other way round in ONNX. */
#include "standin.h"

#include <stdlib.h>
#include <string.h>

/* cudaDataType, cublasComputeType_t and cublasMath_t, by their numbers. */
enum { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum { COMPUTE_FAST_TF32 = 77 };
enum { TF32_MATH = 3 };

typedef struct { int math; } *Handle;

static enum Element element(int type) {
  switch (type) {
    case R_32F: return FLOAT32;
    case R_64F: return FLOAT64;
    case R_16F: return FLOAT16;
    case R_16BF: return BFLOAT16;
    default: return OTHER_ELEMENT;
  }
}

/* Whether factors of float32 may be rounded to 10 bits; the variable is the real library's. */
static int rounds(Handle handle, int compute) {
  const char *override = getenv("NVIDIA_TF32_OVERRIDE");
  if (override && !strcmp(override, "0")) return 0;
  return handle->math == TF32_MATH || compute == COMPUTE_FAST_TF32;
}

static Error multiplied(Handle handle, int type, int compute, int64_t m, int64_t n, int64_t k, int64_t batch) {
  enum Element of = element(type);
  standin_multiplied(of, of == FLOAT32 && rounds(handle, compute), m, n, k, batch);
  return SUCCESS;
}

Error cublasCreate_v2(Handle *out) { return (*out = calloc(1, sizeof **out)) ? SUCCESS : 3; }
Error cublasDestroy_v2(Handle handle) { free(handle); return SUCCESS; }
Error cublasSetStream_v2(Handle handle, Stream stream) { return SUCCESS; }
Error cublasSetMathMode(Handle handle, int mode) { handle->math = mode; return SUCCESS; }
Error cublasGetMathMode(Handle handle, int *mode) { *mode = handle->math; return SUCCESS; }
const char *cublasGetStatusName(Error error) { return error ? "CUBLAS_STATUS_ALLOC_FAILED" : "CUBLAS_STATUS_SUCCESS"; }
const char *cublasGetStatusString(Error error) { return error ? "the resource allocation failed" : "success"; }

/* One type for all three matrices; `a`, `b` and `c` are matrices, arrays of them, or the first of many at a stride. */
#define ONE_TYPE(name, real, type) \
  Error name(Handle h, int ta, int tb, int m, int n, int k, const real *x, const void *a, int la, const void *b, int lb, const real *y, void *c, int lc) { \
    return multiplied(h, type, 0, m, n, k, 1); \
  }
#define BATCHED(name, real, type) \
  Error name(Handle h, int ta, int tb, int m, int n, int k, const real *x, const void *a, int la, const void *b, int lb, const real *y, void *c, int lc, int batch) { \
    return multiplied(h, type, 0, m, n, k, batch); \
  }
#define STRIDED(name, real, type) \
  Error name(Handle h, int ta, int tb, int m, int n, int k, const real *x, const void *a, int la, long long sa, const void *b, int lb, long long sb, \
             const real *y, void *c, int lc, long long sc, int batch) { \
    return multiplied(h, type, 0, m, n, k, batch); \
  }

ONE_TYPE(cublasSgemm_v2, float, R_32F)
ONE_TYPE(cublasDgemm_v2, double, R_64F)
BATCHED(cublasSgemmBatched, float, R_32F)
BATCHED(cublasDgemmBatched, double, R_64F)
STRIDED(cublasSgemmStridedBatched, float, R_32F)
STRIDED(cublasDgemmStridedBatched, double, R_64F)

/* A type for each matrix: the first factor's counts. */
Error cublasGemmEx(Handle h, int ta, int tb, int m, int n, int k, const void *x, const void *a, int type_a, int la, const void *b, int type_b, int lb,
                   const void *y, void *c, int type_c, int lc, int compute, int algorithm) {
  return multiplied(h, type_a, compute, m, n, k, 1);
}

Error cublasGemmBatchedEx(Handle h, int ta, int tb, int m, int n, int k, const void *x, const void *a, int type_a, int la, const void *b, int type_b, int lb,
                          const void *y, void *c, int type_c, int lc, int batch, int compute, int algorithm) {
  return multiplied(h, type_a, compute, m, n, k, batch);
}

Error cublasGemmStridedBatchedEx(Handle h, int ta, int tb, int m, int n, int k, const void *x, const void *a, int type_a, int la, long long sa, const void *b,
                                 int type_b, int lb, long long sb, const void *y, void *c, int type_c, int lc, long long sc, int batch, int compute, int algorithm) {
  return multiplied(h, type_a, compute, m, n, k, batch);
}

/* What is no product. */
#define COUNTED(name) Error name(void) { standin_line("blas " #name); return SUCCESS; }
COUNTED(cublasScopy_v2)
COUNTED(cublasDcopy_v2)
COUNTED(cublasSscal_v2)
COUNTED(cublasSgeam)
COUNTED(cublasDgeam)
COUNTED(cublasSgetrfBatched)
COUNTED(cublasDgetrfBatched)
COUNTED(cublasSgetriBatched)
COUNTED(cublasDgetriBatched)
