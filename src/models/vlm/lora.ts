import { messageOf, shown } from '../../errors.js';
import { hash, uniform } from '../../random.js';
import type { Precision, Tensor } from '../../tensor/graph.js';
import type { VlmConfig } from './architecture.js';
import { adaptedBy, type Adapter, type Linear } from './linear.js';
import { matches, meant, type ModuleChoice } from './module-pattern.js';
import { heldIn, weightInputs, type FirstValues, type Weights, type WeightShape } from './weights.js';

/** Which linear layers get an adapter, and of what size. */
export interface LoraOptions {
  readonly rank: number;
  /** The scale is `alpha / rank`. */
  readonly alpha: number;
  /** `alpha / √rank` instead. @see arXiv:2312.03732 */
  readonly rsLora?: boolean;
  /** Modules by name: `q_proj` is every module with this name or ending in `.q_proj`, in the vision tower too. */
  readonly targets?: readonly string[] | undefined;
  /**
   * Instead of `targets`, a regular expression of the module's whole path, such as
   * `model.language_model.layers.0.self_attn.q_proj`; or `all-linear`, which is all but the output head.
   */
  readonly pattern?: string | undefined;
  /** Whether the vision tower may have adapters; true by default. */
  readonly vision?: boolean;
}

/** What only PEFT's configuration says beside. */
export interface PeftOptions extends LoraOptions {
  /** Modules that have none, as `targets` or `pattern`. */
  readonly exclude?: ModuleChoice | undefined;
  /** Of the modules named in `targets`, only those in layers of these numbers. */
  readonly layers?: readonly number[] | undefined;
  /** Expressions of what is numbered; whatever is numbered first by default. */
  readonly numbered?: readonly string[] | undefined;
  /** Ranks and alphas of the modules that an expression means, the first that does; it may begin after any dot. */
  readonly ranks?: Readonly<Record<string, number>> | undefined;
  readonly alphas?: Readonly<Record<string, number>> | undefined;
  /** Whether modules are called as transformers called them before 4.52: `model.layers…`, `visual…`. */
  readonly older?: boolean | undefined;
}

/** A fault of an adapter's options: which one, and what is wrong. */
export class LoraFault extends RangeError {
  readonly option: keyof PeftOptions;

  constructor(option: keyof PeftOptions, text: string, cause?: unknown) {
    super(text, { cause });
    this.option = option;
  }
}

function of<T>(option: keyof PeftOptions, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new LoraFault(option, messageOf(error), error);
  }
}

/** Names of the vision tower's modules in PEFT: a regular expression of a whole path. */
export function visionPattern({ architecture }: VlmConfig): string {
  return `${architecture.newerName(architecture.modules.vision).replaceAll('.', String.raw`\.`)}.*`;
}

/** A module's path in PEFT: newer names, without `.weight`. */
export function modulePath({ architecture }: VlmConfig, weight: string): string {
  return architecture.newerName(weight).replace(/\.weight$/, '');
}

/** What PEFT puts before a module's path. */
export const PREFIX = 'base_model.model.';

/** PEFT's name of one side of an adapted matrix. */
export function sideName(config: VlmConfig, weight: string, side: 'A' | 'B'): string {
  return `${PREFIX}${modulePath(config, weight)}.lora_${side}.weight`;
}

/**
 * The adapter that the options describe.
 *
 * @throws {LoraFault} if they match nothing, or a module that is not a separate linear layer; for an expression that
 * can't be read or takes too long, and for a rank that no matrix can have.
 */
export function adapterOf(config: VlmConfig, options: PeftOptions): Adapter {
  const { architecture, text } = config;
  const head = `${architecture.modules.head}.weight`;
  // A tied head is the embedding table under another name.
  const tied = text.tied ? [{ name: head, sizes: {} }] : [];
  const weights = [...architecture.weightShapes(config), ...tied].filter(({ name }) => name.endsWith('.weight'));
  const pathOf = ({ name }: WeightShape): string =>
    options.older ? name.replace(/\.weight$/, '') : modulePath(config, name);
  const paths = weights.map(pathOf);
  const aim = options.pattern === undefined ? 'targets' : 'pattern';
  const everyLinear = options.pattern?.toLowerCase() === 'all-linear';
  const aimed = everyLinear
    ? weights.map((shape) => shape.name !== head && isLinear(config, shape))
    : of(aim, () => meant(options.pattern ?? options.targets ?? [], paths));
  const left = leftOut(config, options, paths);
  const hit = weights.filter((_, i) => aimed[i] && !left[i]);
  const odd = hit.find((shape) => !isLinear(config, shape));
  if (odd) throw new LoraFault(aim, `expected linear layers with weights of their own; got ${pathOf(odd)} among them`);
  if (hit.length === 0)
    throw new LoraFault(
      aim,
      `expected some linear layer; got none for ${shown(options.pattern ?? options.targets)}; modules are called ${exampleModule(config)} and the like`,
    );
  const { rank, alpha } = options;
  const scaleOf = (a: number, r: number): number => a / (options.rsLora ? Math.sqrt(r) : r);
  const ranks = of('ranks', () => named(options.ranks, hit.map(pathOf), rank));
  const alphas = of('alphas', () => named(options.alphas, hit.map(pathOf), alpha));
  const own = hit.flatMap(({ name }, i) =>
    ranks[i] === rank && alphas[i] === alpha
      ? []
      : [[name, { rank: ranks[i], scale: scaleOf(alphas[i], ranks[i]) }] as const],
  );
  const adapter = {
    rank,
    scale: scaleOf(alpha, rank),
    matrices: hit.map(({ name }) => name),
    ...(own.length > 0 ? { own: new Map(own) } : {}),
  };
  sensible(adapter, hit);
  return adapter;
}

/** Which paths the options take out of those that they name. */
function leftOut(
  config: VlmConfig,
  { vision = true, exclude = [], layers, numbered = [], targets = [], pattern }: PeftOptions,
  paths: readonly string[],
): boolean[] {
  const tower = meant(vision ? [] : visionPattern(config), paths);
  const excluded = of('exclude', () => meant(exclude, paths));
  const whole = new Set(targets);
  const index =
    layers === undefined || pattern !== undefined
      ? paths.map(() => null)
      : of('numbered', () => layerNumbers(numbered, paths));
  const elsewhere = (i: number): boolean =>
    layers !== undefined && !whole.has(paths[i]) && !layers.includes(Number(index[i] ?? NaN));
  return paths.map((_, i) => tower[i] || excluded[i] || elsewhere(i));
}

/** The number of each path's layer: the first that stands between dots, or behind one of the expressions; or null. */
function layerNumbers(numbered: readonly string[], paths: readonly string[]): (string | null)[] {
  if (numbered.length === 0) return paths.map((path) => /^.*?\.[^.]*\.(\d+)\./.exec(path)?.[1] ?? null);
  const found = matches(numbered, (own) => String.raw`^(?:.*?\.)??(?:${own})\.(?<idx>\d+)\.`, paths);
  return paths.map((_, i) => found.map((one) => one[i]).find((number) => number !== null) ?? null);
}

/** The value of the first expression that means a path's end, or `otherwise`. */
function named(patterns: Readonly<Record<string, number>> = {}, paths: readonly string[], otherwise: number): number[] {
  const found = matches(Object.keys(patterns), (own) => String.raw`^(?:.*\.)?(?:${own})$`, paths);
  const values = Object.values(patterns);
  return paths.map((_, i) => values[found.findIndex((fits) => fits[i] !== null)] ?? otherwise);
}

/** @throws {LoraFault} for a rank above all sides of the matrices, and a factor that float32 doesn't hold. */
function sensible(adapter: Adapter, shapes: readonly WeightShape[]): void {
  const most = shapes.reduce((longest, { sizes }) => Math.max(longest, ...Object.values(sizes)), 0);
  for (const { rank, scale } of [adapter, ...(adapter.own?.values() ?? [])]) {
    if (rank > most)
      throw new LoraFault('rank', `expected at most ${most}, the longest side of the matrices; got ${rank}`);
    if (!Number.isFinite(Math.fround(scale)))
      throw new LoraFault('alpha', `expected a factor of B · A that float32 holds; got ${scale}`);
  }
}

/** The patches' embedding is a convolution, the tokens' a table. */
function isLinear({ architecture: { modules } }: VlmConfig, { name, sizes }: WeightShape): boolean {
  const odd = [modules.patches, modules.embedding].map((module) => `${module}.weight`);
  return Object.keys(sizes).length === 2 && !odd.includes(name);
}

/** Linear layers of the language model, as `weightShapes` names their matrices. */
function languageMatrices(config: VlmConfig): string[] {
  const { architecture } = config;
  return architecture
    .weightShapes(config)
    .filter((shape) => shape.name.startsWith(architecture.modules.layers) && isLinear(config, shape))
    .map(({ name }) => name);
}

/** A module that an adapter may name, for messages. */
export function exampleModule(config: VlmConfig): string {
  return modulePath(config, languageMatrices(config)[0]);
}

/** An adapter of every linear layer of the language model. */
export function languageAdapter(config: VlmConfig, rank: number, alpha: number): Adapter {
  return { rank, scale: alpha / rank, matrices: languageMatrices(config) };
}

/**
 * Both sides of every adapted matrix, [rank, in] and [out, rank], under PEFT's names.
 *
 * They begin as PEFT's do: A uniform within 1 / √in, drawn by the seed and its name, B at 0.
 */
export function adapterShapes(config: VlmConfig, adapter: Adapter, seed = 0): FirstValues[] {
  const known = new Map(config.architecture.weightShapes(config).map(({ name, sizes }) => [name, sizes]));
  return adapter.matrices.flatMap((name) => {
    const { rank } = adaptedBy(adapter, name);
    const [[out, rows], [into, columns]] = Object.entries(known.get(name) ?? {}) as [
      [string, number],
      [string, number],
    ];
    const bound = 1 / Math.sqrt(columns);
    const key = hash(seed, sideName(config, name, 'A'));
    return [
      {
        name: sideName(config, name, 'A'),
        sizes: { rank, [into]: columns },
        first: (i) => bound * (2 * uniform(key, i) - 1),
      },
      { name: sideName(config, name, 'B'), sizes: { [out]: rows, rank }, first: () => 0 },
    ];
  });
}

/** A policy's weights as graph inputs, with the trained ones. */
export interface PolicyWeights {
  readonly weights: Weights;
  /** The trained ones so far: the adapter's if there is one, else all; and the extra ones. */
  readonly trained: () => readonly { readonly name: string; readonly tensor: Tensor }[];
}

/**
 * @param extra weights beside the checkpoint's own.
 * @param held format of the checkpoint's frozen matrices; float32 by default.
 */
export function policyWeights(
  config: VlmConfig,
  adapter?: Adapter,
  extra: readonly WeightShape[] = [],
  held: Precision = 'float32',
): PolicyWeights {
  const base = config.architecture.weightShapes(config).map((shape) => ({ ...shape, dtype: heldIn(shape, held) }));
  const inputs = weightInputs([...base, ...(adapter ? adapterShapes(config, adapter) : []), ...extra]);
  const frozen = new Set(adapter ? base.map(({ name }) => name) : []);
  return {
    weights: adapter ? adapted(config, inputs, adapter) : inputs,
    trained: () => inputs.traced().filter(({ name }) => !frozen.has(name)),
  };
}

/** The same weights, with both sides of the adapter at its layers. */
function adapted(config: VlmConfig, inputs: Weights, adapter: Adapter): Weights {
  const own = new Set(adapter.matrices);
  const linear = (module: string): Linear => {
    const layer = inputs.linear(module);
    const matrix = `${module}.weight`;
    return own.has(matrix)
      ? {
          ...layer,
          adapter: {
            down: inputs(sideName(config, matrix, 'A')),
            up: inputs(sideName(config, matrix, 'B')),
            scale: adaptedBy(adapter, matrix).scale,
          },
        }
      : layer;
  };
  return Object.assign((name: string) => inputs(name), { linear });
}
