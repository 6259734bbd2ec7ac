import { shown, UsageError } from '../errors.js';
import type { Tensor } from '../tensor/graph.js';
import { input } from '../tensor/ops.js';
import type { Objective, Terms } from './objective.js';

/** Any sizes: a formula is the same for all of them. */
const SIZE = { prompt: 1, sample: 2, token: 3 };

/**
 * Checks a custom objective by tracing it, so errors show before any step.
 *
 * @throws {UsageError} naming the objective, if a number of it is missing or its trace gives no loss for each token.
 */
export function checkedObjective(value: unknown): Objective {
  if (value === null || typeof value !== 'object')
    throw new UsageError(`objective: expected an Objective, such as compose makes; got ${shown(value)}`);
  const own = value as Partial<Objective>;
  if (typeof own.name !== 'string' || own.name === '')
    throw new UsageError(`objective: expected a name; got ${shown(own.name)}`);
  const refuse = (what: string, expected: string, got: string): never => {
    throw new UsageError(`objective ${JSON.stringify(own.name)}  ${what}: expected ${expected}; got ${got}`);
  };
  for (const key of ['kl', 'entropyBonus', 'topEntropy'] as const)
    if (typeof own[key] !== 'number' || !(own[key] >= 0)) refuse(key, 'a number from 0', shown(own[key]));
  if (typeof own.corrects !== 'boolean') refuse('corrects', 'true or false', shown(own.corrects));
  const { average } = own;
  const tokens = typeof average === 'object' ? average?.tokens : undefined;
  if (average !== 'token' && average !== 'sequence' && typeof tokens !== 'number')
    refuse('average', 'token, sequence or { tokens }', shown(average));
  if (typeof own.trace !== 'function') refuse('trace', 'a function of the terms', shown(own.trace));
  const objective = own as Objective;
  const loss = tracedLoss(objective, (got) => refuse('trace', '{ loss, reports } with a loss a token', got));
  const whole = Object.keys(SIZE);
  const names = loss.shape.map(({ name }) => name);
  if (loss.dtype !== 'float32' || !names.every((name) => whole.includes(name)))
    refuse('loss', `float32 [${whole.join(', ')}]`, `${loss.dtype} [${names.join(', ')}]`);
  return objective;
}

function tracedLoss(objective: Objective, refuse: (got: string) => never): Tensor {
  const terms = termsFor(objective);
  let traced: unknown;
  try {
    traced = objective.trace(terms);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return refuse(error.message);
  }
  const { loss, reports } = (traced ?? {}) as { readonly loss?: Partial<Tensor>; readonly reports?: unknown };
  if (loss === null || typeof loss !== 'object' || !Array.isArray(loss.shape))
    return refuse(traced === undefined ? 'nothing' : `a loss of ${shown(loss)}`);
  if (reports === null || typeof reports !== 'object') return refuse(`reports of ${shown(reports)}`);
  if (!isMadeOf(terms, loss as Tensor))
    return refuse('tensors of another copy of segr1; way out: one copy, which the module imports and which runs it');
  return loss as Tensor;
}

/** Whether it is one of the terms, or was traced after them; another copy of the language has its own node ids. */
function isMadeOf(terms: Terms, { node }: Tensor): boolean {
  const given: readonly Tensor[] = Object.values(terms);
  const newest = Math.max(...given.map((term) => term.node.id));
  const next = input('next', 'float32', {}).node.id;
  return given.some((term) => term.node === node) || (node.id > newest && node.id < next);
}

/** Its terms in a step. */
function termsFor({ kl, corrects, topEntropy }: Objective): Terms {
  const perToken = (name: string): Tensor => input(name, 'float32', SIZE);
  return {
    logProbs: perToken('logProbs'),
    oldLogProbs: perToken('oldLogProbs'),
    mask: perToken('mask'),
    advantages: input('advantages', 'float32', { prompt: SIZE.prompt, sample: SIZE.sample }),
    ...(kl > 0 && { refLogProbs: perToken('refLogProbs') }),
    ...(corrects && { samplerLogProbs: perToken('samplerLogProbs') }),
    ...(topEntropy < 1 && { picked: perToken('picked') }),
  };
}
