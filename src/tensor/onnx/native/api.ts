/** ONNX Runtime's C API by name, for what its Node binding lacks: options of CUDA, values that stay on a device. */
import koffi from 'koffi';

import type { NativeLibraries } from '../../engine.js';
import { loadLibraries } from './libraries.js';

/** An address in native memory. */
export type Pointer = bigint;

/** The version that the table below was written for. */
const VERSION = '1.30.0';
/** Version of the table: later runtimes keep its order. */
const API = 24;
const OUT = 'out';

/** Index of a function in the table, and its arguments; `OUT` is an address that it writes. */
const FUNCTIONS = {
  GetErrorMessage: [2, 'void *'],
  CreateEnv: [3, 'int', 'const char *', OUT],
  CreateSession: [7, 'void *', 'const char *', 'void *', OUT],
  CreateSessionFromArray: [8, 'void *', 'const void *', 'size_t', 'void *', OUT],
  CreateSessionOptions: [10, OUT],
  DisableMemPattern: [17, 'void *'],
  DisableCpuMemArena: [19, 'void *'],
  SetSessionLogSeverityLevel: [22, 'void *', 'int'],
  SetSessionGraphOptimizationLevel: [23, 'void *', 'int'],
  SetIntraOpNumThreads: [24, 'void *', 'int'],
  SetInterOpNumThreads: [25, 'void *', 'int'],
  SessionGetInputCount: [30, 'void *', OUT],
  SessionGetOutputCount: [31, 'void *', OUT],
  SessionGetInputTypeInfo: [33, 'void *', 'size_t', OUT],
  SessionGetOutputTypeInfo: [34, 'void *', 'size_t', OUT],
  SessionGetInputName: [36, 'void *', 'size_t', 'void *', OUT],
  SessionGetOutputName: [37, 'void *', 'size_t', 'void *', OUT],
  CreateRunOptions: [39, OUT],
  CreateTensorWithDataAsOrtValue: [49, 'void *', 'void *', 'size_t', 'const int64_t *', 'size_t', 'int', OUT],
  GetTensorMutableData: [51, 'void *', OUT],
  CastTypeInfoToTensorInfo: [55, 'void *', OUT],
  GetTensorElementType: [60, 'void *', OUT],
  GetDimensionsCount: [61, 'void *', OUT],
  GetDimensions: [62, 'void *', 'void *', 'size_t'],
  GetTensorTypeAndShape: [65, 'void *', OUT],
  CreateMemoryInfo: [68, 'const char *', 'int', 'int', 'int', OUT],
  CreateCpuMemoryInfo: [69, 'int', 'int', OUT],
  AllocatorAlloc: [75, 'void *', 'size_t', OUT],
  AllocatorFree: [76, 'void *', 'void *'],
  GetAllocatorWithDefaultOptions: [78, OUT],
  ReleaseEnv: [92, 'void *'],
  ReleaseStatus: [93, 'void *'],
  ReleaseMemoryInfo: [94, 'void *'],
  ReleaseSession: [95, 'void *'],
  ReleaseValue: [96, 'void *'],
  ReleaseRunOptions: [97, 'void *'],
  ReleaseTypeInfo: [98, 'void *'],
  ReleaseTensorTypeAndShapeInfo: [99, 'void *'],
  ReleaseSessionOptions: [100, 'void *'],
  AddSessionConfigEntry: [130, 'void *', 'const char *', 'const char *'],
  CreateAllocator: [131, 'void *', 'void *', OUT],
  ReleaseAllocator: [132, 'void *'],
  RunWithBinding: [133, 'void *', 'void *', 'void *'],
  CreateIoBinding: [134, 'void *', OUT],
  ReleaseIoBinding: [135, 'void *'],
  BindInput: [136, 'void *', 'const char *', 'void *'],
  BindOutput: [137, 'void *', 'const char *', 'void *'],
  BindOutputToDevice: [138, 'void *', 'const char *', 'void *'],
  GetBoundOutputValues: [140, 'void *', 'void *', OUT, OUT],
  ReleaseArenaCfg: [157, 'void *'],
  CreateArenaCfgV2: [164, 'const char **', 'const size_t *', 'size_t', OUT],
  UnregisterAllocator: [177, 'void *', 'void *'],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, 'void *', 'void *'],
  CreateCUDAProviderOptions: [205, OUT],
  UpdateCUDAProviderOptions: [206, 'void *', 'const char **', 'const char **', 'size_t'],
  ReleaseCUDAProviderOptions: [208, 'void *'],
  CreateAndRegisterAllocatorV2: [
    259,
    'void *',
    'const char *',
    'void *',
    'void *',
    'const char **',
    'const char **',
    'size_t',
  ],
  GetKeyValuePairs: [298, 'void *', OUT, OUT, OUT],
  ReleaseKeyValuePairs: [300, 'void *'],
  AllocatorGetStats: [319, 'void *', OUT],
  Session_GetEpGraphAssignmentInfo: [407, 'void *', OUT, OUT],
  EpAssignedSubgraph_GetEpName: [408, 'void *', OUT],
  EpAssignedSubgraph_GetNodes: [409, 'void *', OUT, OUT],
  EpAssignedNode_GetName: [410, 'void *', OUT],
  EpAssignedNode_GetOperatorType: [412, 'void *', OUT],
} as const satisfies Readonly<Record<string, readonly [place: number, ...takes: readonly string[]]>>;

/** Functions that don't return a status. */
const RESULTS: Partial<Record<string, string>> = { GetErrorMessage: 'const char *', GetKeyValuePairs: 'void' };

export type FunctionName = keyof typeof FUNCTIONS;

/** Types with a function that releases them. */
export type Kind = { [Name in FunctionName]: Name extends `Release${infer Of}` ? Of : never }[FunctionName];

export type Argument = Pointer | number | string | null | ArrayBufferView | readonly string[];

/** The functions of one library. They run in the thread that calls them. */
export interface Api {
  /** @throws {Error} with the runtime's own message. */
  call(name: FunctionName, ...given: readonly Argument[]): void;
  /** A function's single output, mostly the address of a new object. */
  make(name: FunctionName, ...given: readonly Argument[]): Pointer;
  /** A function's outputs, in order. */
  several(name: FunctionName, ...given: readonly Argument[]): readonly Pointer[];
  release(kind: Kind, made: Pointer): void;
}

type Native = (...given: unknown[]) => unknown;

/**
 * The functions of ONNX Runtime's library and those that it needs.
 *
 * @throws {Error} if one cannot be loaded, or is of another version.
 */
export function loadApi(libraries: NativeLibraries): Api {
  const base = loadLibraries(libraries).func('void *OrtGetApiBase()')() as Pointer;
  const [getApi, getVersion] = [pointerAt(base, 0), pointerAt(base, 1)];
  const version = koffi.call(getVersion, koffi.proto('const char *', [])) as string;
  if (version !== VERSION)
    throw new Error(`${libraries.runtime}  version: expected ONNX Runtime ${VERSION}; got ${version}`);
  return apiOf(koffi.call(getApi, koffi.proto('void *', ['uint32_t']), API) as Pointer);
}

function apiOf(table: Pointer): Api {
  const bound = new Map<FunctionName, Native>();
  const native = (name: FunctionName): Native => {
    const known = bound.get(name) ?? bind(table, name);
    bound.set(name, known);
    return known;
  };
  const release = (kind: Kind, made: Pointer): void => void native(`Release${kind}`)(made);
  const check = (status: unknown): void => {
    if (!status) return;
    const message = native('GetErrorMessage')(status) as string;
    release('Status', status as Pointer);
    throw new Error(message);
  };
  const several = (name: FunctionName, ...given: readonly Argument[]): readonly Pointer[] => {
    const outputs = (FUNCTIONS[name] as readonly unknown[])
      .filter((take) => take === OUT)
      .map(() => new BigInt64Array(1));
    const status = native(name)(...given, ...outputs);
    if (RESULTS[name] === undefined) check(status);
    return outputs.map(([written]) => written);
  };
  return {
    call: (name, ...given) => void several(name, ...given),
    make: (name, ...given) => several(name, ...given)[0],
    several,
    release,
  };
}

function bind(table: Pointer, name: FunctionName): Native {
  const [place, ...takes] = FUNCTIONS[name];
  const result = name.startsWith('Release') ? 'void' : (RESULTS[name] ?? 'void *');
  const types = (takes as readonly string[]).map((take) => (take === OUT ? 'void *' : take));
  return koffi.decode(pointerAt(table, place), koffi.proto(result, types)) as Native;
}

/** The pointer at a place of an array of pointers. */
export function pointerAt(array: Pointer, place: number): Pointer {
  return koffi.decode(array, 8 * place, 'void *') as Pointer;
}

/** Text that ends with a zero. */
export function textAt(at: Pointer): string {
  return koffi.decode(at, 'char', -1) as string;
}
