import { describe, expect, it } from 'vitest';

import { programs } from '../../../src/models/qwen/programs.js';
import type { Program } from '../../../src/tensor/onnx.js';

function told() {
  const calls: string[] = [];
  const tell = (what: string) => async ({ name }: Pick<Program, 'name'>) => {
    calls.push(`${what} ${name}`);
    return { outputs: {}, sizes: {}, version: 0 };
  };
  const engine = { open: async (program: Program) => void (await tell('open')(program)), close: async (program: Pick<Program, 'name'>) => void (await tell('close')(program)), run: tell('run') };
  return { calls, graphs: programs(engine) };
}

const named = (name: string) => (): Program => ({ name, bytes: new Uint8Array(), inputs: [], outputs: [] });

describe('programs', () => {
  it('makes and opens a graph once, whoever asks first', async () => {
    const { calls, graphs } = told();
    await Promise.all([graphs.run('score a', named('a'), {}, []), graphs.run('score a', named('never'), {}, [])]);
    expect(calls).toEqual(['open a', 'run a', 'run a']);
  });

  it('closes those of a kind, and opens them anew when they are asked for again', async () => {
    const { calls, graphs } = told();
    await graphs.run('score a', named('a'), {}, []);
    await graphs.run('write b', named('b'), {}, []);
    await graphs.close('score ');
    await graphs.run('score a', named('again'), {}, []);
    await graphs.run('write b', named('never'), {}, []);
    expect(calls.slice(4)).toEqual(['close a', 'open again', 'run again', 'run b']);
  });
});
