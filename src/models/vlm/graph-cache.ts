import type { RunResult, Engine, Feeds, Graph, RunSettings } from '../../tensor/engine.js';

/** Graphs of an engine by key, each made and opened when it is first run. */
export interface GraphCache {
  run(
    key: string,
    make: () => Graph,
    feeds: Feeds,
    sets: readonly string[],
    settings?: RunSettings,
  ): Promise<RunResult>;
  /** Frees those whose keys begin with `start`. */
  close(start: string): Promise<void>;
}

interface Known {
  /** The rest of the graph once it is open; the traced one may be large. */
  readonly opening: Promise<Pick<Graph, 'name'>>;
  /** Runs under way. */
  runs: number;
}

/** @param most open at once: the least recently used is freed for another; unlimited by default. */
export function graphCache(engine: Pick<Engine, 'open' | 'close' | 'run'>, most = Infinity): GraphCache {
  /** Most recently used last. */
  const known = new Map<string, Known>();
  const opened = async (graph: Graph, sets: readonly string[]): Promise<Pick<Graph, 'name'>> => {
    await engine.open(graph, sets);
    return { name: graph.name };
  };
  const close = async (key: string, { opening }: Known): Promise<void> => {
    known.delete(key);
    await engine.close(await opening);
  };
  const makeRoom = async (): Promise<void> => {
    const idle = [...known].filter(([, { runs }]) => runs === 0);
    await Promise.all(idle.slice(0, Math.max(0, known.size + 1 - most)).map(([key, one]) => close(key, one)));
  };
  const open = (key: string, make: () => Graph, sets: readonly string[]): Known => {
    const before = known.get(key);
    const one = before ?? { opening: makeRoom().then(() => opened(make(), sets)), runs: 0 };
    known.delete(key);
    known.set(key, one);
    // A graph that failed to open may be tried again, once there is room.
    if (!before) one.opening.catch(() => known.get(key) === one && known.delete(key));
    return one;
  };
  return {
    async run(key, make, feeds, sets, settings) {
      const one = open(key, make, sets);
      one.runs++;
      try {
        return await engine.run(await one.opening, feeds, sets, settings);
      } finally {
        one.runs--;
      }
    },
    async close(start) {
      for (const [key, one] of [...known].filter(([name]) => name.startsWith(start))) await close(key, one);
    },
  };
}
