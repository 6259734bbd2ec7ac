import { createHash } from 'node:crypto';
import { copyFile, link, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  Binary,
  Bool,
  Dictionary,
  FixedSizeList,
  Float32,
  Float64,
  Int64,
  List,
  Struct,
  Utf8,
  type DataType,
  type Field,
  type Schema,
} from 'apache-arrow';

import { replaceJson, type Shard } from '../manifest.js';

/**
 * Gives shards a second name, `data-00000-of-0000N.arrow`, for `datasets.load_from_disk`; the first names stay.
 *
 * @returns the shards under those names, in order.
 */
export async function nameForHub(folder: string, shards: readonly Shard[]): Promise<Shard[]> {
  const total = String(shards.length).padStart(5, '0');
  const named = shards.map((shard, i) => ({ ...shard, file: `data-${String(i).padStart(5, '0')}-of-${total}.arrow` }));
  for (const [i, { file }] of named.entries()) {
    const [from, to] = [join(folder, shards[i].file), join(folder, file)];
    if (from === to) continue;
    await rm(to, { force: true });
    // Some file systems have no hard links.
    await link(from, to).catch(() => copyFile(from, to));
  }
  return named;
}

/** Writes `state.json` and `dataset_info.json`, by which `datasets.load_from_disk` finds shards and columns. */
export async function describeForHub(folder: string, shards: readonly Shard[], schema: Schema): Promise<void> {
  const fingerprint = createHash('sha256')
    .update(shards.map(({ sha256 }) => sha256).join())
    .digest('hex')
    .slice(0, 16);
  await replaceJson(join(folder, 'dataset_info.json'), {
    citation: '',
    description: '',
    features: hubFeatures(schema.fields),
    homepage: '',
    license: '',
  });
  await replaceJson(join(folder, 'state.json'), {
    _data_files: shards.map(({ file }) => ({ filename: file })),
    _fingerprint: fingerprint,
    _format_columns: null,
    _format_kwargs: {},
    _format_type: null,
    _output_all_columns: false,
    _split: null,
  });
}

/** Columns as `datasets` spells them (4 and later: `List`, not `Sequence`). */
export function hubFeatures(fields: readonly Field[]): Record<string, unknown> {
  return Object.fromEntries(fields.map((field) => [field.name, hubFeature(field.type)]));
}

/** Whether a column holds pictures, as bytes beside a path. */
export function isPicture(type: DataType | undefined): boolean {
  return type instanceof Struct && type.children.map(({ name }) => name).join() === 'bytes,path';
}

function hubFeature(type: DataType): unknown {
  if (isPicture(type)) return { _type: 'Image' };
  if (type instanceof Struct) return hubFeatures(type.children);
  if (type instanceof List || type instanceof FixedSizeList) {
    const length = type instanceof FixedSizeList ? type.listSize : -1;
    return { feature: hubFeature(type.valueType), length, _type: 'List' };
  }
  return { dtype: dtypeOf(type), _type: 'Value' };
}

function dtypeOf(type: DataType): string {
  // `datasets` has no words of which there are few.
  if (type instanceof Utf8 || type instanceof Dictionary) return 'string';
  if (type instanceof Binary) return 'binary';
  if (type instanceof Bool) return 'bool';
  if (type instanceof Float64) return 'float64';
  if (type instanceof Int64) return 'int64';
  return type instanceof Float32 ? 'float32' : 'int32';
}
