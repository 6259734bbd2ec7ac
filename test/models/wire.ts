/** Messages as they would cross a wire. */

type Buffers = (Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array | Uint16Array | Uint32Array)[];

const ARRAYS = { Float32Array, Float64Array, Int32Array, BigInt64Array, Uint8Array, Uint16Array, Uint32Array };

/** JSON, with the bytes of typed arrays apart from it. */
function overJson<T>(message: T): T {
  const buffers: Buffers = [];
  const text = JSON.stringify(message, (_, value: unknown) => {
    if (typeof value === 'function') throw new TypeError('expected plain data; got a function');
    if (!ArrayBuffer.isView(value)) return value;
    return { buffer: buffers.push((value as Buffers[number]).slice()) - 1, kind: value.constructor.name };
  });
  return JSON.parse(text, (_, value: unknown) => {
    const { buffer, kind } = (value ?? {}) as { buffer?: number; kind?: keyof typeof ARRAYS };
    if (buffer === undefined || kind === undefined) return value;
    const bytes = buffers[buffer];
    return new ARRAYS[kind](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer);
  }) as T;
}

/** Calls with a request that crossed a wire; the answer crosses it, too. */
type Wire = <Request, Answer>(request: Request, call: (request: Request) => Promise<Answer>) => Promise<Answer>;

const over =
  (copy: <T>(message: T) => T): Wire =>
  async (request, call) =>
    copy(await call(copy(request)));

export const wires: readonly (readonly [name: string, wire: Wire])[] = [
  ['structuredClone', over((message) => structuredClone(message))],
  ['JSON and buffers', over(overJson)],
];
