import { copyFile, readdir, readFile, realpath, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { ModelError, UsageError } from '../../errors.js';
import { writeShards, type FLOATS, type StoredTensor } from '../../io/safetensors.js';
import { kindAt } from '../../io/user-files.js';
import { replaceWhole } from '../../io/whole-folder.js';
import { readJson } from '../checkpoint-json.js';
import { isBesideWeights } from './checkpoint-files.js';
import type { Store, WeightFiles } from './weight-files.js';

/** Formats for saved weights, by their names in `config.json`. */
export const PRECISIONS = { float32: 'F32', bfloat16: 'BF16', float16: 'F16' } as const;
export type Precision = keyof typeof PRECISIONS;

/**
 * Copies a checkpoint to `dir`, with new weights if given; it appears whole or not at all. Files that are no part of a
 * checkpoint stay where they are.
 *
 * @param precision of all tensors; by default each keeps its own. Narrower formats round to the nearest, ties to even.
 * @param most bytes of a shard.
 */
export async function saveWeights(
  { dir: from, shapes, tensors, names }: WeightFiles,
  dir: string,
  store?: Store,
  precision?: Precision,
  most?: number,
): Promise<void> {
  if (resolve(from) === resolve(dir))
    throw new ModelError(`${dir}  checkpoint: expected another folder than the one that was opened; got the same`);
  const own = new Map(store?.layout.entries.map((entry) => [entry.name, entry]));
  const written = shapes.map(({ name }): StoredTensor => {
    const spelling = names.get(name) as string;
    const { dtype, shape } = tensors.info(spelling);
    const entry = own.get(name);
    const data =
      store && entry
        ? store.values.subarray(entry.offset, entry.offset + entry.length)
        : () => tensors.readFinite(spelling);
    return {
      name: spelling,
      shape,
      dtype: precision ? PRECISIONS[precision] : (dtype as (typeof FLOATS)[number]),
      data,
    };
  });
  await replaceFolder(from, dir, isBesideWeights, async (fresh) => {
    await writeShards(fresh, written, { format: 'pt' }, most);
    await describe(join(fresh, 'config.json'), precisionOf(written));
  });
}

/** The embedding table decides a checkpoint's format: in mixed checkpoints only small tensors are wider. */
function precisionOf(tensors: readonly StoredTensor[]): Precision {
  const table = tensors.find(({ name }) => name.endsWith('embed_tokens.weight'));
  return (
    (Object.keys(PRECISIONS) as Precision[]).find((precision) => PRECISIONS[precision] === table?.dtype) ?? 'float32'
  );
}

/** Makes a configuration name the precision of its weights; the rest of its text stays as it is. */
async function describe(file: string, precision: Precision): Promise<void> {
  const config = await readJson(file);
  const text = await readFile(file, 'utf8');
  const named = text.replace(/("(?:torch_)?dtype"\s*:\s*)(?:"\w+"|null)/g, `$1"${precision}"`);
  const told = 'dtype' in config || 'torch_dtype' in config;
  await writeFile(file, told ? named : named.replace('{', `{\n  "torch_dtype": "${precision}",`));
}

/** What is written beside the copied files. */
const WRITTEN = /\.safetensors(\.index\.json)?$|^(adapter_config|config|state)\.json$|^ema$/;

/**
 * Makes `dir` from some files of `from`, links followed, and those that `write` adds. It appears whole or not at all.
 *
 * @param dir new, empty, or an older checkpoint, which is replaced.
 * @throws {UsageError} if `dir` holds anything else, before anything is written.
 */
export async function replaceFolder(
  from: string,
  dir: string,
  copied: (file: string) => boolean,
  write: (fresh: string) => Promise<void>,
): Promise<void> {
  const files: string[] = [];
  // Hugging Face's cache holds links to files.
  for (const name of await readdir(from)) if (copied(name) && (await stat(join(from, name))).isFile()) files.push(name);
  const to = await replaceable(resolve(dir), files);
  await replaceWhole(to, async (fresh) => {
    for (const file of files) await copyFile(join(from, file), join(fresh, file));
    await write(fresh);
  });
}

/** The folder itself, or the target of a link. */
async function replaceable(dir: string, copied: readonly string[]): Promise<string> {
  if (kindAt(dir) === undefined) return dir;
  const refuse = (got: string): never => {
    throw new UsageError(
      `${dir}  checkpoint: expected a new or empty folder, or an older checkpoint; got ${got}; way out: another folder`,
    );
  };
  const to = await realpath(dir).catch(() => refuse('a link to nothing'));
  if (kindAt(to) !== 'folder') refuse('a file');
  const strange = (await readdir(to)).find(
    (name) => !copied.includes(name) && !isBesideWeights(name) && !WRITTEN.test(name),
  );
  if (strange !== undefined) refuse(`one with ${strange} in it`);
  return to;
}
