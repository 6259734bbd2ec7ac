import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { messageOf, ModelError } from '../../errors.js';
import { openSafetensors, writeSafetensors } from '../../io/safetensors.js';
import type { Layout } from '../../tensor/layout.js';
import { replaceFolder } from './checkpoint.js';
import { check, readJson, type Json } from '../checkpoint-json.js';
import type { VlmConfig } from './architecture.js';
import type { Adapter } from './linear.js';
import { adapterOf, adapterShapes, exampleModule, visionPattern, type LoraOptions } from './lora.js';
import type { FirstValues } from './weights.js';

/** An adapter with its PEFT configuration. */
export interface Peft {
  readonly adapter: Adapter;
  /** Both sides of each matrix, with their initial values. */
  readonly shapes: readonly FirstValues[];
  /** `adapter_config.json`. */
  readonly described: Json;
}

const plain = <T extends z.ZodType>(kind: T, expected: string): z.ZodType<unknown> =>
  z.union([kind, z.null()], expected).optional();
const none = z
  .unknown()
  .refine((value) => Object.keys(value ?? {}).length === 0, 'none, which is all that is read')
  .optional();
const off = plain(z.literal(false), 'false, which is all that is read');

/** The keys of PEFT's configuration that are read, and those that are refused. */
const PeftConfig = (vision: string) =>
  z.object({
    peft_type: z.literal('LORA', '"LORA"'),
    r: z.int('a positive integer').min(1, 'a positive integer'),
    lora_alpha: z.number('a positive number').gt(0, 'a positive number'),
    use_rslora: z.boolean('true or false').nullish(),
    target_modules: z.union([z.string(), z.array(z.string())], 'names of modules, or a regular expression'),
    exclude_modules: plain(z.literal(vision), `nothing, or ${JSON.stringify(vision)}`),
    layers_to_transform: none,
    layer_replication: none,
    bias: plain(z.literal('none'), '"none"'),
    use_dora: off,
    fan_in_fan_out: off,
    lora_bias: off,
    rank_pattern: none,
    alpha_pattern: none,
    modules_to_save: none,
    target_parameters: none,
    trainable_token_indices: none,
  });

/** A new, untrained adapter. @throws {ModelError} for options that don't fit the architecture. */
export function freshAdapter(base: string, config: VlmConfig, options: LoraOptions, seed: number): Peft {
  const adapter = named(`${base}  lora:`, () => adapterOf(config, options));
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
  const {
    r,
    lora_alpha: alpha,
    use_rslora: rsLora,
    target_modules: modules,
    exclude_modules: excluded,
  } = check(PeftConfig(visionPattern(config)), described, file);
  const chosen = typeof modules === 'string' ? { pattern: modules } : { targets: modules };
  const options = { rank: r, alpha, rsLora: rsLora ?? false, ...chosen, vision: (excluded ?? null) === null };
  return { adapter: named(`${file}  target_modules:`, () => adapterOf(config, options)), described };
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
  const wanted = adapterShapes(config, adapter);
  for (const { name, sizes } of wanted) {
    const expected = Object.values(sizes);
    const { shape } = tensors.info(name);
    if (shape.join() !== expected.join())
      throw new ModelError(`${file}  ${name}: expected shape [${expected.join(', ')}]; got [${shape.join(', ')}]`);
  }
  const names = new Set(wanted.map(({ name }) => name));
  const stray = tensors.names.find((name) => !names.has(name));
  if (stray !== undefined)
    throw new ModelError(
      `${file}  ${stray}: expected base_model.model.${exampleModule(config)}.lora_A.weight and the like, of what target_modules hits; got another tensor`,
    );
  const shapes = await Promise.all(
    wanted.map(async (shape) => {
      const values = await tensors.read(shape.name);
      return { ...shape, first: (i: number): number => values[i] };
    }),
  );
  return { adapter, shapes, described };
}

/** Files that prompts need beside the adapter. */
const BESIDE =
  /^(tokenizer|special_tokens|added_tokens|vocab|merges|chat_template|preprocessor|processor|video_preprocessor)/;

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
  await replaceFolder(
    from,
    dir,
    (file) => BESIDE.test(file),
    async (fresh) => {
      await writeFile(join(fresh, 'adapter_config.json'), `${JSON.stringify(described, null, 2)}\n`);
      await writeSafetensors(join(fresh, 'adapter_model.safetensors'), tensors, { format: 'pt' });
    },
  );
}

function named<T>(where: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new ModelError(`${where} ${messageOf(error)}`, { cause: error });
  }
}
