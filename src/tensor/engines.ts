/** The engines, by their name in the option `runtime`. */
import type { Engine, EngineOptions } from './engine.js';
import { openOnnx } from './onnx/session.js';

const ENGINES = {
  onnx: openOnnx,
} as const satisfies Readonly<Record<string, (options: EngineOptions) => Engine>>;

export type EngineName = keyof typeof ENGINES;

export const ENGINE_NAMES = Object.keys(ENGINES) as [EngineName, ...EngineName[]];

/** Opens an engine; ONNX Runtime by default. @throws the engine's own errors. */
export function openEngine({
  runtime = 'onnx',
  ...options
}: EngineOptions & { readonly runtime?: EngineName }): Engine {
  return ENGINES[runtime](options);
}
