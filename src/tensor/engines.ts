/** The engines there are, by the name that `runtime` has in options. */
import type { Engine, EngineOptions } from './engine.js';
import { openOnnx } from './onnx/session.js';

const ENGINES = {
  onnx: openOnnx,
} as const satisfies Readonly<Record<string, (options: EngineOptions) => Engine>>;

export type EngineName = keyof typeof ENGINES;

export const ENGINE_NAMES = Object.keys(ENGINES) as [EngineName, ...EngineName[]];

/** Opens an engine; ONNX Runtime by default. @throws what the engine itself throws. */
export function openEngine({
  runtime = 'onnx',
  ...options
}: EngineOptions & { readonly runtime?: EngineName }): Engine {
  return ENGINES[runtime](options);
}
