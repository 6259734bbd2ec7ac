import type { Checkup, DeviceReport } from './checkup.js';

/**
 * Compute capabilities for which ONNX Runtime's CUDA provider has kernels; it has none that a driver could compile for
 * others.
 */
const KERNELS = ['7.5', '8.0', '8.6', '8.9', '9.0', '12.0'];

/** Whether a device of one capability runs kernels for an earlier one of the same generation. */
function hasKernels(capability: string): boolean {
  const [major, minor] = capability.split('.').map(Number) as [number, number];
  return KERNELS.some((known) => {
    const [own, least] = known.split('.').map(Number) as [number, number];
    return own === major && least <= minor;
  });
}

/** The least that segr1 asks for; the memory is for the small policy. */
const [NODE, MEMORY, DISK] = [[20, 19], 2e9, 50] as const;

/** Ways to improve the machine for segr1, the most helpful first; one sentence each. */
export function adviceOn({ node, memory, disk, devices, missing, cpu }: Checkup): readonly string[] {
  const [major = 0, minor = 0] = node.split('.').map(Number);
  const gpus = devices.filter(({ device }) => device !== 'cpu');
  return [
    ...(major < NODE[0] || (major === NODE[0] && minor < NODE[1])
      ? [`Node.js ${NODE.join('.')} or newer: this is ${node}`]
      : []),
    ...devices
      .filter(({ device, works }) => device === 'cpu' && !works)
      .map(({ errors }) => `an ONNX Runtime that works on the CPU (npm ci): ${errors.join('; ')}`),
    ...(memory.total < MEMORY
      ? [`2 GB of memory or more: this process may have ${(memory.total / 1e9).toFixed(1)} GB`]
      : []),
    ...('error' in disk ? [`a folder for runs that can be written: ${disk.error}`] : []),
    ...missing.map(({ message }) => message),
    ...gpus.flatMap(gpuAdvice),
    ...(!('error' in disk) && disk.write < DISK
      ? [`a faster disk for runs (--run DIR): checkpoints are written at ${disk.write.toFixed(0)} MB/s`]
      : []),
    ...(gpus.some(({ works }) => works) || cpu.cores > 2
      ? []
      : [`more cores, for without a GPU it is the ${cpu.cores} that compute`]),
  ];
}

function gpuAdvice({ device, works, errors, capability, speed, memory, free }: DeviceReport): string[] {
  if (capability !== undefined && !hasKernels(capability))
    return [
      `${device}: a card of compute capability ${KERNELS.join(', ')}; this is ${capability}, for which the provider has no kernels`,
    ];
  if (!works) return errors.slice(0, 1).map((error) => `${device} that works: ${error}`);
  const taken =
    memory !== undefined && free !== undefined && free < memory / 2
      ? [
          `${device} to itself: other processes have taken ${((memory - free) / 1e9).toFixed(1)} of ${(memory / 1e9).toFixed(1)} GB`,
        ]
      : [];
  const half =
    speed.bfloat16 !== undefined && speed.bfloat16 > (speed.float32 ?? 0)
      ? 'bfloat16'
      : speed.float16 !== undefined && speed.float16 > (speed.float32 ?? 0)
        ? 'float16'
        : 'float32';
  return [
    ...taken,
    `policy: { device: ${device}, precision: ${half} } in the pipeline, for ${half} is what this card multiplies fastest in`,
  ];
}
