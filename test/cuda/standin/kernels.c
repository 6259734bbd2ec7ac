/* Kernels: registered by name when the provider is loaded, counted when launched. Part of libcudart. */
#include "standin.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A kernel by its address on the host; `number` is 0 until it was first launched. */
typedef struct { const void *at; const char *name; int number; } Kernel;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Kernel *kernels;
static size_t count, room;
static int sorted, numbered;

static int by_address(const void *a, const void *b) {
  uintptr_t x = (uintptr_t)((const Kernel *)a)->at, y = (uintptr_t)((const Kernel *)b)->at;
  return x < y ? -1 : x > y;
}

/* What the compiler puts into every library with kernels. */
static int handle;
void **__cudaRegisterFatBinary(void *binary) { return (void **)&handle; }
void __cudaRegisterFatBinaryEnd(void **binary) {}
void __cudaUnregisterFatBinary(void **binary) {}
void __cudaRegisterVar(void **binary, char *at, char *device, const char *name, int external, size_t bytes, int constant, int global) {}

void __cudaRegisterFunction(void **binary, const char *at, char *device, const char *name, int limit, void *t, void *b, void *bd, void *gd, int *warp) {
  pthread_mutex_lock(&lock);
  if (count == room) kernels = realloc(kernels, (room = 2 * room + 4096) * sizeof(Kernel));
  kernels[count++] = (Kernel){at, name, 0};
  sorted = 0;
  pthread_mutex_unlock(&lock);
}

static Error launch(const void *at) {
  Error error = standin_ready();
  if (error) return error;
  pthread_mutex_lock(&lock);
  if (!sorted) qsort(kernels, count, sizeof(Kernel), by_address);
  sorted = 1;
  Kernel key = {at, NULL, 0}, *known = kernels ? bsearch(&key, kernels, count, sizeof(Kernel), by_address) : NULL;
  int first = known && known->number == 0;
  if (first) known->number = ++numbered;
  pthread_mutex_unlock(&lock);
  if (first) standin_line("name %d %s", known->number, known->name);
  standin_line("kernel %d", known ? known->number : 0);
  standin_launched();
  return SUCCESS;
}

/* A launch in triple angle brackets: its configuration is pushed, and popped by the kernel's own stub. */
static __thread struct { Dim3 grid, block; size_t shared; Stream stream; } pushed[8];
static __thread int depth;

unsigned __cudaPushCallConfiguration(Dim3 grid, Dim3 block, size_t shared, Stream stream) {
  pushed[depth].grid = grid;
  pushed[depth].block = block;
  pushed[depth].shared = shared;
  pushed[depth++].stream = stream;
  return 0;
}

Error __cudaPopCallConfiguration(Dim3 *grid, Dim3 *block, size_t *shared, Stream *stream) {
  depth--;
  *grid = pushed[depth].grid;
  *block = pushed[depth].block;
  *shared = pushed[depth].shared;
  *stream = pushed[depth].stream;
  return SUCCESS;
}

Error __cudaGetKernel(Any *out, const void *at) { *out = (Any)at; return SUCCESS; }
Error __cudaLaunchKernel(Any kernel, Dim3 grid, Dim3 block, void **given, size_t shared, Stream stream) { return launch(kernel); }
Error cudaLaunchKernel(const void *at, Dim3 grid, Dim3 block, void **given, size_t shared, Stream stream) { return launch(at); }
Error cudaLaunchCooperativeKernel(const void *at, Dim3 grid, Dim3 block, void **given, size_t shared, Stream stream) { return launch(at); }
Error cudaLaunchKernelExC(const void *how, const void *at, void **given) { return launch(at); }

/* cudaFuncAttributes, as far as callers read it. */
typedef struct { size_t shared, constant, local; int threads, registers, ptx, binary; } FunctionAttributes;

Error cudaFuncGetAttributes(FunctionAttributes *out, const void *at) {
  *out = (FunctionAttributes){0, 0, 0, 1024, 32, 90, 90};
  return SUCCESS;
}

Error cudaFuncSetAttribute(const void *at, int attribute, int value) { return SUCCESS; }
Error cudaKernelSetAttributeForDevice(Any kernel, int attribute, int value, int device) { return SUCCESS; }
Error cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *out, const void *at, int block, size_t shared, unsigned flags) { *out = 2; return SUCCESS; }

/* Code that is compiled or loaded while running, and functions of the driver: nothing that segr1 runs needs them. */
Error cudaLibraryLoadData(Any *out, const void *code, void *a, void *b, unsigned n, void *c, void *d, unsigned m) { *out = &handle; return SUCCESS; }
Error cudaLibraryGetKernel(Any *out, Any library, const char *name) { *out = &handle; return SUCCESS; }
Error cudaLibraryUnload(Any library) { return SUCCESS; }

static Error unsupported(void) { return NOT_SUPPORTED; }

Error cudaGetDriverEntryPointByVersion(const char *name, void **out, unsigned version, unsigned long long flags, int *status) {
  *out = (void *)unsupported;
  if (status) *status = 0;
  return SUCCESS;
}
