import type { Argv, CommandModule } from 'yargs';

import type { Piece } from '../gpu/find.js';
import { adviceOn } from './advice.js';
import { checkUp, type Checkup, type DeviceReport } from './checkup.js';
import { print } from './print.js';

/** `segr1 doctor`: this machine's devices, which of them work, and what would improve it. */
export const doctorCommand: CommandModule<object, { readonly json: unknown }> = {
  command: 'doctor',
  describe: 'look at this machine: devices that work, how fast they are, and what would make it better',
  builder: (parser: Argv) => parser.option('json', { type: 'boolean', describe: 'print JSON; bytes, GFLOP/s, MB/s' }),
  handler: async ({ json }) => {
    const found = await checkUp();
    const advice = adviceOn(found);
    print(json === true ? JSON.stringify({ ...found, advice }, null, 2) : textOf(found, advice));
    if (!found.devices.some(({ device, works }) => device === 'cpu' && works)) process.exitCode = 1;
  },
};

const LACK: Readonly<Record<Piece, string>> = {
  platform: 'not on this platform',
  folder: 'no folder SEGR1_CUDA',
  devices: 'GPUs hidden',
  driver: 'no driver',
  provider: 'no provider',
  libraries: 'no CUDA libraries',
  cudnn: 'no cuDNN',
};

/** A checkup for people. Missing pieces are in the advice. */
export function textOf(
  { segr1, node, cpu, memory, disk, devices, missing }: Checkup,
  advice: readonly string[],
): string {
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  const rows = [
    ['segr1', segr1],
    ['node', node],
    ['cpu', `${cpu.model}, ${cpu.cores} ${cpu.cores === 1 ? 'core' : 'cores'}`],
    ['memory', `${gigabytes(memory.total)}, ${gigabytes(memory.free)} free`],
    [
      'disk',
      'error' in disk
        ? `${disk.folder}  ${disk.error}`
        : `${disk.folder}  writes ${disk.write.toFixed(0)} MB/s, reads back ${disk.read.toFixed(0)} MB/s`,
    ],
    ...devices.map((device) => [device.device, deviceText(device)]),
    ...(devices.some(({ device }) => device !== 'cpu')
      ? []
      : [['cuda', `not here: ${missing.map(({ piece }) => LACK[piece]).join(', ')}`]]),
  ];
  const lines = rows.map(([name = '', value = '']) => `${name.padEnd(8)}${value}`);
  return [
    ...lines,
    '',
    ...(advice.length > 0
      ? ['What would make it better, in this order:', ...advice.map((line, i) => `${i + 1}. ${line}`)]
      : ['Nothing to mend.']),
  ].join('\n');
}

function deviceText({
  name,
  engine,
  version,
  works,
  speed,
  errors,
  memory,
  free,
  driver,
  capability,
}: DeviceReport): string {
  const figures = Object.entries(speed).map(
    ([precision, rate]) =>
      `${precision} ${rate < 10_000 ? `${rate.toFixed(0)} GFLOP/s` : `${(rate / 1000).toFixed(1)} TFLOP/s`}`,
  );
  const about = [
    ...(memory === undefined
      ? []
      : [name, `${(memory / 1e9).toFixed(1)} GB${free === undefined ? '' : `, ${(free / 1e9).toFixed(1)} free`}`]),
    ...(driver === undefined ? [] : [`driver ${driver}`]),
    ...(capability === undefined ? [] : [`compute capability ${capability}`]),
  ];
  const state = works ? 'works' : errors.length > 0 ? 'fails' : 'was not tried';
  return [
    [`${engine} ${version} ${state}`, ...about, ...figures].join(', '),
    ...errors.map((error) => `        ${error}`),
  ].join('\n');
}
