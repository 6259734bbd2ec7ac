/**
 * Milliseconds an image for every metric of a pair, and for the five of most tables (S, weighted F, F, E, MAE), and the
 * correction effort, which stands apart.
 *
 * `node bench/metrics.mjs`, on the build: a blurred disc of 854 × 480 pixels, one thread, the median of 15.
 * On one of 2 cores, shared, Node 20: 40 ms for all, 16 ms for the five, 165 ms for the correction effort.
 */
const metrics = new URL('../dist/metrics/', import.meta.url);
const { saliency, softMap, thresholdedMeasures } = await import(new URL('saliency.js', metrics));
const { confidences, countLevels } = await import(new URL('level-counts.js', metrics));
const { correctionEffort } = await import(new URL('correction-effort.js', metrics));
const { meanAbsoluteError } = await import(new URL('mean-error.js', metrics));
const { structureMeasure } = await import(new URL('structure-measure.js', metrics));
const { weightedFMeasure } = await import(new URL('weighted-f-measure.js', metrics));

const size = { width: 854, height: 480 };
const far = (i, x, y) => Math.hypot((i % size.width) - x, Math.floor(i / size.width) - y);
const truth = Uint8Array.from({ length: size.width * size.height }, (_, i) => (far(i, 400, 230) < 110 ? 1 : 0));
const predicted = Uint8Array.from(truth, (_, i) => 255 / (1 + Math.exp((far(i, 412, 222) - 105) / 4)));

const hard = predicted.map((level) => (level > 127 ? 1 : 0));

function five() {
  const counts = countLevels(predicted, truth);
  const confidence = confidences(counts);
  const soft = softMap(predicted, confidence);
  return [
    structureMeasure(soft, truth, size),
    weightedFMeasure(soft, truth, size),
    thresholdedMeasures(counts, confidence).values,
    meanAbsoluteError(counts, confidence),
  ];
}

function median(work) {
  const times = Array.from({ length: 20 }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return Number(times.slice(5).sort((a, b) => a - b)[7].toFixed(2));
}

console.log(JSON.stringify({ bench: 'metrics', size: '854x480', all_ms: median(() => saliency(predicted, truth, size)), five_ms: median(five), effort_ms: median(() => correctionEffort(hard, truth, size)) }));
