/** Values by key within a budget; the least recently used leaves first. */
export class LruCache<Value> {
  readonly #budget: number;
  readonly #sizeOf: (value: Value, key: string) => number;
  readonly #left: (value: Value) => void;
  /** The most recently used stands last. */
  readonly #values = new Map<string, Value>();
  #held = 0;

  /**
   * @param budget in the unit of `sizeOf`; a larger value is not kept.
   * @param left called with each evicted value.
   */
  constructor(budget: number, sizeOf: (value: Value, key: string) => number, left: (value: Value) => void = () => {}) {
    this.#budget = budget;
    this.#sizeOf = sizeOf;
    this.#left = left;
  }

  /** The value counts as used. */
  get(key: string): Value | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    this.#values.delete(key);
    this.#values.set(key, value);
    return value;
  }

  /** The value without counting as used. */
  peek(key: string): Value | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: Value): void {
    this.delete(key);
    const size = this.#sizeOf(value, key);
    if (size > this.#budget) return;
    for (const [oldest, other] of this.#values) {
      if (this.#held + size <= this.#budget) break;
      this.delete(oldest);
      this.#left(other);
    }
    this.#values.set(key, value);
    this.#held += size;
  }

  delete(key: string): void {
    const value = this.#values.get(key);
    if (value === undefined) return;
    this.#values.delete(key);
    this.#held -= this.#sizeOf(value, key);
  }
}
