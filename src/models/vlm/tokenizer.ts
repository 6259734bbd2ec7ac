import { join } from 'node:path';

import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';

import { ModelError, messageOf } from '../../errors.js';
import { readJson } from '../checkpoint-json.js';

/** Text to ids and back, with the checkpoint's own tokenizer. */
export interface Tokenizer {
  /** Ids below this have a token; a checkpoint's table may be longer, and what lies above must not be sampled. */
  readonly size: number;
  /** Texts of the special tokens: wherever they stand in a text, they become one id. */
  readonly special: readonly string[];
  /** Special tokens written out in the text become their ids; none are added. */
  encode(text: string): number[];
  /** Without ids that have no token, and by default without special tokens. */
  decode(ids: readonly number[], options?: { readonly special?: boolean }): string;
}

/**
 * Reads `tokenizer.json` and `tokenizer_config.json` of a checkpoint folder.
 *
 * @throws {ModelError} if a file is missing or holds no tokenizer.
 */
export async function openTokenizer(dir: string): Promise<Tokenizer> {
  const file = join(dir, 'tokenizer.json');
  const [tokenizer, config] = await Promise.all([readJson(file), readJson(join(dir, 'tokenizer_config.json'), {})]);
  let inner: HuggingFaceTokenizer;
  try {
    inner = new HuggingFaceTokenizer(tokenizer, config);
  } catch (error) {
    throw new ModelError(`${file}  tokenizer: expected a Hugging Face tokenizer; got ${messageOf(error)}`);
  }
  let size = 0;
  for (const id of inner.get_vocab().values()) size = Math.max(size, id + 1);
  const special = [...inner.get_added_tokens_decoder().values()].flatMap((token) =>
    token.special ? [token.content] : [],
  );
  return {
    size,
    special,
    encode: (text) => inner.encode(text, { add_special_tokens: false }).ids,
    decode(ids, { special = false } = {}) {
      const known = ids.filter((id) => inner.id_to_token(id) !== undefined);
      if (known.length === 0) return '';
      return inner.decode(known, { skip_special_tokens: !special, clean_up_tokenization_spaces: false });
    },
  };
}
