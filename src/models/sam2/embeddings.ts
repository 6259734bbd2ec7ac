import { LruCache } from '../../lru-cache.js';

/** Values by key, as many as fit; the least recently asked for leaves first. What is being made counts as made. */
export interface Recent<T> {
  /**
   * What `use` makes of the value known for `key`, or of what `make` gives; asked twice at once it is made once, and a
   * failure is forgotten.
   *
   * The value stays until `use` is through, also where it has to make room meanwhile.
   */
  use<R>(key: string, make: () => Promise<T>, use: (value: T) => Promise<R>): Promise<R>;
}

interface Entry<T> {
  readonly value: Promise<T>;
  /** Calls that are not through with it. */
  users: number;
}

/** @param each bytes of one value. @param drop called once for each value that leaves, when nobody uses it. */
export function recent<T>(limit: number, each: number, drop: (value: T) => unknown): Recent<T> {
  // What could not be made has nothing to drop, and what could not be dropped goes with its owner.
  const leave = (entry: Entry<T>): void => void entry.value.then(drop).catch(() => undefined);
  const known = new LruCache<Entry<T>>(
    limit,
    () => each,
    (entry) => {
      if (entry.users === 0) leave(entry);
    },
  );
  return {
    async use(key, make, use) {
      const entry = known.get(key) ?? { value: make(), users: 0 };
      known.set(key, entry);
      entry.users++;
      try {
        return await use(await entry.value);
      } catch (error) {
        await entry.value.catch(() => known.peek(key) === entry && known.delete(key));
        throw error;
      } finally {
        entry.users--;
        if (entry.users === 0 && known.peek(key) !== entry) leave(entry);
      }
    },
  };
}
