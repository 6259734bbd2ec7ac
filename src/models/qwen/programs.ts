import type { Program } from '../../tensor/onnx.js';
import type { Answer, Engine, Feeds } from '../../tensor/session.js';

/** Graphs of an engine by key, each made and opened when it is first run. */
export interface Programs {
  run(key: string, make: () => Program, feeds: Feeds, sets: readonly string[]): Promise<Answer>;
  /** Frees those whose keys begin with `start`. */
  close(start: string): Promise<void>;
}

export function programs(engine: Pick<Engine, 'open' | 'close' | 'run'>): Programs {
  const known = new Map<string, Promise<Program>>();
  const opened = async (program: Program, sets: readonly string[]): Promise<Program> => {
    await engine.open(program, sets);
    return program;
  };
  return {
    async run(key, make, feeds, sets) {
      const opening = known.get(key) ?? opened(make(), sets);
      known.set(key, opening);
      return engine.run(await opening, feeds, sets);
    },
    async close(start) {
      for (const [key, program] of [...known].filter(([name]) => name.startsWith(start))) {
        known.delete(key);
        await engine.close(await program);
      }
    },
  };
}
