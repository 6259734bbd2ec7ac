/** The families of policies: a family is a folder beside this file, and a line here. */
import { join } from 'node:path';

import { ModelError, shown } from '../errors.js';
import { readJson } from './checkpoint-json.js';
import { qwen2_5_vl } from './qwen2_5_vl/architecture.js';
import type { Architecture, VlmConfig } from './vlm/architecture.js';

export const FAMILIES: readonly Architecture[] = [qwen2_5_vl];

/**
 * Reads the configuration of a checkpoint folder by its `model_type`.
 *
 * @throws {ModelError} for a family that is not known, or naming file, key, expected and got.
 */
export async function readPolicyConfig(dir: string, families: readonly Architecture[] = FAMILIES): Promise<VlmConfig> {
  const file = join(dir, 'config.json');
  const { model_type: type } = await readJson(file);
  const family = families.find(({ modelTypes }) => modelTypes.some((known) => known === type));
  if (family) return await family.readConfig(dir);
  const known = families.flatMap(({ modelTypes }) => modelTypes);
  throw new ModelError(`${file}  model_type: expected one of ${known.join(', ')}; got ${shown(type)}`);
}
