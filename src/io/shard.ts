/** Readers and writers of rows; scripts import them from here. */
export { openShards, readRows, recoverRows } from './arrow/shard.js';
