import { existsSync } from 'node:fs';

import { z } from 'zod';

import { writtenCredentials } from './credentials.js';
import { declaredColumns } from './declared-columns.js';
import { parseWith, readablePart, type Issue, type Parsed } from './issues.js';
import { valueAt } from './schema-paths.js';
import type { Path } from './yaml-source.js';
import { knownNames } from '../../nearest.js';
import { stageEntries } from './overrides.js';
import { likelyFolder, lying } from '../../io/lying.js';
import type { SegmenterDefinition } from '../../models/segmenter.js';
import { isOfModule, optionsOf, SEGMENTERS, type SegmenterChoice } from '../../models/segmenters.js';
import { pipelineSchema, Settings, settingsSchema } from '../settings.js';
import { columnsOf, pathsOf, pipelineContext, stage, type Refusal, type Stage, type CheckedStage } from '../stage.js';

/** What a pipeline's map holds, as far as it could be read, and everything that is wrong with it. */
export interface Checked {
  readonly settings: Settings;
  readonly stages: readonly CheckedStage[];
  readonly issues: readonly Issue[];
}

/** Resolves a path in the file to an absolute one. */
export type ResolvePath = (written: string, at: Path) => string;

/** What is known of the modules that a pipeline names. */
export interface Modules {
  /** All stages, also those of the modules that were run. */
  readonly table: ReadonlyMap<string, Stage>;
  /** Whether there are modules that were not run, or did not load: a stage that is in no table may be theirs. */
  readonly more: boolean;
  /** The segmenter that the map names by module, where it was run. */
  readonly segmenter?: SegmenterDefinition;
}

/** Checks a pipeline's map, without opening or running anything: keys, types, order, columns, files. */
export function check(map: unknown, modules: Modules, resolvePath: ResolvePath): Checked {
  const parsed = parseWith(pipelineSchema(map), map, '');
  const { settings, issues: paths } = checkedSettings(parsed, map, resolvePath, modules.segmenter);
  const entries = stageEntries(valueAt(map, ['stages'])).map((entry, index) =>
    checkedStage(entry, index, modules, resolvePath),
  );
  const found = [...parsed.issues, ...paths, ...entries.flatMap((entry) => entry.issues), ...writtenCredentials(map)];
  const stages = entries.map(({ known }) => known);
  const usable = stages.filter((known) => known !== undefined);
  if (usable.length === 0 || usable.length < stages.length) return { settings, stages: usable, issues: found };
  const sound = usable.filter((_, index) => !isWrong(found, ['stages', index]));
  found.push(...order(usable), ...declaredColumns(usable), ...models(usable, map));
  if (parsed.success) found.push(...trainable(sound, settings), ...rules(usable, sound, settings));
  return { settings, stages: usable, issues: found };
}

/** Whether something is wrong at a path or below. */
export function isWrong(issues: readonly Issue[], path: Path): boolean {
  return issues.some((issue) => path.every((step, depth) => issue.path[depth] === step));
}

/** The pipeline's own keys; invalid ones have their defaults. */
function checkedSettings(
  parsed: Parsed<Settings>,
  map: unknown,
  resolvePath: ResolvePath,
  own?: SegmenterDefinition,
): { settings: Settings; issues: Issue[] } {
  const read = parsed.success
    ? parsed.data
    : (readablePart(settingsSchema(map), withoutStages(map)) ?? Settings.parse({}));
  const settings = withoutStages(read);
  const issues: Issue[] = [];
  const resolve = (model: string, options: unknown, paths: readonly string[]): void =>
    void (settings[model] = withPaths(options, paths, [model], model, resolvePath, issues));
  const { policy, segmenter } = read;
  if (policy) resolve('policy', policy, ['checkpoint', 'adapter']);
  if (segmenter) {
    const definition = own ?? SEGMENTERS.find(({ name }) => name === segmenter['kind']);
    const options = own && isOfModule(segmenter) ? checkedModule(segmenter, own, issues) : segmenter;
    resolve('segmenter', options, ['module', ...(definition?.paths ?? [])]);
  }
  return { settings: settings as Settings, issues };
}

/** A custom segmenter with the defaults of its options filled in; as written if they are invalid. */
function checkedModule(
  choice: SegmenterChoice & { readonly module: string },
  { options: schema }: SegmenterDefinition,
  issues: Issue[],
): SegmenterChoice {
  const parsed = parseWith(schema, optionsOf(choice), 'segmenter');
  issues.push(...parsed.issues.map((issue) => ({ ...issue, path: ['segmenter', ...issue.path] })));
  return parsed.success ? { module: choice.module, ...(parsed.data as Readonly<Record<string, unknown>>) } : choice;
}

function withoutStages(map: unknown): Record<string, unknown> {
  if (map === null || typeof map !== 'object' || Array.isArray(map)) return {};
  const { stages: _, ...own } = map as Record<string, unknown>;
  return own;
}

function checkedStage(
  [name, options]: readonly [string, unknown],
  index: number,
  { table, more }: Modules,
  resolvePath: ResolvePath,
): { known?: CheckedStage; issues: Issue[] } {
  if (name === '') {
    const text = `stages.${index}: expected a stage's name, or a map of one name to its options; got neither`;
    return { issues: [{ path: ['stages', index], text }] };
  }
  const stage = table.get(name);
  const path: Path = ['stages', index, name];
  if (!stage && more) return { known: { name, stage: notRun(name, index), options, unknown: true }, issues: [] };
  if (!stage)
    return {
      issues: [
        {
          path,
          part: 'key',
          text: `no stage is called ${JSON.stringify(name)}; ${knownNames(name, [...table.keys()])}`,
        },
      ],
    };
  const parsed = parseWith(stage.options, options, name);
  const wrong = parsed.issues.map((one) => ({ ...one, path: [...path, ...one.path] }));
  if (!parsed.success) {
    const part = readablePart(stage.options, options);
    if (part !== undefined) withPaths(part, pathsOf(stage, part), path, name, resolvePath, wrong);
    return { known: { name, stage, options: undefined }, issues: wrong };
  }
  return {
    known: {
      name,
      stage,
      options: withPaths(parsed.data, pathsOf(stage, parsed.data), path, name, resolvePath, wrong),
    },
    issues: wrong,
  };
}

/** Stands for a stage of a module that was not run. */
function notRun(name: string, index: number): Stage {
  const build = (): never => {
    throw new Error(`${name}  expected the stage of a module; got one that was not run`);
  };
  return stage({ name, kind: index === 0 ? 'source' : 'map', options: z.unknown(), build });
}

/** The options with absolute paths; missing files are issues. */
function withPaths(
  options: unknown,
  keys: readonly string[],
  at: Path,
  name: string,
  resolvePath: ResolvePath,
  issues: Issue[],
): unknown {
  const copy: Record<string, unknown> = { ...(options as Record<string, unknown>) };
  const full = (written: unknown, path: Path): unknown => {
    if (Array.isArray(written)) return written.map((one, index) => full(one, [...path, index]));
    if (written !== null && typeof written === 'object')
      return Object.fromEntries(Object.entries(written).map(([name, one]) => [name, full(one, [...path, name])]));
    if (typeof written !== 'string') return written;
    const file = resolvePath(written, [...at, ...path]);
    const text = `${[name, ...path].join('.')}: expected a file or folder; got ${JSON.stringify(written)}, and ${file} is not there`;
    if (!existsSync(file)) issues.push({ path: [...at, ...path], text: `${text}${hint(file, path[0] === 'root')}` });
    return file;
  };
  for (const key of keys) if (copy[key] !== undefined) copy[key] = full(copy[key], [key]);
  return copy;
}

/** Where a missing folder may be meant: one of nearly its name, and of a set what lies around it. */
function hint(file: string, around: boolean): string {
  const likely = likelyFolder(file);
  return `${around ? `, ${lying(file).replace(/^nothing there; /, '')}` : ''}${likely === undefined ? '' : `; nearest: ${likely}`}`;
}

function order(stages: readonly CheckedStage[]): Issue[] {
  const found: Issue[] = [];
  const kinds = stages.map(({ stage }) => stage.kind ?? 'map');
  const columns = new Set<string>();
  const sink = kinds.indexOf('sink');
  let sure = kinds[0] === 'source';
  for (const [index, { name, stage, options, unknown }] of stages.entries()) {
    const refuse = (text: string): void => void found.push({ path: ['stages', index, name], part: 'key', text });
    if (index === 0 && kinds[index] !== 'source') {
      refuse(
        `${name} cannot be the first stage: expected one that gives rows; got ${JSON.stringify(name)}; way out: begin with load`,
      );
    }
    if (index > 0 && kinds[index] === 'source')
      refuse(`${name} gives rows and comes first: expected one such stage; got it as number ${index + 1}`);
    if (kinds[index] === 'sink' && index > sink)
      refuse(`${name} writes rows: expected one such stage; got ${stages[sink]?.name} before it`);
    else if (sink >= 0 && index > sink)
      refuse(
        `${name} comes after ${stages[sink]?.name}: expected ${stages[sink]?.name} to be the last stage; got ${name} behind it`,
      );
    const missing = sure ? (stage.needs ?? []).filter((column) => !columns.has(column)) : [];
    for (const column of missing) refuse(`${name} needs the column "${column}", which no earlier stage adds`);
    sure &&= !unknown && (options !== undefined || typeof stage.adds !== 'function');
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

/** float16 gradients would need loss scaling, which is not implemented. */
function trainable(stages: readonly CheckedStage[], settings: Settings): Issue[] {
  if (settings.policy?.precision !== 'float16' || !pipelineContext(settings, stages).updatesPolicy) return [];
  return [
    {
      path: ['policy', 'precision'],
      text: 'policy.precision: expected bfloat16 or float32 where weights learn, for gradients leave the range of float16; got float16',
    },
  ];
}

/** @param sound those of which the options are right: they alone are known to the others, and have their rules asked. */
function rules(stages: readonly CheckedStage[], sound: readonly CheckedStage[], settings: Settings): Issue[] {
  const around = pipelineContext(settings, sound);
  return stages.flatMap((one, index) =>
    sound.includes(one)
      ? (one.stage.rules?.(one.options, around) ?? []).map((refusal) => issueOf(refusal, index, one.name))
      : [],
  );
}

/**
 * Issues that stages find in the files that their options name.
 *
 * @param skip stages that are not asked.
 */
export async function preflights(
  stages: readonly CheckedStage[],
  skip: (stage: CheckedStage, index: number) => boolean,
): Promise<Issue[]> {
  const found = stages.map(async (one, index) => {
    if (one.options === undefined || skip(one, index)) return [];
    return ((await one.stage.preflight?.(one.options)) ?? []).map((refusal) => issueOf(refusal, index, one.name));
  });
  return (await Promise.all(found)).flat();
}

function issueOf({ option, text }: Refusal, index: number, name: string): Issue {
  return {
    path: ['stages', index, name, ...(option ? option.split('.') : [])],
    part: option ? 'value' : 'key',
    text: option ? `${name}.${option}: ${text}` : `${name}: ${text}`,
  };
}
