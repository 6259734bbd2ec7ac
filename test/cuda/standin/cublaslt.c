/* cuBLASLt: as cuBLAS, with sizes in descriptors. */
#include "standin.h"

#include <stdlib.h>
#include <string.h>

/* Numbers of cublasLtMatrixLayoutAttribute_t, cublasLtMatmulDescAttributes_t and of the types. */
enum { LAYOUT_TYPE = 0, LAYOUT_ROWS = 2, LAYOUT_COLUMNS = 3, LAYOUT_BATCH = 5 };
enum { DESCRIPTION_TURN_A = 3 };
enum { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum { COMPUTE_FAST_TF32 = 77 };

typedef struct { int type, batch; uint64_t rows, columns; } Layout;
typedef struct { int compute, turn_a; } Description;

static int handle;
Error cublasLtCreate(Any *out) { *out = &handle; return SUCCESS; }
Error cublasLtDestroy(Any h) { return SUCCESS; }

Error cublasLtMatrixLayoutCreate(Layout **out, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  *out = malloc(sizeof **out);
  **out = (Layout){type, 1, rows, columns};
  return SUCCESS;
}

Error cublasLtMatrixLayoutSetAttribute(Layout *layout, int attribute, const void *value, size_t bytes) {
  switch (attribute) {
    case LAYOUT_TYPE: memcpy(&layout->type, value, sizeof layout->type); break;
    case LAYOUT_ROWS: memcpy(&layout->rows, value, sizeof layout->rows); break;
    case LAYOUT_COLUMNS: memcpy(&layout->columns, value, sizeof layout->columns); break;
    case LAYOUT_BATCH: memcpy(&layout->batch, value, sizeof layout->batch); break;
  }
  return SUCCESS;
}

Error cublasLtMatrixLayoutDestroy(Layout *layout) { free(layout); return SUCCESS; }

Error cublasLtMatmulDescCreate(Description **out, int compute, int scale) {
  *out = malloc(sizeof **out);
  **out = (Description){compute, 0};
  return SUCCESS;
}

Error cublasLtMatmulDescSetAttribute(Description *description, int attribute, const void *value, size_t bytes) {
  if (attribute == DESCRIPTION_TURN_A) memcpy(&description->turn_a, value, sizeof description->turn_a);
  return SUCCESS;
}

Error cublasLtMatmulDescDestroy(Description *description) { free(description); return SUCCESS; }

Error cublasLtMatmul(Any h, const Description *how, const void *x, const void *a, const Layout *of_a, const void *b, const Layout *of_b, const void *y,
                     const void *c, const Layout *of_c, void *d, const Layout *of_d) {
  enum Element element = of_a->type == R_32F ? FLOAT32 : of_a->type == R_64F ? FLOAT64 : of_a->type == R_16F ? FLOAT16 : of_a->type == R_16BF ? BFLOAT16 : OTHER_ELEMENT;
  const char *override = getenv("NVIDIA_TF32_OVERRIDE");
  int tf32 = element == FLOAT32 && how->compute == COMPUTE_FAST_TF32 && !(override && !strcmp(override, "0"));
  standin_multiplied(element, tf32, of_d->rows, of_d->columns, how->turn_a ? of_a->rows : of_a->columns, of_d->batch);
  return SUCCESS;
}

/* One way to compute a product, which needs no workspace. */
Error cublasLtMatmulAlgoGetHeuristic(Any h, Any how, Any a, Any b, Any c, Any d, Any preference, int wanted, Any results, int *found) {
  enum { RESULT = 96 };
  memset(results, 0, RESULT);
  *found = 1;
  return SUCCESS;
}

#define NOTHING(name) Error name(void) { return SUCCESS; }
#define MADE(name) Error name(Any *out) { *out = &handle; return SUCCESS; }
NOTHING(cublasLtMatmulAlgoConfigSetAttribute)
NOTHING(cublasLtMatmulAlgoInit)
MADE(cublasLtMatmulPreferenceCreate)
NOTHING(cublasLtMatmulPreferenceDestroy)
NOTHING(cublasLtMatmulPreferenceSetAttribute)
MADE(cublasLtMatrixTransformDescCreate)
NOTHING(cublasLtMatrixTransformDescDestroy)
NOTHING(cublasLtMatrixTransform)
