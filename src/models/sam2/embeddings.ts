import { LruCache } from '../../lru-cache.js';

/** Values by key, as many as fit; the least recently used leaves first. A value that is being made counts as made. */
export interface Recent<T> {
  /**
   * The result of `use` on the cached value for `key`, or on that of `make`. Concurrent calls make it once, and a
   * failure is not cached. The value lives until `use` ends, even if it is evicted meanwhile.
   */
  use<R>(key: string, make: () => Promise<T>, use: (value: T) => Promise<R>): Promise<R>;
}

interface Entry<T> {
  readonly value: Promise<T>;
  /** Calls that still use it. */
  users: number;
}

/** @param each bytes of one value. @param drop called once for each evicted value, when it is no longer used. */
export function recent<T>(limit: number, each: number, drop: (value: T) => unknown): Recent<T> {
  // A value that failed has nothing to drop, and one that can't be dropped is freed with its owner.
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
