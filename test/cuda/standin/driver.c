/* The driver's library, which the provider is linked with, and cuRAND, of which it uses nothing. */
#include "standin.h"

#ifdef DRIVER
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
Error cuInit(unsigned flags) { return SUCCESS; }
Error cuTensorMapEncodeTiled(void) { return NOT_SUPPORTED; }
Error cuDriverGetVersion(int *out) {
  const char *version = getenv("STANDIN_DRIVER");
  *out = version ? atoi(version) : 13000;
  return SUCCESS;
}

/* What the driver is asked about its devices; STANDIN_DEVICES says how many there are. */
Error cuDeviceGetCount(int *out) {
  const char *count = getenv("STANDIN_DEVICES");
  *out = count ? atoi(count) : 1;
  return SUCCESS;
}
Error cuDeviceGet(int *out, int index) { *out = index; return SUCCESS; }
Error cuDeviceGetName(char *name, int length, int device) { strncpy(name, "stand-in", length); return SUCCESS; }
Error cuDeviceTotalMem_v2(size_t *out, int device) { *out = 80000000000; return SUCCESS; }
/* Compute capability 9.0: attributes 75 and 76. */
Error cuDeviceGetAttribute(int *out, int attribute, int device) { *out = attribute == 75 ? 9 : 0; return SUCCESS; }
#endif
