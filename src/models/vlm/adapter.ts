import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { messageOf, ModelError } from '../../errors.js';
import { openSafetensors, writeSafetensors, type Tensors } from '../../io/safetensors.js';
import { kindAt } from '../../io/user-files.js';
import type { Layout } from '../../tensor/layout.js';
import { isForAsking } from './checkpoint-files.js';
import { replaceFolder } from './checkpoint.js';
import { check, readJson, type Json } from '../checkpoint-json.js';
import type { VlmConfig } from './architecture.js';
import type { Adapter } from './linear.js';
import {
  adapterOf,
  adapterShapes,
  exampleModule,
  LoraFault,
  modulePath,
  PREFIX,
  sideName,
  visionPattern,
  type LoraOptions,
  type PeftOptions,
} from './lora.js';
import type { FirstValues } from './weights.js';

/** An adapter with its PEFT configuration. */
export interface Peft {
  readonly adapter: Adapter;
  /** Both sides of each matrix, with their initial values. */
  readonly shapes: readonly FirstValues[];
  /** `adapter_config.json`. */
  readonly described: Json;
}

const OPEN = 'which is all that is read';
const whole = z.int('a positive integer').min(1, 'a positive integer');
const positive = z.number('a positive number').gt(0, 'a positive number');
const texts = z.array(z.string());
const modules = z.union([z.string(), texts], 'names of modules, or a regular expression');
const off = z.literal(false, `false, ${OPEN}`).optional();
const none = z
  .unknown()
  .refine((value) => isNeutral(value), `none, ${OPEN}`)
  .optional();

/** Ways to begin an adapter that leave the base as it is. */
const BEGINNINGS = [true, false, 'gaussian', 'eva', 'orthogonal', 'mica'];
const BEGUN = `${BEGINNINGS.join(', ')}, which leave the base's weights as they are; way out: save it with PEFT's path_initial_model_for_weight_conversion`;

/** The keys of PEFT's configuration that are read, and those that would mean another computation. */
const READ = {
  peft_type: z.literal('LORA', '"LORA"'),
  r: whole.default(8),
  lora_alpha: positive.default(8),
  use_rslora: z.boolean('true or false').default(false),
  target_modules: modules,
  exclude_modules: modules.default([]),
  layers_to_transform: z
    .union([z.int(), z.array(z.int())], "a layer's number, or a list of them")
    .transform((layers) => (typeof layers === 'number' ? [layers] : layers))
    .default([]),
  layers_pattern: z
    .union([z.string(), texts], 'an expression, or a list of them')
    .transform((patterns) => (typeof patterns === 'string' ? [patterns] : patterns).filter((one) => one !== ''))
    .default([]),
  rank_pattern: z.record(z.string(), whole, 'ranks by expression').default({}),
  alpha_pattern: z.record(z.string(), positive, 'alphas by expression').default({}),
  init_lora_weights: z
    .unknown()
    .refine((value) => BEGINNINGS.includes(typeof value === 'string' ? value.toLowerCase() : (value as boolean)), BEGUN)
    .default(true),
  bias: z.literal('none', '"none"').default('none'),
  use_dora: off,
  use_qalora: off,
  lora_bias: off,
  alora_invocation_tokens: z.undefined(`none, ${OPEN}`).optional(),
  ...Object.fromEntries(
    [
      'arrow_config',
      'kasa_config',
      'layer_replication',
      'megatron_config',
      'modules_to_save',
      'monteclora_config',
      'target_parameters',
      'trainable_token_indices',
      'use_bdlora',
      'velora_config',
    ].map((key) => [key, none]),
  ),
};

/**
 * Keys that change nothing about an adapter that is there: who wrote it, how it began or was trained, and what is read
 * only beside another key. PEFT takes `fan_in_fan_out` back for linear layers, and ties only what is refused here.
 */
const INDIFFERENT = new Set([
  'auto_mapping',
  'base_model_name_or_path',
  'corda_config',
  'ensure_weight_tying',
  'eva_config',
  'fan_in_fan_out',
  'inference_mode',
  'loftq_config',
  'lora_dropout',
  'lora_ga_config',
  'megatron_core',
  'merge_weights',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
  'task_type',
]);

const PeftConfig = z
  .object(READ)
  .loose()
  .superRefine((config, context) => {
    const refuse = (key: string, message: string): void => context.addIssue({ code: 'custom', path: [key], message });
    for (const [key, value] of Object.entries(config))
      if (!(key in READ) && !INDIFFERENT.has(key) && !isNeutral(value))
        refuse(key, `a key that is known, or one that is off; way out: take it out if it changes nothing`);
    if (typeof config.target_modules === 'string' && config.layers_to_transform.length > 0)
      refuse('layers_to_transform', 'none where target_modules is an expression');
    if (config.layers_pattern.length > 0 && config.layers_to_transform.length === 0)
      refuse('layers_pattern', 'none without layers_to_transform');
  });

/** Whether a value turns a key off, whatever the key means. */
function isNeutral(value: unknown): boolean {
  if (typeof value === 'object') return Object.keys(value ?? {}).length === 0;
  return value === undefined || value === false || value === '';
}

/** PEFT's names of options, for messages. */
const NAMES: Partial<Record<keyof PeftOptions, string>> = {
  rank: 'r',
  alpha: 'lora_alpha',
  targets: 'target_modules',
  pattern: 'target_modules',
  exclude: 'exclude_modules',
  numbered: 'layers_pattern',
  ranks: 'rank_pattern',
  alphas: 'alpha_pattern',
};

/** A new, untrained adapter. @throws {ModelError} for options that don't fit the architecture. */
export function freshAdapter(base: string, config: VlmConfig, options: LoraOptions, seed: number): Peft {
  const adapter = named(
    base,
    (option) => `lora.${option}`,
    () => adapterOf(config, options),
  );
  const described = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base,
    r: options.rank,
    lora_alpha: options.alpha,
    use_rslora: options.rsLora ?? false,
    target_modules: options.pattern ?? options.targets ?? [],
    ...(options.vision === false ? { exclude_modules: visionPattern(config) } : {}),
    bias: 'none',
    lora_dropout: 0,
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
  };
  return { adapter, shapes: adapterShapes(config, adapter, seed), described };
}

/**
 * Reads the configuration of an adapter folder in PEFT's layout; no weight is read.
 *
 * @throws {ModelError} for another kind of adapter, or one that doesn't fit the architecture.
 */
export async function readAdapterConfig(dir: string, config: VlmConfig): Promise<Omit<Peft, 'shapes'>> {
  const file = join(dir, 'adapter_config.json');
  const described = await readJson(file);
  const read = check(PeftConfig, described, file);
  const { target_modules: aim, layers_to_transform: layers } = read;
  const older = await isOlder(dir, config);
  const options: PeftOptions = {
    rank: read.r,
    alpha: read.lora_alpha,
    rsLora: read.use_rslora,
    ...(typeof aim === 'string' ? { pattern: aim } : { targets: aim }),
    exclude: read.exclude_modules,
    layers: layers.length > 0 ? layers : undefined,
    numbered: read.layers_pattern,
    ranks: read.rank_pattern,
    alphas: read.alpha_pattern,
    older,
  };
  const adapter = named(
    file,
    (option) => NAMES[option] ?? option,
    () => adapterOf(config, options),
  );
  return { adapter, described: older ? { ...described, ...spelledOut(config, adapter) } : described };
}

/** Whether its tensors are named as before transformers 4.52; its expressions then mean these names. */
async function isOlder(dir: string, { architecture: { modules } }: VlmConfig): Promise<boolean> {
  const file = join(dir, 'adapter_model.safetensors');
  if (kindAt(file) === undefined) return false;
  const { names } = await openSafetensors(file);
  return names.some((name) => [modules.layers, modules.vision].some((own) => name.startsWith(`${PREFIX}${own}`)));
}

/** Modules by their newer names, one by one: expressions of older names would mean nothing. */
function spelledOut(config: VlmConfig, { matrices }: Adapter): Json {
  return {
    target_modules: matrices.map((name) => modulePath(config, name)),
    exclude_modules: null,
    layers_to_transform: null,
    layers_pattern: null,
  };
}

/**
 * The base checkpoint that an adapter folder names: a folder, or a name on the hub.
 *
 * @throws {ModelError} if it names none.
 */
export async function baseOf(dir: string): Promise<string> {
  const file = join(dir, 'adapter_config.json');
  return check(z.object({ base_model_name_or_path: z.string('a folder or a name') }), await readJson(file), file)
    .base_model_name_or_path;
}

/**
 * Reads an adapter folder in PEFT's layout.
 *
 * @throws {ModelError} also where a tensor is missing, or of another shape.
 */
export async function readAdapter(dir: string, config: VlmConfig): Promise<Peft> {
  const { adapter, described } = await readAdapterConfig(dir, config);
  const file = join(dir, 'adapter_model.safetensors');
  const tensors = await openSafetensors(file);
  const shapes = adapterShapes(config, adapter);
  const spelled = spellings(config, adapter, tensors);
  for (const { name, sizes } of shapes) {
    const expected = Object.values(sizes);
    const stored = spelled.get(name) ?? name;
    const { shape } = tensors.info(stored);
    if (shape.join() !== expected.join())
      throw new ModelError(`${file}  ${stored}: expected shape [${expected.join(', ')}]; got [${shape.join(', ')}]`);
  }
  const names = new Set(spelled.values());
  const stray = tensors.names.find((name) => !names.has(name));
  if (stray !== undefined)
    throw new ModelError(
      `${file}  ${stray}: expected ${PREFIX}${exampleModule(config)}.lora_A.weight and the like, of what target_modules hits; got another tensor`,
    );
  const read = await Promise.all(
    shapes.map(async (shape) => {
      const values = await tensors.readFinite(spelled.get(shape.name) as string);
      return { ...shape, first: (i: number): number => values[i] };
    }),
  );
  return { adapter, shapes: read, described };
}

/** The name of each side in the file, by our name of it. */
export function spellings(config: VlmConfig, { matrices }: Adapter, tensors: Tensors): Map<string, string> {
  const older = (name: string, side: 'A' | 'B'): string =>
    `${PREFIX}${name.replace(/\.weight$/, '')}.lora_${side}.weight`;
  const pairs = matrices.flatMap((name) =>
    (['A', 'B'] as const).map((side) => [sideName(config, name, side), older(name, side)] as const),
  );
  return new Map(pairs.map(([own, before]) => [own, !tensors.has(own) && tensors.has(before) ? before : own]));
}

/**
 * Writes an adapter folder in PEFT's layout, with the tokenizer's and image processor's files of `from`; appears whole
 * or not at all.
 *
 * @param values of the layout, of which only the adapter's are written.
 */
export async function saveAdapter(
  from: string,
  dir: string,
  { shapes, described }: Peft,
  layout: Layout,
  values: Float32Array,
): Promise<void> {
  const own = new Set(shapes.map(({ name }) => name));
  const tensors = layout.entries
    .filter(({ name }) => own.has(name))
    .map(({ name, sizes, offset, length }) => ({
      name,
      dtype: 'F32' as const,
      shape: sizes,
      data: values.subarray(offset, offset + length),
    }));
  await replaceFolder(from, dir, isForAsking, async (fresh) => {
    await writeFile(join(fresh, 'adapter_config.json'), `${JSON.stringify(described, null, 2)}\n`);
    await writeSafetensors(join(fresh, 'adapter_model.safetensors'), tensors, { format: 'pt' });
  });
}

/** @throws {ModelError} with the option's name in the file at fault. */
function named<T>(where: string, nameOf: (option: keyof PeftOptions) => string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof LoraFault)) throw error;
    throw new ModelError(`${where}  ${nameOf(error.option)}: ${messageOf(error)}`, { cause: error });
  }
}
