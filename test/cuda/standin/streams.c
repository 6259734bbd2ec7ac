/* Streams, events, graphs: everything has happened as soon as it was asked for. Part of libcudart. */
#include "standin.h"

static Any fresh(void) {
  static int64_t made = 0;
  return (Any)(uintptr_t)(0x1000 + 16 * __atomic_add_fetch(&made, 1, __ATOMIC_RELAXED));
}

Error cudaStreamCreate(Stream *out) { *out = fresh(); return standin_ready(); }
Error cudaStreamCreateWithFlags(Stream *out, unsigned flags) { return cudaStreamCreate(out); }
Error cudaStreamDestroy(Stream stream) { return SUCCESS; }
Error cudaStreamSynchronize(Stream stream) { standin_waited("stream"); return SUCCESS; }
Error cudaStreamWaitEvent(Stream stream, Any event, unsigned flags) { standin_waited("event"); return SUCCESS; }
Error cudaLaunchHostFunc(Stream stream, void (*function)(void *), void *data) { function(data); return SUCCESS; }

Error cudaEventCreate(Any *out) { *out = fresh(); return SUCCESS; }
Error cudaEventCreateWithFlags(Any *out, unsigned flags) { return cudaEventCreate(out); }
Error cudaEventDestroy(Any event) { return SUCCESS; }
Error cudaEventRecord(Any event, Stream stream) { return SUCCESS; }
Error cudaEventSynchronize(Any event) { standin_waited("event"); return SUCCESS; }
Error cudaEventElapsedTime(float *milliseconds, Any from, Any to) { *milliseconds = 0.001f; return SUCCESS; }

/* A captured graph has nothing in it: what was captured was counted when it was captured, and not again when it is launched. */
Error cudaStreamBeginCapture(Stream stream, int mode) { return SUCCESS; }
Error cudaStreamEndCapture(Stream stream, Any *graph) { *graph = fresh(); return SUCCESS; }
Error cudaStreamIsCapturing(Stream stream, int *status) { *status = 0; return SUCCESS; }
Error cudaGraphInstantiate(Any *out, Any graph, unsigned long long flags) { *out = fresh(); return SUCCESS; }
Error cudaGraphLaunch(Any graph, Stream stream) { standin_line("graph"); return SUCCESS; }
Error cudaGraphDestroy(Any graph) { return SUCCESS; }
Error cudaGraphExecDestroy(Any graph) { return SUCCESS; }
