/** Values by key, as many as fit; the least recently asked for leaves first. What is being made counts as made. */
export interface Recent<T> {
  /** The value known for `key`, or what `make` gives; asked twice at once it is made once, and a failure is forgotten. */
  get(key: string, make: () => Promise<T>): Promise<T>;
}

/** @param each bytes of one value. */
export function recent<T>(limit: number, each: number): Recent<T> {
  const known = new Map<string, Promise<T>>();
  return {
    get(key, make) {
      const value = known.get(key) ?? make();
      known.delete(key);
      known.set(key, value);
      for (const oldest of known.keys()) {
        if (known.size * each <= limit) break;
        known.delete(oldest);
      }
      value.catch(() => known.get(key) === value && known.delete(key));
      return value;
    },
  };
}
