import { existsSync } from 'node:fs';

import { issuesOf, type Issue } from './issues.js';
import { valueAt } from './schema-paths.js';
import type { Path } from './yaml-source.js';
import { knownNames } from './nearest.js';
import { stageEntries } from './overrides.js';
import { PipelineShape, Settings } from '../settings.js';
import { columnsOf, pipelineContext, type Refusal, type Stage } from '../stage.js';

/** One stage of a checked pipeline: its entry in the table, and its options with defaults filled in. */
export interface CheckedStage {
  readonly name: string;
  readonly stage: Stage;
  /** Undefined where they could not be read. */
  readonly options: unknown;
}

/** What a pipeline's map holds, as far as it could be read, and everything that is wrong with it. */
export interface Checked {
  readonly settings: Settings;
  readonly stages: readonly CheckedStage[];
  readonly complaints: readonly Issue[];
}

/** Takes a path as written at a place in the file to an absolute one. */
export type ResolvePath = (written: string, at: Path) => string;

/** Checks a pipeline's map against the table, without opening anything: keys, types, order, columns, files. */
export function check(map: unknown, table: ReadonlyMap<string, Stage>, resolvePath: ResolvePath): Checked {
  const found: Issue[] = issuesOf(PipelineShape, map, '');
  const { settings, complaints: paths } = checkedSettings(map, resolvePath);
  const entries = stageEntries(valueAt(map, ['stages'])).map((entry, index) =>
    checkedStage(entry, index, table, resolvePath),
  );
  found.push(...paths, ...entries.flatMap((entry) => entry.complaints));
  const stages = entries.map(({ known }) => known);
  const usable = stages.filter((known) => known !== undefined);
  if (usable.length > 0 && usable.length === stages.length) found.push(...order(usable), ...models(usable, map));
  if (found.length === 0) found.push(...trainable(usable, settings), ...rules(usable, settings));
  return { settings, stages: usable, complaints: found };
}

function checkedSettings(map: unknown, resolvePath: ResolvePath): { settings: Settings; complaints: Issue[] } {
  const { stages: _, ...own } =
    map !== null && typeof map === 'object' && !Array.isArray(map) ? (map as Record<string, unknown>) : {};
  const parsed = Settings.safeParse(own);
  if (!parsed.success) return { settings: Settings.parse({}), complaints: [] };
  const settings: Record<string, unknown> = { ...parsed.data };
  const missing: Issue[] = [];
  for (const model of ['policy', 'segmenter'] as const) {
    const options = parsed.data[model];
    if (options && 'checkpoint' in options)
      settings[model] = withPaths(options, ['checkpoint', 'adapter'], [model], model, resolvePath, missing);
  }
  return { settings: settings as Settings, complaints: missing };
}

function checkedStage(
  [name, options]: readonly [string, unknown],
  index: number,
  table: ReadonlyMap<string, Stage>,
  resolvePath: ResolvePath,
): { known?: CheckedStage; complaints: Issue[] } {
  if (name === '') {
    const text = `stages.${index}: expected a stage's name, or a map of one name to its options; got neither`;
    return { complaints: [{ path: ['stages', index], text }] };
  }
  const stage = table.get(name);
  const path: Path = ['stages', index, name];
  if (!stage)
    return {
      complaints: [
        {
          path,
          part: 'key',
          text: `no stage is called ${JSON.stringify(name)}; ${knownNames(name, [...table.keys()])}`,
        },
      ],
    };
  const wrong = issuesOf(stage.options, options, name).map((one) => ({ ...one, path: [...path, ...one.path] }));
  const parsed = stage.options.safeParse(options);
  if (!parsed.success) return { known: { name, stage, options: undefined }, complaints: wrong };
  return {
    known: { name, stage, options: withPaths(parsed.data, stage.paths ?? [], path, name, resolvePath, wrong) },
    complaints: wrong,
  };
}

/** The options with their paths made absolute; complains of those that are not there. */
function withPaths(
  options: unknown,
  keys: readonly string[],
  at: Path,
  name: string,
  resolvePath: ResolvePath,
  complaints: Issue[],
): unknown {
  const full = (written: unknown, path: Path): unknown => {
    if (Array.isArray(written)) return written.map((one, index) => full(one, [...path, index]));
    if (written !== null && typeof written === 'object')
      return Object.fromEntries(Object.entries(written).map(([name, one]) => [name, full(one, [...path, name])]));
    if (typeof written !== 'string') return written;
    const file = resolvePath(written, [...at, ...path]);
    const text = `${[name, ...path].join('.')}: expected a file or folder; got ${JSON.stringify(written)}, and ${file} is not there`;
    if (!existsSync(file)) complaints.push({ path: [...at, ...path], text });
    return file;
  };
  const below = (value: unknown, [step, ...rest]: readonly string[], path: Path): unknown => {
    if (step === undefined) return full(value, path);
    const inside = valueAt(value, [step]);
    return inside === undefined ? value : { ...(value as object), [step]: below(inside, rest, [...path, step]) };
  };
  return keys.reduce<unknown>((all, key) => below(all, key.split('.'), []), options);
}

function order(stages: readonly CheckedStage[]): Issue[] {
  const found: Issue[] = [];
  const kinds = stages.map(({ stage }) => stage.kind ?? 'map');
  const columns = new Set<string>();
  const sink = kinds.indexOf('sink');
  let sure = kinds[0] === 'source';
  for (const [index, { name, stage, options }] of stages.entries()) {
    const complain = (text: string): void => void found.push({ path: ['stages', index, name], part: 'key', text });
    if (index === 0 && kinds[index] !== 'source') {
      complain(
        `${name} cannot be the first stage: expected one that gives rows; got ${JSON.stringify(name)}; way out: begin with load`,
      );
    }
    if (index > 0 && kinds[index] === 'source')
      complain(`${name} gives rows and comes first: expected one such stage; got it as number ${index + 1}`);
    if (kinds[index] === 'sink' && index > sink)
      complain(`${name} writes rows: expected one such stage; got ${stages[sink]?.name} before it`);
    else if (sink >= 0 && index > sink)
      complain(
        `${name} comes after ${stages[sink]?.name}: expected ${stages[sink]?.name} to be the last stage; got ${name} behind it`,
      );
    const missing = sure ? (stage.needs ?? []).filter((column) => !columns.has(column)) : [];
    for (const column of missing) complain(`${name} needs the column "${column}", which no earlier stage adds`);
    sure &&= options !== undefined || typeof stage.adds !== 'function';
    if (sure) for (const column of columnsOf(stage, options)) columns.add(column);
  }
  return found;
}

/** Models that a stage uses and the pipeline does not name. */
function models(stages: readonly CheckedStage[], map: unknown): Issue[] {
  return stages.flatMap(({ name, stage }, index) =>
    (stage.uses ?? [])
      .filter((model) => valueAt(map, [model]) === undefined)
      .map((model) => ({
        path: ['stages', index, name],
        part: 'key' as const,
        text: `${name} uses a ${model}: expected the key "${model}" in the pipeline; got none`,
      })),
  );
}

/** float16 has no room for gradients unless losses are scaled, which is not done. */
function trainable(stages: readonly CheckedStage[], settings: Settings): Issue[] {
  if (settings.policy?.precision !== 'float16' || !pipelineContext(settings, stages).updatesPolicy) return [];
  return [
    {
      path: ['policy', 'precision'],
      text: 'policy.precision: expected bfloat16 or float32 where weights learn, for gradients leave the range of float16; got float16',
    },
  ];
}

function rules(stages: readonly CheckedStage[], settings: Settings): Issue[] {
  const around = pipelineContext(settings, stages);
  return stages.flatMap(({ name, stage, options }, index) =>
    (stage.rules?.(options, around) ?? []).map((refusal) => complaintOf(refusal, index, name)),
  );
}

/** What the stages find wrong with the files that their options name. */
export async function preflights(stages: readonly CheckedStage[]): Promise<Issue[]> {
  const found = stages.map(async ({ name, stage, options }, index) =>
    ((await stage.preflight?.(options)) ?? []).map((refusal) => complaintOf(refusal, index, name)),
  );
  return (await Promise.all(found)).flat();
}

function complaintOf({ option, text }: Refusal, index: number, name: string): Issue {
  return {
    path: ['stages', index, name, ...(option ? option.split('.') : [])],
    part: option ? 'value' : 'key',
    text: option ? `${name}.${option}: ${text}` : `${name}: ${text}`,
  };
}
