/* Memory: device, pinned, pools; copies and fills. Part of libcudart. */
#define _GNU_SOURCE
#include "standin.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Blocks by address, so that any pointer can be told to be the device's or not. */
typedef struct { char *at; size_t bytes; } Block;
typedef struct { Block *blocks; size_t count, room; } Blocks;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Blocks device, pinned;

/* Place of the last block that begins at or before an address, plus one. */
static size_t place(const Blocks *all, const void *at) {
  size_t low = 0, high = all->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (all->blocks[middle].at <= (const char *)at) low = middle + 1;
    else high = middle;
  }
  return low;
}

static void keep(Blocks *all, void *at, size_t bytes) {
  pthread_mutex_lock(&lock);
  if (all->count == all->room) all->blocks = realloc(all->blocks, (all->room = 2 * all->room + 64) * sizeof(Block));
  size_t i = place(all, at);
  memmove(all->blocks + i + 1, all->blocks + i, (all->count++ - i) * sizeof(Block));
  all->blocks[i] = (Block){at, bytes};
  pthread_mutex_unlock(&lock);
}

/* Forgets a block, and gives its size; -1 if there is none at the address. */
static size_t forget(Blocks *all, void *at) {
  size_t bytes = -1;
  pthread_mutex_lock(&lock);
  size_t i = place(all, at);
  if (i > 0 && all->blocks[i - 1].at == at) {
    bytes = all->blocks[i - 1].bytes;
    memmove(all->blocks + i - 1, all->blocks + i, (all->count-- - i) * sizeof(Block));
  }
  pthread_mutex_unlock(&lock);
  return bytes;
}

static int within(const Blocks *all, const void *at, size_t bytes) {
  pthread_mutex_lock(&lock);
  size_t i = place(all, at);
  int found = i > 0 && (const char *)at + bytes <= all->blocks[i - 1].at + all->blocks[i - 1].bytes;
  pthread_mutex_unlock(&lock);
  return found;
}

Error cudaMalloc(Any *out, size_t bytes) {
  *out = NULL;
  Error error = standin_ready();
  if (error) return error;
  if (bytes == 0) return SUCCESS;
  if (!standin_takes(bytes)) return standin_failed(OUT_OF_MEMORY);
  Any at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    standin_gives_back(bytes);
    return standin_failed(OUT_OF_MEMORY);
  }
  /* A huge page would be filled for the first byte that is touched. */
  madvise(at, bytes, MADV_NOHUGEPAGE);
  keep(&device, at, bytes);
  *out = at;
  return SUCCESS;
}

Error cudaFree(Any at) {
  if (!at) return SUCCESS;
  size_t bytes = forget(&device, at);
  if (bytes == (size_t)-1) return standin_failed(INVALID_VALUE);
  munmap(at, bytes);
  standin_gives_back(bytes);
  return SUCCESS;
}

Error cudaMallocHost(Any *out, size_t bytes) {
  *out = calloc(1, bytes + 1);
  if (!*out) return standin_failed(OUT_OF_MEMORY);
  keep(&pinned, *out, bytes);
  standin_pins(bytes, 1);
  return SUCCESS;
}

Error cudaHostAlloc(Any *out, size_t bytes, unsigned flags) { return cudaMallocHost(out, bytes); }

Error cudaFreeHost(Any at) {
  if (!at) return SUCCESS;
  size_t bytes = forget(&pinned, at);
  if (bytes == (size_t)-1) return standin_failed(INVALID_VALUE);
  free(at);
  standin_pins(bytes, 0);
  return SUCCESS;
}

Error cudaMemGetInfo(size_t *available, size_t *total) {
  standin_room(available, total);
  return standin_ready();
}

/* Pools: each is the device's memory itself. */
static int pool;
Error cudaMallocFromPoolAsync(Any *out, size_t bytes, Any from, Stream stream) { return cudaMalloc(out, bytes); }
Error cudaFreeAsync(Any at, Stream stream) { return cudaFree(at); }
Error cudaMemPoolCreate(Any *out, const void *how) { *out = &pool; return SUCCESS; }
Error cudaMemPoolDestroy(Any from) { return SUCCESS; }
Error cudaMemPoolGetAttribute(Any from, int attribute, void *value) { *(uint64_t *)value = 0; return SUCCESS; }
Error cudaMemPoolSetAttribute(Any from, int attribute, void *value) { return SUCCESS; }
Error cudaMemPoolTrimTo(Any from, size_t bytes) { return SUCCESS; }

/* Copies. One that names the wrong side is an error, as it would be on a device. */
static size_t most(void) { return (size_t)standin_number("STANDIN_BYTES", 1e18); }
static int looping(void) { return getenv("STANDIN_LOOPS") != NULL; }

enum { BY_ADDRESS = 4 };

static int direction(const void *to, const void *from, size_t bytes, int kind) {
  int to_device = within(&device, to, bytes), from_device = within(&device, from, bytes);
  int is = from_device ? (to_device ? DEVICE_TO_DEVICE : DEVICE_TO_HOST) : to_device ? HOST_TO_DEVICE : HOST_TO_HOST;
  if (kind == BY_ADDRESS || kind == is || bytes == 0) return is;
  standin_line("wrong copy of %zu bytes: said to be %d, is %d", bytes, kind, is);
  return -1;
}

static Error copy(void *to, const void *from, size_t bytes, int kind) {
  Error error = standin_ready();
  if (error) return error;
  int way = direction(to, from, bytes, kind);
  if (way < 0) return standin_failed(INVALID_VALUE);
  if (bytes <= most()) memmove(to, from, bytes);
  if (way == DEVICE_TO_HOST && bytes == 1 && looping()) *(char *)to = 1;
  standin_copied(way, bytes);
  return SUCCESS;
}

Error cudaMemcpy(Any to, const void *from, size_t bytes, int kind) { return copy(to, from, bytes, kind); }
Error cudaMemcpyAsync(Any to, const void *from, size_t bytes, int kind, Stream stream) { return copy(to, from, bytes, kind); }

Error cudaMemcpy2DAsync(Any to, size_t to_row, const void *from, size_t from_row, size_t width, size_t height, int kind, Stream stream) {
  if (width == 0 || height == 0) return SUCCESS;
  int way = direction(to, from, width, kind);
  if (way < 0) return standin_failed(INVALID_VALUE);
  if (width * height <= most()) for (size_t i = 0; i < height; i++) memmove((char *)to + i * to_row, (const char *)from + i * from_row, width);
  standin_copied(way, width * height);
  return SUCCESS;
}

Error cudaMemcpyFromSymbol(Any to, const void *symbol, size_t bytes, size_t offset, int kind) {
  memset(to, 0, bytes);
  return SUCCESS;
}

Error cudaMemset(Any at, int value, size_t bytes) {
  if (!within(&device, at, bytes)) return standin_failed(INVALID_VALUE);
  if (bytes <= most()) memset(at, value, bytes);
  standin_line("set %zu", bytes);
  return SUCCESS;
}

Error cudaMemsetAsync(Any at, int value, size_t bytes, Stream stream) { return cudaMemset(at, value, bytes); }

/* cudaPointerAttributes, as far as callers read it. */
typedef struct { int type, device; Any device_pointer, host_pointer; } Attributes;
enum { UNREGISTERED, HOST, DEVICE };

Error cudaPointerGetAttributes(Attributes *out, const void *at) {
  int type = within(&device, at, 1) ? DEVICE : within(&pinned, at, 1) ? HOST : UNREGISTERED;
  *out = (Attributes){type, type == UNREGISTERED ? -2 : 0, type == UNREGISTERED ? NULL : (Any)at, type == DEVICE ? NULL : (Any)at};
  return SUCCESS;
}
