/*
 * The log and the counters. One line an event:
 *
 *   alloc device BYTES held BYTES peak BYTES      free device BYTES held BYTES      refuse device BYTES held BYTES
 *   alloc pinned BYTES held BYTES                 free pinned BYTES held BYTES
 *   copy h2d|d2h|d2d|h2h BYTES                    set BYTES
 *   name N MANGLED, once, before the first of     kernel N
 *   gemm float32|float16|… [tf32] M N K batch B   dnn FUNCTION
 *   wait stream|device|event                      mark TEXT
 *
 * Lines are appended one by one, so a process may add marks of its own to the file.
 */
#include "standin.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int file = -1;

static struct {
  size_t held, peak, allocations, refused;
  size_t pinned, pinned_peak;
  struct { size_t count, bytes; } copies[DIRECTIONS];
  struct { size_t count, tf32; double operations; } products[ELEMENTS];
  size_t kernels, dnn, waits;
} counted;

static const char *const DIRECTION[] = {"h2h", "h2d", "d2h", "d2d"};
static const char *const ELEMENT[] = {"float32", "float64", "float16", "bfloat16", "other"};

double standin_number(const char *name, double otherwise) {
  const char *text = getenv(name);
  return text && *text ? strtod(text, NULL) : otherwise;
}

static size_t memory(void) { return (size_t)standin_number("STANDIN_MEMORY", 80e9); }
static size_t taken(void) { return (size_t)standin_number("STANDIN_TAKEN", 0); }

static void append(const char *line, size_t length) {
  if (file >= 0 && write(file, line, length) < 0) file = -1;
}

void standin_line(const char *format, ...) {
  if (file < 0) return;
  char line[2048];
  va_list rest;
  va_start(rest, format);
  int length = vsnprintf(line, sizeof line - 1, format, rest);
  va_end(rest);
  if (length > (int)sizeof line - 2) length = sizeof line - 2;
  line[length] = '\n';
  append(line, length + 1);
}

#define LOCKED(...) do { pthread_mutex_lock(&lock); __VA_ARGS__; pthread_mutex_unlock(&lock); } while (0)

int standin_takes(size_t bytes) {
  size_t held, peak;
  int fits;
  LOCKED({
    fits = counted.held + bytes + taken() <= memory();
    if (fits) {
      counted.allocations++;
      counted.held += bytes;
      if (counted.held > counted.peak) counted.peak = counted.held;
    } else {
      counted.refused++;
    }
    held = counted.held;
    peak = counted.peak;
  });
  if (fits) standin_line("alloc device %zu held %zu peak %zu", bytes, held, peak);
  else standin_line("refuse device %zu held %zu", bytes, held);
  return fits;
}

void standin_gives_back(size_t bytes) {
  size_t held;
  LOCKED(held = counted.held -= bytes);
  standin_line("free device %zu held %zu", bytes, held);
}

void standin_pins(size_t bytes, int more) {
  size_t held;
  LOCKED({
    held = counted.pinned += more ? bytes : -bytes;
    if (held > counted.pinned_peak) counted.pinned_peak = held;
  });
  standin_line("%s pinned %zu held %zu", more ? "alloc" : "free", bytes, held);
}

void standin_room(size_t *available, size_t *total) {
  *total = memory();
  size_t used;
  LOCKED(used = counted.held + taken());
  *available = used < *total ? *total - used : 0;
}

void standin_copied(enum Direction direction, size_t bytes) {
  LOCKED(counted.copies[direction].count++; counted.copies[direction].bytes += bytes);
  standin_line("copy %s %zu", DIRECTION[direction], bytes);
}

void standin_launched(void) { LOCKED(counted.kernels++); }

void standin_multiplied(enum Element element, int tf32, int64_t m, int64_t n, int64_t k, int64_t batch) {
  LOCKED({
    counted.products[element].count++;
    counted.products[element].tf32 += tf32 != 0;
    counted.products[element].operations += 2.0 * m * n * k * batch;
  });
  standin_line("gemm %s%s %lld %lld %lld batch %lld", ELEMENT[element], tf32 ? " tf32" : "", (long long)m, (long long)n, (long long)k, (long long)batch);
}

void standin_called_dnn(const char *function) {
  LOCKED(counted.dnn++);
  standin_line("dnn %s", function);
}

void standin_waited(const char *what) {
  LOCKED(counted.waits++);
  standin_line("wait %s", what);
}

void standin_mark(const char *text) { standin_line("mark %s", text); }

/* Counts from here on; what is held stays held. */
void standin_reset(void) {
  LOCKED({
    size_t held = counted.held, pinned = counted.pinned;
    memset(&counted, 0, sizeof counted);
    counted.held = counted.peak = held;
    counted.pinned = counted.pinned_peak = pinned;
  });
}

/* The counters as JSON. Gives the length that it has, whether or not there was room for it. */
int standin_summary(char *out, size_t room) {
  char copies[512], products[768];
  int at = 0, length;
  LOCKED({
    for (int i = 0; i < DIRECTIONS; i++)
      at += snprintf(copies + at, sizeof copies - at, "%s\"%s\":{\"count\":%zu,\"bytes\":%zu}", i ? "," : "", DIRECTION[i], counted.copies[i].count, counted.copies[i].bytes);
    at = 0;
    for (int i = 0; i < ELEMENTS; i++)
      at += snprintf(products + at, sizeof products - at, "%s\"%s\":{\"count\":%zu,\"tf32\":%zu,\"operations\":%.0f}", i ? "," : "", ELEMENT[i],
                     counted.products[i].count, counted.products[i].tf32, counted.products[i].operations);
    length = snprintf(out, room,
                      "{\"memory\":{\"held\":%zu,\"peak\":%zu,\"total\":%zu,\"allocations\":%zu,\"refused\":%zu},\"pinned\":{\"held\":%zu,\"peak\":%zu},"
                      "\"copies\":{%s},\"products\":{%s},\"kernels\":%zu,\"dnn\":%zu,\"waits\":%zu}",
                      counted.held, counted.peak, memory(), counted.allocations, counted.refused, counted.pinned, counted.pinned_peak, copies, products,
                      counted.kernels, counted.dnn, counted.waits);
  });
  return length;
}

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("STANDIN_LOG");
  if (path && *path) file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

__attribute__((destructor)) static void end(void) {
  const char *path = getenv("STANDIN_SUMMARY");
  FILE *out = path && *path ? fopen(path, "w") : NULL;
  if (!out) return;
  char text[2048];
  standin_summary(text, sizeof text);
  fprintf(out, "%s\n", text);
  fclose(out);
}
