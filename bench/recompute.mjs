/**
 * Peak memory and time of one backward pass through a chain of gated layers, with and without `recompute`.
 *
 * `node bench/recompute.mjs`: each way in a process of its own, on the build. On 2 cores, one thread, ONNX Runtime
 * 1.30,
 * above what was resident before the run: kept 284 MB and 0.85 s, recomputed 102 MB and 0.65 s; 43 MB of it are
 * gradients.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const LAYERS = 24;
const sizes = { token: 512, width: 192, inner: 768 };

const [way] = process.argv.slice(2);
if (way === undefined) {
  for (const each of ['kept', 'recomputed'])
    process.stdout.write(execFileSync(process.execPath, [fileURLToPath(import.meta.url), each]));
} else {
  const tensor = new URL('../dist/tensor/', import.meta.url);
  const { add, dot, input, mul, recompute, rename, rmsNorm, silu, square, total } = await import(
    new URL('ops.js', tensor)
  );
  const { gradient } = await import(new URL('gradient.js', tensor));
  const { graphOf } = await import(new URL('engine.js', tensor));
  const { openEngine } = await import(new URL('engines.js', tensor));
  const { layoutOf } = await import(new URL('layout.js', tensor));

  const { token, width, inner } = sizes;
  const weights = [];
  const weight = (name, dims) => weights.at(weights.push(input(name, 'float32', dims)) - 1);
  let x = input('x', 'float32', { token, width });
  for (let i = 0; i < LAYERS; i++) {
    const [norm, gate, up, down] = [
      weight(`norm${i}`, { width }),
      weight(`gate${i}`, { inner, width }),
      weight(`up${i}`, { inner, width }),
      weight(`down${i}`, { out: width, inner }),
    ];
    const layer = (h) => {
      const unit = rmsNorm(h, norm, 'width', 1e-6);
      return add(
        h,
        rename(dot(mul(silu(dot(unit, gate, 'width')), dot(unit, up, 'width')), down, 'inner'), { out: 'width' }),
      );
    };
    x = way === 'recomputed' ? recompute([x], (h) => [layer(h)])[0] : layer(x);
  }
  const loss = total(square(x));
  const slopes = gradient(loss, weights);
  const nameOf = (t) => t.node.op.name;
  const graph = graphOf('chain', {
    loss,
    ...Object.fromEntries(slopes.map((slope, i) => [`gradient:${nameOf(weights[i])}`, slope])),
  });
  const layout = layoutOf(weights.map((t) => ({ name: nameOf(t), sizes: t.shape.map(({ size }) => size) })));

  const engine = openEngine({ workers: 1, threads: 1 });
  await engine.open(graph);
  await engine.parameters(
    'policy',
    layout,
    Float32Array.from({ length: layout.length }, (_, i) => 0.05 * Math.sin(i)),
  );
  const feeds = { x: Float32Array.from({ length: token * width }, (_, i) => Math.cos(i)) };
  // Of the main process and its threads together, before the first run.
  const resident = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
  const before = resident();
  const start = performance.now();
  const { outputs, gradient: flat } = await engine.run(graph, feeds);
  const time = performance.now() - start;
  const norm = Math.hypot(...[0, 1, 2].map((k) => flat[Math.floor((k + 0.5) * (flat.length / 3))]));
  await engine.release();
  console.log(
    `${way.padEnd(10)}  peak ${resident().toFixed(0)} MB (${before.toFixed(0)} MB before the run)  ${time.toFixed(0)} ms  loss ${outputs.loss[0]}  a few gradients ${norm.toPrecision(6)}`,
  );
}
