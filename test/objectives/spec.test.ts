import { fileURLToPath, pathToFileURL } from 'node:url';

import { describe, expect, it } from 'vitest';

import { dapo } from '../../src/objectives/policy-gradient.js';
import { openObjective } from '../../src/objectives/spec.js';

const own = fileURLToPath(new URL('../models/vlm/own-objective.ts', import.meta.url));

describe('openObjective', () => {
  it('gives an object of functions back as it is', async () => {
    const objective = dapo(0.1);
    expect(await openObjective(objective)).toBe(objective);
  });

  it('makes one by name, with the defaults of what is not given', async () => {
    const { name, kl } = await openObjective({ name: 'dapo' });
    expect([name, kl]).toEqual([dapo(0).name, 0]);
  });

  it.each([own, pathToFileURL(own).href])('asks a module, by path or by URL', async (module) => {
    expect(await openObjective({ module })).toMatchObject({ name: 'own', kl: 0.04 });
  });
});
