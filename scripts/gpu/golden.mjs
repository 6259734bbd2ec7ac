/**
 * Values on a device beside the stored goldens and the CPU's: node golden.mjs [--only forward,train] [--golden DIR]
 * [--device cuda] [--threads 2] [--memory 6GB]
 *
 * Each suite runs on the CPU, then on the device in float32 and in bfloat16. A line a suite and target: the largest
 * error, and the case that has it;
 * every case is a line of JSON in RESULTS. Nothing is asserted: what test/golden allows in float32 stands beside it.
 */
import { parseArgs } from 'node:util';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { deviceOf } from '../../dist/models/device.js';
import { apart, differing, farthest, furthest, share } from './distance.mjs';
import { losses } from './golden-losses.mjs';
import { forward, generate, train } from './golden-policy.mjs';
import { segmenter } from './golden-segmenter.mjs';
import { each, short, teller } from './tell.mjs';

const SUITES = {
  forward: [forward, 'policy'],
  generate: [generate, 'policy'],
  train: [train, 'policy'],
  losses: [losses, 'policy'],
  segmenter: [segmenter, 'segmenter'],
};

const { values: asked } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(SUITES).join(',') },
    golden: {
      type: 'string',
      default: process.env.SEGR1_GOLDEN ?? fileURLToPath(new URL('../../test/golden/fixtures', import.meta.url)),
    },
    device: { type: 'string', default: 'cuda' },
    threads: { type: 'string', default: '2' },
    memory: { type: 'string', default: '6GB' },
  },
});
const tell = teller('golden');

const on = (device, precision) => ({
  name: `${device} ${precision}`,
  device: deviceOf({ device, memory: asked.memory, tf32: false }),
  precision,
  memory: asked.memory,
  threads: device === 'cpu' ? Number(asked.threads) : 1,
});
const cpu = on('cpu', 'float32');
const targets = [cpu, on(asked.device, 'float32'), on(asked.device, 'bfloat16')];

/** Errors of one part of a case: largest, and where they say something the root mean square. */
function errors({ own, golden, floor = 1, exact, absolute, alone, whole, torch }, reference) {
  if (exact)
    return {
      of: golden.length,
      ...(golden && { golden: differing(own, golden) }),
      ...(reference && { cpu: differing(own, reference) }),
    };
  const distance = (other) =>
    whole ? share(own, other) : absolute ? furthest(own, other) : farthest(own, other, floor);
  return {
    ...(golden && { golden: distance(golden), rms: apart(own, golden) }),
    ...(reference && !alone && { cpu: distance(reference) }),
    ...(torch?.['bfloat16.sdpa'] && {
      torch: {
        eager: apart(own, torch['bfloat16.eager']),
        sdpa: apart(own, torch['bfloat16.sdpa']),
        kernels: apart(torch['bfloat16.eager'], torch['bfloat16.sdpa']),
        rounding: apart(torch['bfloat16.sdpa'], torch['float32.eager']),
      },
    }),
  };
}

/** The worst of cases by a figure; NaN is worse than all. */
function worst(cases, figure) {
  return cases
    .filter((one) => one[figure] !== undefined)
    .toSorted(
      (a, b) => (Number.isNaN(b[figure]) ? Infinity : b[figure]) - (Number.isNaN(a[figure]) ? Infinity : a[figure]),
    )[0];
}

function summary(target, part, cases) {
  const [first] = cases;
  if (first.of !== undefined) {
    const total = (figure) => cases.reduce((sum, one) => sum + (one[figure] ?? 0), 0);
    return `${total('golden')} of ${total('of')} ${part} other than stored${target === cpu ? '' : `, ${total('cpu')} other than the CPU's`}`;
  }
  const said = [
    ['golden', 'stored'],
    ['cpu', 'the CPU'],
  ].flatMap(([figure, name]) => {
    const one = worst(cases, figure);
    return one ? [`${short(one[figure])} from ${name} (${one.case})`] : [];
  });
  const allowed = first.allowed !== undefined && target.precision === 'float32' ? `, tests allow ${first.allowed}` : '';
  return `${part} ${said.join(', ')}${allowed}`;
}

/** Log-probs in bfloat16: what two of torch's own kernels differ by is the yardstick. */
function yardstick(cases) {
  const told = cases.filter(({ torch }) => torch);
  if (told.length === 0) return [];
  const mean = (of) => short(Math.sqrt(told.reduce((sum, { torch }) => sum + torch[of] ** 2, 0) / told.length));
  return [
    `  rms ${mean('eager')} and ${mean('sdpa')} from torch's two kernels in bfloat16, which are ${mean('kernels')} apart and ${mean('rounding')} from float32`,
  ];
}

async function suite(name, run, folder) {
  const references = new Map();
  for (const target of targets) {
    if (name === 'losses' && target.precision !== 'float32') continue;
    const start = performance.now();
    const found = new Map();
    await each(tell, [
      [
        `${name} on ${target.name}`,
        async () => {
          for await (const { name: label, parts } of run(folder, target)) {
            for (const [part, values] of Object.entries(parts)) {
              const key = `${part} ${label}`;
              if (target === cpu) references.set(key, values.own);
              const record = {
                suite: name,
                target: target.name,
                case: label,
                part,
                allowed: values.allowed,
                ...errors(values, target === cpu ? undefined : references.get(key)),
              };
              found.set(part, [...(found.get(part) ?? []), record]);
              tell(record);
            }
          }
        },
      ],
    ]);
    for (const [part, cases] of found) {
      console.log(`${name.padEnd(10)}${target.name.padEnd(15)} ${summary(target, part, cases)}`);
      if (target.precision === 'bfloat16') for (const line of yardstick(cases)) console.log(`${''.padEnd(26)}${line}`);
    }
    console.log(`${''.padEnd(10)}${target.name.padEnd(15)} ${((performance.now() - start) / 1000).toFixed(1)} s`);
  }
}

for (const name of asked.only.split(',')) {
  const [run, folder] = SUITES[name] ?? [];
  if (!run) throw new Error(`--only: expected some of ${Object.keys(SUITES).join(', ')}; got ${name}`);
  await suite(name, run, join(asked.golden, folder));
}
