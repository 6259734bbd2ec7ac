/*
 * A CUDA 13 runtime without a device: ONNX Runtime's own CUDA provider loads on it, places nodes, allocates, copies and launches, and all of
 * that is counted. Kernels and products do nothing, so values that come back mean nothing: it shows placement, movement and memory.
 *
 * Memory of the "device" is the host's address space, and takes none of its memory before it is touched. All settings are environment variables:
 *
 *   STANDIN_LOG         file to which every event adds a line (see events.c)
 *   STANDIN_SUMMARY     file that gets the counters as JSON when the process ends
 *   STANDIN_DEVICES     how many devices there are; 1 by default. CUDA_VISIBLE_DEVICES hides some, as in the real runtime
 *   STANDIN_DRIVER      version of the driver, 13000 by default; an older one is refused as too old, 0 stands for none
 *   STANDIN_CAPABILITY  such as 8.6; 9.0 by default
 *   STANDIN_MEMORY      bytes of each device, 80e9 by default; over it an allocation fails as in the real runtime
 *   STANDIN_TAKEN       bytes of them that other processes hold; 0 by default
 *   STANDIN_BYTES       most bytes of one copy or fill that are moved; larger ones are counted only, so that weights are never read
 *   STANDIN_LOOPS       if set, single bytes read back are 1: loops, whose condition a kernel would have computed, go on to their last turn
 */
#ifndef STANDIN_H
#define STANDIN_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef int Error;
typedef void *Any;
typedef void *Stream;
typedef struct { unsigned x, y, z; } Dim3;

/* Errors of the CUDA runtime, by its numbers. */
enum {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  DRIVER_TOO_OLD = 35,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  NOT_SUPPORTED = 801,
};

enum Direction { HOST_TO_HOST, HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE, DIRECTIONS };
enum Element { FLOAT32, FLOAT64, FLOAT16, BFLOAT16, OTHER_ELEMENT, ELEMENTS };

/* events.c. The libraries beside the runtime call these, so there is one log and one set of counters. */
void standin_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void standin_copied(enum Direction direction, size_t bytes);
void standin_launched(void);
void standin_multiplied(enum Element element, int tf32, int64_t m, int64_t n, int64_t k, int64_t batch);
void standin_called_dnn(const char *function);
void standin_waited(const char *what);
/* Gives what would be allocated: false where the device has no room for it. */
int standin_takes(size_t bytes);
void standin_gives_back(size_t bytes);
void standin_pins(size_t bytes, int more);
void standin_room(size_t *available, size_t *total);

/* For callers through a foreign-function interface. */
void standin_mark(const char *text);
void standin_reset(void);
int standin_summary(char *out, size_t room);

/* Number in the environment, such as 24e9. */
double standin_number(const char *name, double otherwise);
/* Keeps an error for cudaGetLastError, and gives it. */
Error standin_failed(Error error);
/* Whether there is a device to work on, else why not. */
Error standin_ready(void);

#endif
