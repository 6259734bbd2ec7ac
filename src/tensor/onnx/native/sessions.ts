/** Opens graphs on a device, and reports operations without a kernel. */
import { pointerAt, textAt, type Api, type Pointer } from './api.js';
import type { Device } from './device.js';
import { dtypeOf } from './elements.js';
import type { GraphFile } from '../../engine.js';
import type { Program } from '../emit.js';
import { recognised } from './out-of-memory.js';
import { mismatch, type Described } from '../program-file.js';

/** Optimization level: all. */
const ALL = 99;
const FATAL = 4;
/** The runtime's message if an operation would be left to the CPU. */
const FALLBACK = /fallback to CPU EP has been explicitly disabled/;
/** Most operations that a message names. */
const MOST_NAMED = 8;

/** Expensive operations. A graph from other tools may leave shape arithmetic to the CPU, but none of these. */
const LARGE = new Set([
  'Attention',
  'Conv',
  'ConvTranspose',
  'Einsum',
  'FusedMatMul',
  'Gemm',
  'LayerNormalization',
  'MatMul',
  'MultiHeadAttention',
  'Resize',
  'Softmax',
]);

/**
 * Opens a graph.
 *
 * @throws {OutOfMemoryError} where there is no room for it.
 * @throws {Error} if the runtime refuses it, naming operations that the device can't compute; or if a file's inputs and
 * outputs differ from the declared ones.
 */
export function openSession(device: Device, program: Program | GraphFile): Pointer {
  try {
    return 'file' in program ? openFile(device, program) : created(device, program, {});
  } catch (error) {
    if (!(error instanceof Error) || !FALLBACK.test(error.message)) throw recognised(error);
    const session = created(device, program, LENIENT);
    const left = leftToCpu(device, session);
    device.api.release('Session', session);
    throw new Error(lacking(left), { cause: error });
  }
}

function openFile(device: Device, program: GraphFile): Pointer {
  const session = created(device, program, device.options.provider === 'cuda' ? LENIENT : {});
  const left =
    device.options.provider === 'cuda' ? leftToCpu(device, session).filter(({ type }) => LARGE.has(type)) : [];
  const fault =
    left.length > 0
      ? lacking(left)
      : mismatch(program, described(device, session, 'Input'), described(device, session, 'Output'));
  if (fault === undefined) return session;
  device.api.release('Session', session);
  throw new Error(fault);
}

/** Accepts every placement, and reports it. */
const LENIENT = { 'session.disable_cpu_ep_fallback': '0', 'session.record_ep_graph_assignment_info': '1' };

function created(device: Device, program: Program | GraphFile, more: Readonly<Record<string, string>>): Pointer {
  const { api, env } = device;
  const options = sessionOptions(device, 'file' in program ? undefined : program.folder, more);
  try {
    if ('file' in program) return api.make('CreateSession', env, program.file, options);
    return api.make('CreateSessionFromArray', env, program.bytes, program.bytes.byteLength, options);
  } finally {
    api.release('SessionOptions', options);
  }
}

/** @param folder of the graph's external data. */
function sessionOptions(
  { api, options: { provider, threads, ...cuda } }: Device,
  folder: string | undefined,
  more: Readonly<Record<string, string>>,
): Pointer {
  const options = api.make('CreateSessionOptions');
  api.call('SetSessionLogSeverityLevel', options, FATAL);
  api.call('SetIntraOpNumThreads', options, threads);
  api.call('SetInterOpNumThreads', options, 1);
  api.call('SetSessionGraphOptimizationLevel', options, ALL);
  // A memory plan is made only after the first run, in addition to that run's memory.
  api.call('DisableMemPattern', options);
  if (provider === 'cuda') api.call('DisableCpuMemArena', options);
  const entries: Readonly<Record<string, string>> = {
    'session.use_env_allocators': '1',
    'session.intra_op.allow_spinning': threads > 1 ? '1' : '0',
    'session.set_denormal_as_zero': '1',
    // See `nodeRuntime`.
    'optimization.disable_specified_optimizers': 'EliminateIdentity',
    ...(folder === undefined ? {} : { 'session.model_external_initializers_file_folder_path': folder }),
    ...(provider === 'cuda' ? { 'session.disable_cpu_ep_fallback': '1' } : {}),
    ...more,
  };
  for (const [key, value] of Object.entries(entries)) api.call('AddSessionConfigEntry', options, key, value);
  if (provider === 'cuda') appendCuda(api, options, cuda);
  return options;
}

function appendCuda(
  api: Api,
  options: Pointer,
  { index = 0, tf32 = false }: Pick<Device['options'], 'index' | 'tf32'>,
): void {
  const settings = {
    device_id: String(index),
    use_tf32: tf32 ? '1' : '0',
    arena_extend_strategy: 'kSameAsRequested',
    cudnn_conv_algo_search: 'HEURISTIC',
  };
  const cuda = api.make('CreateCUDAProviderOptions');
  try {
    const keys = Object.keys(settings);
    api.call('UpdateCUDAProviderOptions', cuda, keys, Object.values(settings), keys.length);
    api.call('SessionOptionsAppendExecutionProvider_CUDA_V2', options, cuda);
  } finally {
    api.release('CUDAProviderOptions', cuda);
  }
}

interface Operation {
  readonly type: string;
  readonly name: string;
}

function lacking(operations: readonly Operation[]): string {
  const named = operations.slice(0, MOST_NAMED).map(({ type, name }) => `${type} at ${name}`);
  const more = operations.length > MOST_NAMED ? ` and ${operations.length - MOST_NAMED} more` : '';
  return `expected every operation on the GPU; got no kernel for ${named.join(', ')}${more}`;
}

function leftToCpu({ api }: Device, session: Pointer): Operation[] {
  return array(api, 'Session_GetEpGraphAssignmentInfo', session)
    .filter((part) => textAt(api.make('EpAssignedSubgraph_GetEpName', part)) === 'CPUExecutionProvider')
    .flatMap((part) => array(api, 'EpAssignedSubgraph_GetNodes', part))
    .map((node) => ({
      type: textAt(api.make('EpAssignedNode_GetOperatorType', node)),
      name: textAt(api.make('EpAssignedNode_GetName', node)),
    }));
}

function array(
  api: Api,
  name: 'Session_GetEpGraphAssignmentInfo' | 'EpAssignedSubgraph_GetNodes',
  of: Pointer,
): Pointer[] {
  const [first, length] = api.several(name, of) as [Pointer, Pointer];
  return Array.from({ length: Number(length) }, (_, i) => pointerAt(first, i));
}

function described({ api, hostAllocator }: Device, session: Pointer, which: 'Input' | 'Output'): Described[] {
  return Array.from({ length: Number(api.make(`SessionGet${which}Count`, session)) }, (_, i) => {
    const text = api.make(`SessionGet${which}Name`, session, i, hostAllocator);
    const name = textAt(text);
    api.call('AllocatorFree', hostAllocator, text);
    const info = api.make(`SessionGet${which}TypeInfo`, session, i);
    const tensor = api.make('CastTypeInfoToTensorInfo', info);
    const type = tensor ? dtypeOf(Number(api.make('GetTensorElementType', tensor))) : 'no tensor';
    api.release('TypeInfo', info);
    return { name, type };
  });
}
