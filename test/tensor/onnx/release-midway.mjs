/** Releases an engine in the middle of a run; says whether it did. Runs on the build, in a process of its own. */
const tensor = new URL('../../../dist/tensor/', import.meta.url);
const { dot, input, rename, tanh } = await import(new URL('ops.js', tensor));
const { graphOf } = await import(new URL('engine.js', tensor));
const { openEngine } = await import(new URL('engines.js', tensor));

const size = 400;
const w = input('w', 'float32', { a: size, b: size });
let x = w;
for (let i = 0; i < 40; i++) x = rename(tanh(dot(rename(x, { a: 'row', b: 'a' }), w, 'a', 0.01)), { row: 'a' });
const program = graphOf('long', { x });
const engine = openEngine({ workers: 1, threads: 1 });
await engine.open(program);

const feeds = { w: new Float32Array(size * size).fill(0.1) };
let over = false;
const before = engine.run(program, feeds);
const run = engine.run(program, feeds).then(() => (over = true));
// The thread has begun the second run when it answers the first.
await before;
const early = !over;
await engine.release();
await run;
console.log(early ? 'released under way' : 'the run was over', over);
