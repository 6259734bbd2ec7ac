/* Devices, the driver, errors. Part of libcudart. */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNTIME = 13000 };

static __thread Error last;
static __thread int current;

Error standin_failed(Error error) {
  last = error;
  return error;
}

static int driver(void) { return (int)standin_number("STANDIN_DRIVER", RUNTIME); }

/* As many as there are, without those that CUDA_VISIBLE_DEVICES hides: it lists numbers, and ends at the first that is none. */
static int devices(void) {
  int all = (int)standin_number("STANDIN_DEVICES", 1), seen = 0;
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  if (!visible) return all;
  for (char *end; *visible; visible = *end == ',' ? end + 1 : end) {
    long index = strtol(visible, &end, 10);
    if (end == visible || index < 0 || index >= all) break;
    seen++;
  }
  return seen;
}

Error standin_ready(void) {
  if (driver() < RUNTIME) return standin_failed(DRIVER_TOO_OLD);
  if (devices() == 0) return standin_failed(NO_DEVICE);
  return SUCCESS;
}

Error cudaGetDeviceCount(int *out) {
  *out = 0;
  Error error = standin_ready();
  if (!error) *out = devices();
  return error;
}

Error cudaGetDevice(int *out) {
  *out = current;
  return standin_ready();
}

Error cudaSetDevice(int index) {
  Error error = standin_ready();
  if (error) return error;
  if (index < 0 || index >= devices()) return standin_failed(INVALID_DEVICE);
  current = index;
  return SUCCESS;
}

Error cudaDeviceSynchronize(void) {
  standin_waited("device");
  return standin_ready();
}

Error cudaDriverGetVersion(int *out) { *out = driver(); return SUCCESS; }
Error cudaRuntimeGetVersion(int *out) { *out = RUNTIME; return SUCCESS; }

/* What is said of the device; the numbers are an H100's. */
enum {
  MULTIPROCESSORS = 132,
  THREADS_OF_BLOCK = 1024,
  THREADS_OF_MULTIPROCESSOR = 2048,
  BLOCKS_OF_MULTIPROCESSOR = 32,
  SHARED_OF_BLOCK = 49152,
  SHARED_ON_REQUEST = 232448,
  SHARED_OF_MULTIPROCESSOR = 233472,
  SHARED_RESERVED = 1024,
  REGISTERS = 65536,
  WARP = 32,
  CACHE = 52428800,
  CONSTANT_MEMORY = 65536,
};

static int capability(int minor) {
  const char *text = getenv("STANDIN_CAPABILITY");
  int parts[2] = {9, 0};
  if (text) sscanf(text, "%d.%d", &parts[0], &parts[1]);
  return parts[minor];
}

/* cudaDeviceProp of CUDA 13, by offsets: 1,008 bytes of which callers read these. */
enum { PROPERTIES = 1008 };
static void put(char *at, size_t offset, int value) { memcpy(at + offset, &value, sizeof value); }
static void put_long(char *at, size_t offset, size_t value) { memcpy(at + offset, &value, sizeof value); }

Error cudaGetDeviceProperties(char *out, int index) {
  memset(out, 0, PROPERTIES);
  Error error = standin_ready();
  if (error) return error;
  if (index < 0 || index >= devices()) return standin_failed(INVALID_DEVICE);
  size_t available, total;
  standin_room(&available, &total);
  strcpy(out, "stand-in, no GPU");
  put_long(out, 288, total);                     /* totalGlobalMem */
  put_long(out, 296, SHARED_OF_BLOCK);           /* sharedMemPerBlock */
  put(out, 304, REGISTERS);                      /* regsPerBlock */
  put(out, 308, WARP);                           /* warpSize */
  put_long(out, 312, 2147483647);                /* memPitch */
  put(out, 320, THREADS_OF_BLOCK);               /* maxThreadsPerBlock */
  const int block[] = {1024, 1024, 64}, grid[] = {2147483647, 65535, 65535};
  memcpy(out + 324, block, sizeof block);        /* maxThreadsDim */
  memcpy(out + 336, grid, sizeof grid);          /* maxGridSize */
  put_long(out, 352, CONSTANT_MEMORY);           /* totalConstMem */
  put(out, 360, capability(0));                  /* major */
  put(out, 364, capability(1));                  /* minor */
  put_long(out, 368, 512);                       /* textureAlignment */
  put(out, 384, MULTIPROCESSORS);                /* multiProcessorCount */
  put(out, 560, 1);                              /* concurrentKernels */
  put(out, 584, 3);                              /* asyncEngineCount */
  put(out, 588, 1);                              /* unifiedAddressing */
  put(out, 596, CACHE);                          /* l2CacheSize */
  put(out, 604, THREADS_OF_MULTIPROCESSOR);      /* maxThreadsPerMultiProcessor */
  put_long(out, 624, SHARED_OF_MULTIPROCESSOR);  /* sharedMemPerMultiprocessor */
  put(out, 632, REGISTERS);                      /* regsPerMultiprocessor */
  put(out, 668, 1);                              /* cooperativeLaunch */
  put_long(out, 672, SHARED_ON_REQUEST);         /* sharedMemPerBlockOptin */
  put(out, 688, BLOCKS_OF_MULTIPROCESSOR);       /* maxBlocksPerMultiProcessor */
  put_long(out, 696, SHARED_RESERVED);           /* reservedSharedMemPerBlock */
  put(out, 720, 1);                              /* memoryPoolsSupported */
  put(out, 748, 1);                              /* clusterLaunch */
  return SUCCESS;
}

/* By the numbers of cudaDeviceAttr; features that are asked for otherwise are there. */
Error cudaDeviceGetAttribute(int *out, int attribute, int index) {
  switch (attribute) {
    case 1: *out = THREADS_OF_BLOCK; break;
    case 8: *out = SHARED_OF_BLOCK; break;
    case 10: *out = WARP; break;
    case 12: *out = REGISTERS; break;
    case 16: *out = MULTIPROCESSORS; break;
    case 38: *out = CACHE; break;
    case 39: *out = THREADS_OF_MULTIPROCESSOR; break;
    case 75: *out = capability(0); break;
    case 76: *out = capability(1); break;
    case 81: *out = SHARED_OF_MULTIPROCESSOR; break;
    case 82: *out = REGISTERS; break;
    case 97: *out = SHARED_ON_REQUEST; break;
    case 106: *out = BLOCKS_OF_MULTIPROCESSOR; break;
    default: *out = 1;
  }
  return standin_ready();
}

/* Errors. */
typedef struct { Error error; const char *name, *text; } Named;
static const Named ERRORS[] = {
  {SUCCESS, "cudaSuccess", "no error"},
  {INVALID_VALUE, "cudaErrorInvalidValue", "invalid argument"},
  {OUT_OF_MEMORY, "cudaErrorMemoryAllocation", "out of memory"},
  {DRIVER_TOO_OLD, "cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"},
  {NO_DEVICE, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
  {INVALID_DEVICE, "cudaErrorInvalidDevice", "invalid device ordinal"},
  {NOT_SUPPORTED, "cudaErrorNotSupported", "operation not supported"},
};

static const Named *named(Error error) {
  for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++) if (ERRORS[i].error == error) return &ERRORS[i];
  static const Named unknown = {-1, "cudaErrorUnknown", "unknown error"};
  return &unknown;
}

const char *cudaGetErrorName(Error error) { return named(error)->name; }
const char *cudaGetErrorString(Error error) { return named(error)->text; }
Error cudaPeekAtLastError(void) { return last; }

Error cudaGetLastError(void) {
  Error error = last;
  last = SUCCESS;
  return error;
}
