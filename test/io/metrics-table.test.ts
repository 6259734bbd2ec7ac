import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { tableFromIPC } from 'apache-arrow';
import { describe, expect, it } from 'vitest';

import { writeMetrics } from '../../src/io/metrics-table.js';

describe('writeMetrics', () => {
  it('gives each number a column, null where a step lacks it', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'segr1-')), 'metrics.arrow');
    await writeMetrics(path, [
      { step: 1, time: '2026-01-01T00:00:00.000Z', metrics: { 'reward/mean': 0.5 }, seconds: { mask: 0.25 }, queue: { mask: 1 } },
      { step: 2, time: '2026-01-01T00:00:01.000Z', metrics: { 'reward/mean': NaN, 'baseline/constant': 1.25 }, seconds: { mask: 0.5 }, queue: { mask: 0 } },
    ]);
    const table = tableFromIPC(readFileSync(path));
    expect(table.toArray().map((row) => row?.toJSON())).toEqual([
      { step: 1, time: '2026-01-01T00:00:00.000Z', 'reward/mean': 0.5, 'baseline/constant': null, 'seconds/mask': 0.25, 'queue/mask': 1 },
      { step: 2, time: '2026-01-01T00:00:01.000Z', 'reward/mean': NaN, 'baseline/constant': 1.25, 'seconds/mask': 0.5, 'queue/mask': 0 },
    ]);
  });
});
