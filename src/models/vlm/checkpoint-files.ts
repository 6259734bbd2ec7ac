/** Names of the files that a checkpoint is made of; whatever else lies in its folder is the user's. */

/** Beside the weights, and the licence that has to go with them. */
const MODEL = /^(config|generation_config|segr1)\.json$|^(LICENSE|NOTICE)(\.txt|\.md)?$/;

/** What asking needs: tokenizer, chat template, image processor. As transformers names them. */
const ASKING =
  /^((tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template|preprocessor_config|processor_config|video_preprocessor_config)\.json|merges\.txt|tokenizer\.model|chat_template\.jinja)$/;

/** Whether prompts need a file. */
export const isForAsking = (name: string): boolean => ASKING.test(name);

/** Whether a file is part of a checkpoint, its weights aside. */
export const isBesideWeights = (name: string): boolean => MODEL.test(name) || ASKING.test(name);
