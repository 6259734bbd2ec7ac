/* cuDNN 9, which the provider opens when an operator first wants it: every descriptor is made, every call succeeds, none needs a workspace. */
#include "standin.h"

#include <string.h>

enum { VERSION = 91900 };
static int made;

size_t cudnnGetVersion(void) { return VERSION; }
const char *cudnnGetErrorString(Error error) { return error ? "CUDNN_STATUS_INTERNAL_ERROR" : "CUDNN_STATUS_SUCCESS"; }
void cudnnGetLastErrorString(char *out, size_t room) { if (room) *out = 0; }

#define MADE(name) Error name(Any *out) { *out = &made; return SUCCESS; }
#define NOTHING(name) Error name(void) { return SUCCESS; }
#define NO_BYTES(name, ...) Error name(__VA_ARGS__, size_t *bytes) { *bytes = 0; return SUCCESS; }
#define COUNTED(name) Error name(void) { standin_called_dnn(#name); return SUCCESS; }

/* Descriptors. */
MADE(cudnnCreate)
MADE(cudnnCreateActivationDescriptor)
MADE(cudnnCreateConvolutionDescriptor)
MADE(cudnnCreateDropoutDescriptor)
MADE(cudnnCreateFilterDescriptor)
MADE(cudnnCreateLRNDescriptor)
MADE(cudnnCreatePoolingDescriptor)
MADE(cudnnCreateRNNDataDescriptor)
MADE(cudnnCreateRNNDescriptor)
MADE(cudnnCreateReduceTensorDescriptor)
MADE(cudnnCreateTensorDescriptor)
NOTHING(cudnnDestroy)
NOTHING(cudnnDestroyActivationDescriptor)
NOTHING(cudnnDestroyConvolutionDescriptor)
NOTHING(cudnnDestroyDropoutDescriptor)
NOTHING(cudnnDestroyFilterDescriptor)
NOTHING(cudnnDestroyLRNDescriptor)
NOTHING(cudnnDestroyPoolingDescriptor)
NOTHING(cudnnDestroyRNNDataDescriptor)
NOTHING(cudnnDestroyRNNDescriptor)
NOTHING(cudnnDestroyReduceTensorDescriptor)
NOTHING(cudnnDestroyTensorDescriptor)
NOTHING(cudnnSetStream)
NOTHING(cudnnSetActivationDescriptor)
NOTHING(cudnnSetConvolutionGroupCount)
NOTHING(cudnnSetConvolutionMathType)
NOTHING(cudnnSetConvolutionNdDescriptor)
NOTHING(cudnnSetDropoutDescriptor)
NOTHING(cudnnSetFilterNdDescriptor)
NOTHING(cudnnSetLRNDescriptor)
NOTHING(cudnnSetPoolingNdDescriptor)
NOTHING(cudnnSetRNNDataDescriptor)
NOTHING(cudnnSetRNNDescriptor_v8)
NOTHING(cudnnSetReduceTensorDescriptor)
NOTHING(cudnnSetTensorNdDescriptor)
NOTHING(cudnnDeriveBNTensorDescriptor)
NOTHING(cudnnGetRNNTempSpaceSizes)
NOTHING(cudnnGetRNNWeightParams)
NOTHING(cudnnGetTensorNdDescriptor)
Error cudnnGetStream(Any handle, Stream *out) { *out = NULL; return SUCCESS; }

/* Workspaces. */
NO_BYTES(cudnnGetReductionWorkspaceSize, Any handle, Any how, Any a, Any c)
NO_BYTES(cudnnGetReductionIndicesSize, Any handle, Any how, Any a, Any c)
NO_BYTES(cudnnDropoutGetStatesSize, Any handle)
NO_BYTES(cudnnGetConvolutionForwardWorkspaceSize, Any handle, Any x, Any w, Any how, Any y, int algorithm)

/* Algorithms of convolutions: one, all of whose numbers are 0. */
enum { FOUND = 16 };
Error cudnnGetConvolutionForwardAlgorithm_v7(Any handle, Any x, Any w, Any how, Any y, int wanted, int *count, int *found) {
  *count = 1;
  memset(found, 0, FOUND * sizeof *found);
  return SUCCESS;
}

Error cudnnFindConvolutionForwardAlgorithmEx(Any handle, Any dx, Any x, Any dw, Any w, Any how, Any dy, Any y, int wanted, int *count, int *found, Any space, size_t bytes) {
  *count = 1;
  memset(found, 0, FOUND * sizeof *found);
  return SUCCESS;
}

/*
 * Graphs of operations. Of what a caller asks of a descriptor it made: numbers (of an engine, of bytes it needs) are 0, there are no notes and no
 * knobs, and one of everything else.
 */
enum { TYPE_INT64 = 3, TYPE_NUMERICAL_NOTE = 11, TYPE_BEHAVIOR_NOTE = 19, TYPE_INT32 = 23 };
enum { KNOB_CHOICES = 302 };

Error cudnnBackendCreateDescriptor(int kind, Any *out) { *out = &made; return SUCCESS; }
NOTHING(cudnnBackendDestroyDescriptor)
NOTHING(cudnnBackendFinalize)
NOTHING(cudnnBackendSetAttribute)

Error cudnnBackendGetAttribute(Any of, int name, int type, int64_t wanted, int64_t *count, void *out) {
  int none = type == TYPE_NUMERICAL_NOTE || type == TYPE_BEHAVIOR_NOTE || name == KNOB_CHOICES;
  if (count) *count = none ? 0 : 1;
  if (out && wanted > 0 && type == TYPE_INT64) *(int64_t *)out = 0;
  if (out && wanted > 0 && type == TYPE_INT32) *(int32_t *)out = 0;
  return SUCCESS;
}

/* Work. */
COUNTED(cudnnReduceTensor)
COUNTED(cudnnSoftmaxForward)
COUNTED(cudnnConvolutionForward)
COUNTED(cudnnConvolutionBiasActivationForward)
COUNTED(cudnnAddTensor)
COUNTED(cudnnActivationForward)
COUNTED(cudnnPoolingForward)
COUNTED(cudnnRNNForward)
COUNTED(cudnnLRNCrossChannelForward)
COUNTED(cudnnBatchNormalizationForwardInference)
COUNTED(cudnnBatchNormalizationForwardTraining)
COUNTED(cudnnBackendExecute)
