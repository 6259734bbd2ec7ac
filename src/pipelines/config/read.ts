import { dirname, resolve } from 'node:path';

import { Document, visit } from 'yaml';

import { defined } from '../../defined.js';
import { messageOf, shown, UsageError } from '../../errors.js';
import { inLine, isPrintable, printable } from '../../printable.js';
import { policyFault } from '../../models/policies.js';
import { isOfModule, optionsOf, segmenterDefinition } from '../../models/segmenters.js';
import { settleDevices, unusableDevices } from './devices.js';
import { settledOptimizer } from './optimizer.js';
import { withoutKeysOf } from './credentials.js';
import { check, isWrong, preflights, type Checked } from './check.js';
import type { Issue } from './issues.js';
import { valueAt } from './schema-paths.js';
import type { Path } from './yaml-source.js';
import { segmenterModule, withModules } from './plugins.js';
import { knownNames } from '../../nearest.js';
import { beside, findPipeline, type Picked } from './find.js';
import { applied, clearedKeys, readOverride, stageEntries, type Override, withoutKeys } from './overrides.js';
import { byEvaluation, evaluateOf, Settings } from '../settings.js';
import { pipelineContext, type Stage, type CheckedStage } from '../stage.js';
import { stages } from '../stages/table.js';

export interface ReadOptions {
  /** `key=value` each, as after `--set`. */
  readonly set?: readonly string[];
  /** Where names of pipelines are looked up. */
  readonly pipelinesFile?: string;
  /** The stages that a file may name, besides its own modules'. */
  readonly table?: ReadonlyMap<string, Stage>;
  /** Whether the modules that it names are run, once all else is right; default true. What only they tell is unchecked without. */
  readonly runModules?: boolean;
}

/** A pipeline in which nothing is left to refuse: names known, options complete, order right, files there. */
export interface Pipeline {
  readonly name: string;
  /** The YAML file, absolute. */
  readonly file: string;
  readonly settings: Settings;
  readonly stages: readonly CheckedStage[];
  /** Notices about what was settled for the policy. */
  readonly settled?: readonly string[];
  /** What `evaluate` names, with this pipeline's policy. */
  readonly evaluation?: Pipeline;
  /** Modules that it names and that were not run, absolute: such a pipeline can be looked at, not run. */
  readonly unchecked: readonly string[];
}

/**
 * Reads and checks a pipeline; opens no model. Modules that it names are run last.
 *
 * Paths in the file are relative to its folder, those of `set` to the working folder.
 *
 * @param what a YAML file, or the name of a pipeline.
 * @throws {UsageError} with every mistake of the file and of `set`, a line each: `file:line:col what: expected …; got
 * …`.
 */
export async function readPipeline(
  what: string,
  { set = [], pipelinesFile, table = stages, runModules = true }: ReadOptions = {},
): Promise<Pipeline> {
  const picked = findPipeline(what, pipelinesFile);
  const written = valueAt(picked.document.value, picked.path);
  const { overrides, lines } = readOverrides(set, written);
  const looked = await readWhole({ picked, overrides, table, run: false }, lines);
  if (!runModules || looked.unchecked.length === 0) return looked;
  return await readWhole({ picked, overrides, table, run: true }, []);
}

/** What a pipeline is read from. */
interface Source {
  readonly picked: Picked;
  readonly overrides: readonly Override[];
  readonly table: ReadonlyMap<string, Stage>;
  /** Whether its modules are run. */
  readonly run: boolean;
}

/** @throws {UsageError} with the lines, and those of the pipeline and of the one that it evaluates with. */
async function readWhole(source: Source, lines: readonly string[]): Promise<Pipeline> {
  const { picked, overrides } = source;
  const map = applied(valueAt(picked.document.value, picked.path), overrides);
  const { pipeline, lines: own } = await readMap(source, map);
  const evaluation = await readEvaluation(source, pipeline);
  const all = [...lines, ...own, ...evaluation.lines];
  const hidden = withoutKeysOf(map);
  if (all.length > 0) throw new UsageError(all.map((line) => inLine(hidden(line))).join('\n'));
  if (!evaluation.pipeline) return pipeline;
  const unchecked = [...new Set([...pipeline.unchecked, ...evaluation.pipeline.unchecked])];
  return { ...pipeline, evaluation: evaluation.pipeline, unchecked };
}

/** A pipeline as far as it could be read, and what is wrong with it, a line each, in the order of the file. */
interface Read<P> {
  readonly pipeline: P;
  readonly lines: readonly string[];
}

/** @param given key of the map that was checked before. */
async function readMap(source: Source, map: unknown, given?: string): Promise<Read<Pipeline>> {
  const { picked, overrides } = source;
  const { settings: read, stages: used, issues: found, unchecked } = await checkMap(source, map);
  const issues = found.filter(({ path }) => path[0] !== given || given === undefined);
  const blamed = issues.length > 0 ? await blame(source, issues) : () => undefined;
  const lines = inOrder(issues, picked).map(
    (issue) => `${blamed(issue) ?? place(picked, overrides, issue)}  ${issue.text}`,
  );
  const folder = dirname(picked.document.file);
  const onDevices = settleDevices(read);
  const { policy, notice } = await settledPolicy(onDevices, used, lines.length > 0);
  const settings = {
    ...onDevices,
    ...(policy && { policy }),
    operators: read.operators.map((path) => resolve(folder, path)),
  };
  const pipeline = { name: picked.name, file: picked.document.file, settings, stages: used, unchecked };
  return { pipeline: { ...pipeline, ...(notice !== undefined && { settled: [notice] }) }, lines };
}

/** The policy with the place of its optimizer settled, if nothing is refused. */
async function settledPolicy(
  settings: Settings,
  used: readonly CheckedStage[],
  refused: boolean,
): Promise<{ readonly policy?: Settings['policy']; readonly notice?: string }> {
  if (!settings.policy || refused) return {};
  const { optimizer, notice } = await settledOptimizer(pipelineContext(settings, used), settings.policy);
  return { policy: { ...settings.policy, optimizer }, ...(notice !== undefined && { notice }) };
}

/** Everything that is wrong with a map, and the modules that were not run. */
async function checkMap(
  { picked, overrides, table, run }: Source,
  map: unknown,
): Promise<Checked & { readonly unchecked: readonly string[] }> {
  const folder = dirname(picked.document.file);
  const operators = valueAt(map, ['operators']);
  const paths = Array.isArray(operators) ? operators.filter((path) => typeof path === 'string') : [];
  const own = await withModules(table, paths, folder, run);
  const resolvePath = (path: string, at: Path): string => resolve(overriding(overrides, at) ? '.' : folder, path);
  const segmenter = run ? await segmenterModule(map, resolvePath) : { issues: [] };
  const modules = {
    table: own.table,
    // Also where one is refused: its stages are not known.
    more: paths.length > 0 && (!run || own.issues.length > 0),
    ...defined({ segmenter: segmenter.definition }),
  };
  const first = check(map, modules, resolvePath);
  const cleared = clearedKeys(overrides, first.issues);
  const checked = cleared.length === 0 ? first : check(withoutKeys(map, cleared), modules, resolvePath);
  const issues = [...own.issues, ...segmenter.issues, ...checked.issues];
  issues.push(...(await unreadable({ ...checked, issues }, run)));
  const named = ({ stage, options }: CheckedStage): readonly string[] => stage.modules?.(options) ?? [];
  issues.push(
    ...(await preflights(
      checked.stages,
      (one, index) => isWrong(issues, ['stages', index]) || (!run && named(one).length > 0),
    )),
  );
  const choice = checked.settings.segmenter;
  const all = [
    ...paths.map((path) => resolve(folder, path)),
    ...(choice && isOfModule(choice) ? [choice.module] : []),
    ...checked.stages.flatMap((one) => (one.options === undefined || one.unknown ? [] : named(one))),
  ];
  return { ...checked, issues, unchecked: run ? [] : [...new Set(all)] };
}

/** What keeps models that stages use from being opened, as far as their configurations and headers say; no weight is read. */
async function unreadable(
  { settings: { policy, segmenter }, settings, stages: used, issues }: Checked,
  run: boolean,
): Promise<Issue[]> {
  const uses = (model: 'policy' | 'segmenter'): boolean =>
    used.some(({ stage }) => stage.uses?.includes(model)) && !isWrong(issues, [model]);
  const issue = (model: string, { option, text }: { readonly option: string; readonly text: string }): Issue => ({
    path: [model, ...option.split('.')],
    text: `${model}.${option}: ${text}`,
  });
  const found = unusableDevices(settings, uses);
  const wrong = policy && uses('policy') ? await policyFault(policy) : undefined;
  if (wrong) found.push(issue('policy', wrong));
  if (!segmenter || !uses('segmenter') || (!run && isOfModule(segmenter))) return found;
  const fault = await (await segmenterDefinition(segmenter)).fault?.(optionsOf(segmenter));
  return fault ? [...found, issue('segmenter', fault)] : found;
}

/** The pipeline that `evaluate` names: its own stages and segmenter, and the policy of the one that is evaluated. */
async function readEvaluation(source: Source, pipeline: Pipeline): Promise<Read<Pipeline | undefined>> {
  const { picked, overrides, run } = source;
  const { settings } = pipeline;
  const { pipeline: name, every } = evaluateOf(settings) ?? {};
  const refused = (text: string, path: Path = ['evaluate']): Read<undefined> => ({
    pipeline: undefined,
    lines: [`${place(picked, overrides, { path, text })}  ${text}`],
  });
  if (byEvaluation(settings.checkpoints.best) && every === undefined) {
    return refused(
      `checkpoints.best: expected evaluate: { pipeline, every }, of which such a metric comes; got ${shown(settings.evaluate ?? undefined)}`,
      ['checkpoints', 'best'],
    );
  }
  if (name === undefined) return { pipeline: undefined, lines: [] };
  if (every !== undefined && !updatesPolicy(pipeline) && isKnown(pipeline))
    return refused('evaluate.every: expected a stage that learns, such as update; got none', ['evaluate', 'every']);
  const other = beside(picked, name);
  if (!('document' in other))
    return refused(
      `evaluate: expected another pipeline of this file; got ${JSON.stringify(name)}; ${knownNames(name, other)}`,
    );
  if (!settings.policy)
    return refused(`evaluate: expected the key "policy", whose training is to be evaluated; got none`);
  const written = valueAt(other.document.value, other.path);
  const map = { ...(written as Record<string, unknown>), policy: settings.policy, evaluate: null };
  const read = await readMap({ ...source, picked: other, overrides: [], run }, map, 'policy');
  if (read.lines.length > 0) return read;
  if (!read.pipeline.stages.some(({ stage }) => stage.summarizes) && isKnown(read.pipeline))
    return refused(`evaluate: expected a pipeline with the stage tally; got ${JSON.stringify(name)} without`);
  if (every === undefined || !updatesPolicy(read.pipeline)) return read;
  return refused(
    `evaluate: expected a pipeline that changes no weight, for between steps it shares those that learn; got ${JSON.stringify(name)}, which may`,
  );
}

/** Whether all of its stages are known. */
function isKnown({ stages: used }: Pipeline): boolean {
  return used.every(({ unknown }) => !unknown);
}

function updatesPolicy({ settings, stages: used }: Pipeline): boolean {
  return pipelineContext(settings, used).updatesPolicy;
}

/** The pipeline's map with defaults filled in and paths absolute. */
export function resolved({ settings, stages }: Pipeline): Record<string, unknown> {
  const { operators, ...rest } = settings;
  return {
    ...rest,
    ...(operators.length > 0 && { operators }),
    stages: stages.map(({ name, options }) => ({ [name]: options })),
  };
}

/** The pipeline as YAML that reads back to the same, the one that it evaluates with beside it. */
export function resolvedYaml(pipeline: Pipeline): string {
  const { name, evaluation } = pipeline;
  const document = new Document({
    [name]: resolved(pipeline),
    ...(evaluation && { [evaluation.name]: resolved(evaluation) }),
  });
  // In double quotes, and only there, YAML reads an escaped sign back.
  visit(document, {
    Scalar: (_, scalar) => {
      if (typeof scalar.value === 'string' && !isPrintable(scalar.value.replaceAll('\n', '')))
        scalar.type = 'QUOTE_DOUBLE';
    },
  });
  return printable(document.toString());
}

function readOverrides(set: readonly string[], map: unknown): { overrides: Override[]; lines: string[] } {
  const names = stageEntries(valueAt(map, ['stages'])).map(([name]) => name);
  const overrides: Override[] = [];
  const lines: string[] = [];
  for (const text of set) {
    try {
      overrides.push(readOverride(text, Object.keys(Settings.shape), names));
    } catch (error) {
      lines.push(messageOf(error));
    }
  }
  return { overrides, lines };
}

/**
 * The override that an issue comes of: the value stands in the file, and is wrong beside that override alone.
 *
 * @returns what was typed, for an issue; undefined where it would be there without any.
 */
async function blame(source: Source, issues: readonly Issue[]): Promise<(issue: Issue) => string | undefined> {
  const { picked, overrides } = source;
  const written = valueAt(picked.document.value, picked.path);
  const texts = async (some: readonly Override[]): Promise<ReadonlySet<string>> => {
    const { issues: found } = await checkMap({ ...source, overrides: some }, applied(written, some));
    return new Set(found.map(({ text }) => text));
  };
  const elsewhere = issues.filter(({ path }) => !overriding(overrides, path));
  if (overrides.length === 0 || elsewhere.length === 0) return () => undefined;
  const without = await texts([]);
  const own = elsewhere.filter(({ text }) => !without.has(text));
  const causes = new Map<string, string>();
  for (const override of own.length > 0 ? overrides : []) {
    const others = await texts(overrides.filter((one) => one !== override));
    for (const { text } of own) if (!others.has(text) && !causes.has(text)) causes.set(text, override.typed);
  }
  return ({ text }) => causes.get(text);
}

/** The last override that wrote the value at `path`, or something around it. */
function overriding(overrides: readonly Override[], path: Path): Override | undefined {
  return overrides.findLast((override) => override.path.every((step, depth) => String(step) === String(path[depth])));
}

function place({ document, path }: Picked, overrides: readonly Override[], issue: Issue): string {
  return overriding(overrides, issue.path)?.typed ?? document.at([...path, ...issue.path], issue.part);
}

/** In the order of the file. */
function inOrder(issues: readonly Issue[], { document, path }: Picked): Issue[] {
  const offset = (issue: Issue): number => document.offset([...path, ...issue.path], issue.part);
  return issues.toSorted((a, b) => offset(a) - offset(b));
}
