/* The driver's library, which the provider is linked with, and cuRAND, of which it uses nothing. */
#include "standin.h"

#ifdef DRIVER
#include <stdlib.h>
Error cuInit(unsigned flags) { return SUCCESS; }
Error cuTensorMapEncodeTiled(void) { return NOT_SUPPORTED; }
Error cuDriverGetVersion(int *out) {
  const char *version = getenv("STANDIN_DRIVER");
  *out = version ? atoi(version) : 13000;
  return SUCCESS;
}
#endif
