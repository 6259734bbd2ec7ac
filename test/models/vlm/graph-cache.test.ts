import { describe, expect, it } from 'vitest';

import { graphCache } from '../../../src/models/vlm/graph-cache.js';
import { graphOf, type Graph } from '../../../src/tensor/engine.js';

function told(most?: number) {
  const calls: string[] = [];
  const tell =
    (what: string) =>
    async ({ name }: Pick<Graph, 'name'>) => {
      calls.push(`${what} ${name}`);
      return { outputs: {}, sizes: {}, version: 0 };
    };
  const engine = {
    open: async (graph: Graph) => void (await tell('open')(graph)),
    close: async (graph: Pick<Graph, 'name'>) => void (await tell('close')(graph)),
    run: tell('run'),
  };
  return { calls, graphs: graphCache(engine, most), engine };
}

const named = (name: string) => (): Graph => graphOf(name, {});

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

  it('keeps no more open than it may: the one that was longest not run gives way, unless it runs', async () => {
    const { calls, graphs } = told(2);
    for (const name of ['a', 'b', 'a', 'c']) await graphs.run(name, named(name), {}, []);
    await Promise.all([
      graphs.run('c', named('never'), {}, []),
      graphs.run('a', named('never'), {}, []),
      graphs.run('d', named('d'), {}, []),
    ]);
    expect(calls).toEqual([
      'open a',
      'run a',
      'open b',
      'run b',
      'run a',
      'close b',
      'open c',
      'run c',
      'run c',
      'run a',
      'open d',
      'run d',
    ]);
  });

  it('tries once more to open what could not be opened', async () => {
    const { calls, graphs, engine } = told();
    const { open } = engine;
    engine.open = async () => {
      throw new Error('no room');
    };
    await expect(graphs.run('a', named('a'), {}, [])).rejects.toThrow('no room');
    engine.open = open;
    await graphs.run('a', named('a'), {}, []);
    expect(calls).toEqual(['open a', 'run a']);
  });
});
