import { describe, expect, it } from 'vitest';

import { loaded } from '../../src/cli/loaded.js';

describe('loaded', () => {
  it('gives what was loaded', async () => expect(await loaded(() => Promise.resolve(3))).toBe(3));

  it('says where a process may open too few files', async () => {
    const error = Object.assign(new Error("EMFILE: too many open files, open 'a.js'"), { code: 'EMFILE' });
    await expect(loaded(() => Promise.reject(error))).rejects.toThrow(
      "open files: expected a limit of at least 1024; got EMFILE: too many open files, open 'a.js'; way out: ulimit -n 1024",
    );
    await expect(loaded(() => Promise.reject(new SyntaxError('x')))).rejects.toThrow(SyntaxError);
  });
});
