/** The frame that a policy was trained in. It writes pixels of that frame, so its checkpoint carries it. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import type { Size } from '../records.js';
import { check, isObject, readJson } from './checkpoint-json.js';

const side = z.int('a positive integer').min(1, 'a positive integer');
/** As in `load.frame`: one number for a square, or width and height. */
export const Frame = z.union([side, z.tuple([side, side])], 'a number of pixels, or width and height');

/** An adapter's own file: `adapter_config.json` belongs to PEFT. */
const BESIDE_ADAPTER = 'segr1.json';
const Beside = z.object({ frame: Frame.optional() }, 'an object');
const InConfig = z.object({ segr1: z.object({ frame: Frame.optional() }).optional() });

/**
 * The frame that a checkpoint names: `segr1.frame` of its `config.json`, or of an adapter `frame` of `segr1.json`.
 *
 * @param adapter on top of it, whose frame counts.
 * @returns undefined where neither names one, as in released checkpoints.
 * @throws {ModelError} for another value, naming the file.
 */
export async function trainedFrame(checkpoint: string, adapter?: string): Promise<Size | undefined> {
  const own = adapter === undefined ? undefined : await frameBeside(adapter);
  if (own) return own;
  const file = join(checkpoint, 'config.json');
  const { segr1 } = check(InConfig, await readJson(file, {}), file);
  return sizeOf(segr1?.frame);
}

/** Writes the frame into a checkpoint, or beside an adapter. */
export async function carryFrame(dir: string, frame: Size): Promise<void> {
  const value = frame.width === frame.height ? frame.width : [frame.width, frame.height];
  if (existsSync(join(dir, 'adapter_config.json'))) {
    await writeFile(join(dir, BESIDE_ADAPTER), `${JSON.stringify({ frame: value }, null, 2)}\n`);
    return;
  }
  const file = join(dir, 'config.json');
  const config = await readJson(file);
  const own = config['segr1'];
  if (own !== undefined && isObject(own)) {
    await writeFile(file, `${JSON.stringify({ ...config, segr1: { ...own, frame: value } }, null, 2)}\n`);
    return;
  }
  // The rest of its text stays as it is.
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace('{', `{\n  "segr1": ${JSON.stringify({ frame: value })},`));
}

/** Why a frame does not fit a policy; undefined where it does, or none is known. */
export async function frameFault(
  { width, height }: Size,
  checkpoint: string,
  adapter?: string,
): Promise<string | undefined> {
  const trained = await trainedFrame(checkpoint, adapter);
  if (!trained || (trained.width === width && trained.height === height)) return undefined;
  return `expected ${shownFrame(trained)}, the frame that ${adapter ?? checkpoint} was trained in and writes its pixels in; got ${shownFrame({ width, height })}`;
}

/** As one would write it in an option. */
export function shownFrame({ width, height }: Size): string {
  return width === height ? String(width) : `[${width}, ${height}]`;
}

async function frameBeside(adapter: string): Promise<Size | undefined> {
  const file = join(adapter, BESIDE_ADAPTER);
  return sizeOf(check(Beside, await readJson(file, {}), file).frame);
}

function sizeOf(frame: z.output<typeof Frame> | undefined): Size | undefined {
  if (frame === undefined) return undefined;
  return typeof frame === 'number' ? { width: frame, height: frame } : { width: frame[0], height: frame[1] };
}
