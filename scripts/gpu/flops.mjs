/** Floating-point operations of a policy's work, and what cards can do. */
import { weightShapes } from '../../dist/models/qwen2_5_vl/weights.js';

/** Dense products in bfloat16 with sums in float32, operations a second, as NVIDIA's data sheets have them. */
const PEAKS = [
  [/H100.*(PCIe|NVL)/, 756e12],
  [/H100|H200|GH200/, 989e12],
  [/B200|GB200/, 2250e12],
  [/A100/, 312e12],
  [/L40S/, 362e12],
  [/L40|6000 Ada/, 181e12],
  [/L4\b/, 121e12],
  [/A10G?\b/, 125e12],
  [/A40|A6000/, 150e12],
  [/RTX 5090/, 209e12],
  [/RTX 4090/, 165e12],
  [/RTX 3090/, 71e12],
];

/** Of a card by its name; undefined for one that is not known. */
export const peakOf = (name) => PEAKS.find(([pattern]) => pattern.test(name))?.[1];

const size = ({ sizes }) => Object.values(sizes).reduce((product, n) => product * n, 1);

/**
 * Of prompts with one image each and a group of completions behind each, which share the prompt.
 *
 * Forward 2 operations a weight and token, update 6 as is usual: an adapter itself takes 4, and layers that are
 * computed again 2. Attention counts
 * the keys that a token may see. The vision tower is frozen, so an update runs it forward alone.
 *
 * @returns operations of a rollout and of an update.
 */
export function operations(config, { prompts, prompt, patches, group, tokens }) {
  const matrices = weightShapes(config).filter(({ sizes }) => Object.keys(sizes).length > 1);
  const sum = (some) => some.reduce((total, one) => total + size(one), 0);
  const layers = sum(matrices.filter(({ name }) => name.startsWith('model.layers.')));
  const vision = sum(matrices.filter(({ name }) => name.startsWith('visual.')));
  const head = config.text.vocab * config.text.hidden;
  const { heads, headDim, layers: depth } = config.text;
  const written = prompts * group * tokens;
  const seen = prompts * ((prompt * (prompt + 1)) / 2 + group * (tokens * prompt + (tokens * (tokens + 1)) / 2));
  const attention = 4 * depth * heads * headDim * seen;
  const { hidden, depth: blocks, fullAttention, window, patch } = config.vision;
  const whole =
    fullAttention.length * patches + (blocks - fullAttention.length) * Math.min(patches, (window / patch) ** 2);
  const looking = prompts * (2 * vision * patches + 4 * hidden * patches * whole);
  const language = 2 * layers * (prompts * prompt + written) + 2 * head * written + attention;
  return { rollout: looking + language, update: looking + 3 * language, weights: { layers, vision, head } };
}
