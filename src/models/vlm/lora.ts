import { shown } from '../../errors.js';
import { hash, uniform } from '../../random.js';
import type { Precision, Tensor } from '../../tensor/graph.js';
import type { VlmConfig } from './architecture.js';
import type { Adapter, Linear } from './linear.js';
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
   * `model.language_model.layers.0.self_attn.q_proj`.
   */
  readonly pattern?: string | undefined;
  /** Whether the vision tower may have adapters; true by default. */
  readonly vision?: boolean;
}

/** Names of the vision tower's modules in PEFT: a regular expression of a whole path. */
export function visionPattern({ architecture }: VlmConfig): string {
  return `${architecture.newerName(architecture.modules.vision).replaceAll('.', String.raw`\.`)}.*`;
}

/** A module's path in PEFT: newer names, without `.weight`. */
export function modulePath({ architecture }: VlmConfig, weight: string): string {
  return architecture.newerName(weight).replace(/\.weight$/, '');
}

/** PEFT's name of one side of an adapted matrix. */
export function sideName(config: VlmConfig, weight: string, side: 'A' | 'B'): string {
  return `base_model.model.${modulePath(config, weight)}.lora_${side}.weight`;
}

/**
 * The adapter that the options describe.
 *
 * @throws {RangeError} if they match nothing, or a module that is not a separate linear layer.
 */
export function adapterOf(config: VlmConfig, options: LoraOptions): Adapter {
  const chosen = chooser(config, options);
  const { architecture, text } = config;
  // A tied head is the embedding table under another name.
  const tied = text.tied ? [{ name: `${architecture.modules.head}.weight`, sizes: {} }] : [];
  const weights = [...architecture.weightShapes(config), ...tied];
  const hit = weights.filter(({ name }) => name.endsWith('.weight') && chosen(modulePath(config, name)));
  const odd = hit.find((shape) => !isLinear(config, shape));
  if (odd)
    throw new RangeError(
      `expected linear layers with weights of their own; got ${modulePath(config, odd.name)} among them`,
    );
  if (hit.length === 0)
    throw new RangeError(
      `expected some linear layer; got none for ${shown(options.pattern ?? options.targets)}; modules are called ${exampleModule(config)} and the like`,
    );
  return {
    rank: options.rank,
    scale: options.alpha / (options.rsLora ? Math.sqrt(options.rank) : options.rank),
    matrices: hit.map(({ name }) => name),
  };
}

function chooser(config: VlmConfig, { targets = [], pattern, vision = true }: LoraOptions): (path: string) => boolean {
  const whole = pattern === undefined ? undefined : new RegExp(`^(?:${pattern})$`);
  const tower = new RegExp(`^${visionPattern(config)}$`);
  return (path) =>
    (vision || !tower.test(path)) &&
    (whole ? whole.test(path) : targets.some((target) => path === target || path.endsWith(`.${target}`)));
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
export function adapterShapes(config: VlmConfig, { rank, matrices }: Adapter, seed = 0): FirstValues[] {
  const known = new Map(config.architecture.weightShapes(config).map(({ name, sizes }) => [name, sizes]));
  return matrices.flatMap((name) => {
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
function adapted(config: VlmConfig, inputs: Weights, { scale, matrices }: Adapter): Weights {
  const own = new Set(matrices);
  const linear = (module: string): Linear => {
    const layer = inputs.linear(module);
    const matrix = `${module}.weight`;
    return own.has(matrix)
      ? {
          ...layer,
          adapter: { down: inputs(sideName(config, matrix, 'A')), up: inputs(sideName(config, matrix, 'B')), scale },
        }
      : layer;
  };
  return Object.assign((name: string) => inputs(name), { linear });
}
