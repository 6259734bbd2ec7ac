import type {
  EncodedPrompt,
  Gradient,
  Policy,
  GenerateRequest,
  GradientRequest,
  ScoreRequest,
  GeneratedCompletion,
} from '../../src/models/policy.js';
import type { ReadImage } from '../../src/models/segmenter.js';
import type { AdamOptions } from '../../src/tensor/adamw.js';
import { uniform } from '../../src/random.js';
import type { Advantaged, Completion, Sample } from '../../src/records.js';

/** What a stub was asked, in order. */
export interface Asked {
  readonly written: GenerateRequest[];
  readonly references: ScoreRequest[];
  readonly gradients: GradientRequest[];
  readonly steps: { readonly gradient: Float32Array; readonly options: AdamOptions & { readonly maxNorm: number } }[];
  readonly mixes: number[];
  readonly saved: string[];
}

export type StubPolicy = Policy & { version: number; readonly asked: Asked };

/**
 * A policy without weights: a prompt is its instruction, a completion two tokens, a gradient the number of its rows.
 */
export function stubPolicy(over: Partial<Policy> = {}): StubPolicy {
  const asked: Asked = { written: [], references: [], gradients: [], steps: [], mixes: [], saved: [] };
  const policy: StubPolicy = {
    name: 'stub',
    version: 0,
    parameters: 1,
    batch: 2,
    coordinates: 'pixels',
    asked,
    encode: ({ instruction = '' }): EncodedPrompt => ({
      text: instruction,
      tokens: Array.from(instruction, (sign) => sign.charCodeAt(0)),
      images: [],
    }),
    encodeAnswer: (text) => [...Array.from(text, (sign) => sign.charCodeAt(0)), 0],
    decode: (tokens) => tokens.join('+'),
    async generate(request): Promise<GeneratedCompletion[][]> {
      asked.written.push(request);
      const keys = request.random && 'keys' in request.random ? request.random.keys : [];
      return request.prompts.map((_, p) =>
        Array.from({ length: request.group }, (__, s) => ({
          tokens: [s, 7],
          logProbs: [0, 1].map((t) => uniform(...(keys[p] ?? []), s, t)),
          finish: 'stop',
          version: policy.version,
        })),
      );
    },
    async referenceScores(request) {
      asked.references.push(request);
      return request.rows.map(({ completions }) => completions.map((tokens) => tokens.map(() => -2)));
    },
    async scores({ rows }) {
      return rows.map(({ completions }) => completions.map((tokens) => tokens.map(() => -3)));
    },
    async gradient(request): Promise<Gradient> {
      asked.gradients.push(request);
      return { gradient: Float32Array.of(request.rows.length), metrics: { loss: 0.5 } };
    },
    async step(gradient, options) {
      asked.steps.push({ gradient, options });
      policy.version++;
      return 3;
    },
    async mixReference(mix) {
      asked.mixes.push(mix);
    },
    async save(dir) {
      asked.saved.push(dir);
    },
    release: async () => {},
    ...over,
  };
  return policy;
}

export const blank: ReadImage = async (_, frame = { width: 1, height: 1 }) => ({
  ...frame,
  data: new Uint8Array(3 * frame.width * frame.height),
});

/** Reads all but the images of the given names. */
export const missing =
  (...paths: readonly string[]): ReadImage =>
  async (source, frame) => {
    if ('path' in source && paths.includes(source.path)) throw new Error(`${source.path}: no such file`);
    return blank(source, frame);
  };

export function sample(id: string): Sample {
  return {
    id,
    image: { path: `${id}.jpg` },
    instruction: id,
    task: 'segment',
    frame: { width: 4, height: 4 },
    original: { width: 4, height: 4 },
  };
}

export const marked = (id: string): Sample => ({ ...sample(id), skipped: { stage: 'load', reason: 'no file' } });

/** A row of completions with as many tokens as `lengths` says. */
export function advantaged(
  id: string,
  lengths: readonly number[],
  advantages: readonly number[] = lengths.map(() => 1),
): Advantaged {
  const completions = lengths.map((length): Completion => ({
    text: '',
    tokens: Array.from({ length }, (_, t) => t),
    logProbs: Array.from({ length }, (_, t) => -t),
    finish: 'stop',
  }));
  const none = {
    prompt: id,
    promptTokens: [],
    policyVersion: 0,
    prompts: lengths.map(() => null),
    formats: lengths.map(() => 1),
    masks: lengths.map(() => null),
  };
  return { ...sample(id), ...none, completions, rewards: { total: advantages, byName: {} }, advantages };
}
