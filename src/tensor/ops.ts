/** The tensor language: every operation that a model or an objective is written in. */
export * from './ops/values.js';
export * from './ops/elementwise.js';
export * from './ops/reductions.js';
export * from './ops/precision.js';
export * from './ops/products.js';
export * from './ops/frozen.js';
export * from './ops/layout.js';
export * from './ops/indexing.js';
export * from './ops/long.js';
export * from './ops/control.js';
