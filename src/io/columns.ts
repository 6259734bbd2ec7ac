import { Binary, Field, FixedSizeList, Float32, Int32, List, Schema, Struct, Utf8, type DataType } from 'apache-arrow';

/** Version of the columns, in the schema's metadata; a reader refuses others. */
export const SCHEMA_VERSION = '1';

const list = (item: DataType): List => new List(new Field('item', item, true));
const fixed = (n: number, item: DataType): FixedSizeList => new FixedSizeList(n, new Field('item', item, true));
const struct = (children: Readonly<Record<string, DataType>>): Struct =>
  new Struct(Object.entries(children).map(([name, type]) => new Field(name, type, true)));

const [text, int, float] = [new Utf8(), new Int32(), new Float32()];
const coco = struct({ size: fixed(2, int), counts: new Binary() });

/**
 * The columns of a `Row`, all nullable; with `huggingface` metadata, so that `datasets` knows them.
 *
 * Sizes are [width, height], but those of a mask [height, width] as COCO has them; boxes are x1, y1, x2, y2 in
 * pixels of `frame`. `texts`, `tokens`, `log_probs` and `finish` are the completions, [G] each; a prompt is JSON.
 *
 * @param parts names of the reward's parts; without any there is no column `reward_parts`.
 * @param metadata what the run was: run id, seed, config as JSON, hashes of model, tokenizer and prompt, frame.
 * @param more columns that most runs have nothing for: the metrics that `score` adds, by name, and whether truths have
 * parts to `ignore`.
 */
export function rowSchema(
  parts: readonly string[],
  metadata: Readonly<Record<string, string>> = {},
  more: { readonly scores?: readonly string[]; readonly ignore?: boolean } = {},
): Schema {
  const { scores = [], ignore = false } = more;
  const columns: Record<string, DataType> = {
    id: text,
    image: text,
    scene: text,
    truth: coco,
    ...(ignore && { ignore: coco }),
    truth_path: text,
    instruction: text,
    question: struct({ benchmark: text, part: text, item: text, turn: int, options: list(text), answer: text }),
    task: text,
    frame: fixed(2, int),
    original: fixed(2, int),
    candidates: struct({ boxes: list(fixed(4, int)), names: list(text), target: int, mask: coco }),
    prompt: text,
    prompt_tokens: list(int),
    texts: list(text),
    tokens: list(list(int)),
    log_probs: list(list(float)),
    finish: list(text),
    entropies: list(list(float)),
    policy_version: int,
    answer: text,
    correct: int,
    prompts: list(text),
    formats: list(float),
    masks: list(coco),
    rewards: list(float),
    ...(parts.length > 0 && { reward_parts: struct(Object.fromEntries(parts.map((name) => [name, list(float)]))) }),
    advantages: list(float),
    step: int,
    ...(scores.length > 0 && { scores: struct(Object.fromEntries(scores.map((name) => [name, float]))) }),
    fitted: struct({ prompt: text, ious: list(float), text }),
    problem: text,
    thinking: text,
    solution: text,
    skipped: struct({ stage: text, reason: text }),
  };
  const fields = struct(columns).children;
  const features = JSON.stringify({ info: { features: hubFeatures(fields) } });
  return new Schema(
    fields,
    new Map([...Object.entries(metadata), ['schema_version', SCHEMA_VERSION], ['huggingface', features]]),
  );
}

/** The same columns as `datasets` spells them (4 and later: `List`, not `Sequence`). */
export function hubFeatures(fields: readonly Field[]): Record<string, unknown> {
  return Object.fromEntries(fields.map((field) => [field.name, hubFeature(field.type)]));
}

function hubFeature(type: DataType): unknown {
  if (type instanceof Struct) return hubFeatures(type.children);
  if (type instanceof List || type instanceof FixedSizeList) {
    const length = type instanceof FixedSizeList ? type.listSize : -1;
    return { feature: hubFeature(type.valueType), length, _type: 'List' };
  }
  const dtype =
    type instanceof Utf8 ? 'string' : type instanceof Binary ? 'binary' : type instanceof Float32 ? 'float32' : 'int32';
  return { dtype, _type: 'Value' };
}
