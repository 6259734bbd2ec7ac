/** Opens graphs on a device, and says which of their operations it has no kernel for. */
import { pointerAt, textAt, type Api, type Pointer } from './api.js';
import type { Device } from './device.js';
import { dtypeOf } from './elements.js';
import type { Program, ProgramFile } from '../onnx.js';
import { recognised } from './out-of-memory.js';
import { mismatch, type Described } from '../program-file.js';

/** Of optimizations: all. */
const ALL = 99;
const FATAL = 4;
/** What the runtime says where an operation would be left to the CPU. */
const FALLBACK = /fallback to CPU EP has been explicitly disabled/;
/** Operations that a message names. */
const MOST_NAMED = 8;

/**
 * Opens a graph.
 *
 * @throws {Error} if the runtime refuses it, naming operations that the device can't compute; or a file's inputs and outputs are others than it is said to have.
 */
export function openSession(device: Device, program: Program | ProgramFile): Pointer {
  try {
    const session = created(device, program, {});
    if ('file' in program) checkFile(device, program, session);
    return session;
  } catch (error) {
    if (!(error instanceof Error) || !FALLBACK.test(error.message)) throw recognised(error);
    throw new Error(`expected every operation on the GPU; got ${leftToCpu(device, program)}`, { cause: error });
  }
}

function created(device: Device, program: Program | ProgramFile, more: Readonly<Record<string, string>>): Pointer {
  const { api, env } = device;
  const options = sessionOptions(device, 'file' in program ? undefined : program.folder, more);
  try {
    if ('file' in program) return api.make('CreateSession', env, program.file, options);
    return api.make('CreateSessionFromArray', env, program.bytes, program.bytes.byteLength, options);
  } finally {
    api.release('SessionOptions', options);
  }
}

/** @param folder of files with values of the graph. */
function sessionOptions({ api, options: { provider, threads, ...cuda } }: Device, folder: string | undefined, more: Readonly<Record<string, string>>): Pointer {
  const options = api.make('CreateSessionOptions');
  api.call('SetSessionLogSeverityLevel', options, FATAL);
  api.call('SetIntraOpNumThreads', options, threads);
  api.call('SetInterOpNumThreads', options, 1);
  api.call('SetSessionGraphOptimizationLevel', options, ALL);
  // One block for all of a run's values is planned only after the first run, beside what that has taken.
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

function appendCuda(api: Api, options: Pointer, { index = 0, tf32 = false }: Pick<Device['options'], 'index' | 'tf32'>): void {
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

/** Opens it once more, to look at what is placed where. */
function leftToCpu(device: Device, program: Program | ProgramFile): string {
  const { api } = device;
  const session = created(device, program, { 'session.disable_cpu_ep_fallback': '0', 'session.record_ep_graph_assignment_info': '1' });
  try {
    const names = array(api, 'Session_GetEpGraphAssignmentInfo', session)
      .filter((part) => textAt(api.make('EpAssignedSubgraph_GetEpName', part)) === 'CPUExecutionProvider')
      .flatMap((part) => array(api, 'EpAssignedSubgraph_GetNodes', part))
      .map((node) => `${textAt(api.make('EpAssignedNode_GetOperatorType', node))} at ${textAt(api.make('EpAssignedNode_GetName', node))}`);
    const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : '';
    return `no kernel for ${names.slice(0, MOST_NAMED).join(', ')}${more}`;
  } finally {
    api.release('Session', session);
  }
}

function array(api: Api, name: 'Session_GetEpGraphAssignmentInfo' | 'EpAssignedSubgraph_GetNodes', of: Pointer): Pointer[] {
  const [first, length] = api.several(name, of) as [Pointer, Pointer];
  return Array.from({ length: Number(length) }, (_, i) => pointerAt(first, i));
}

/** What a file lacks or asks for besides is named, for the runtime would only fail once it runs. */
function checkFile(device: Device, program: ProgramFile, session: Pointer): void {
  const fault = mismatch(program, described(device, session, 'Input'), described(device, session, 'Output'));
  if (fault === undefined) return;
  device.api.release('Session', session);
  throw new Error(fault);
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
