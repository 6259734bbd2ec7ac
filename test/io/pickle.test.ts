import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { readPickle } from '../../src/io/pickle.js';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

// python 3.11: base64.b64encode(pickle.dumps(data, protocol=p)); tuples come back as lists.
const data = [
  {
    ref_id: 7,
    ann_id: [12, -1],
    split: 'val',
    no_target: false,
    big: 70_000,
    neg: -3,
    huge: 2 ** 40,
    x: 0.25,
    none: null,
    pair: [1, 'é'],
    one: [2],
    three: [1, 2, 3],
    empty: [],
    map: {},
    sent: 'the café – 😀',
  },
  { ref_id: 8, split: 'val' },
];
const stored: readonly (readonly [string, string])[] = [
  [
    'protocol 0',
    'KGxwMAooZHAxClZyZWZfaWQKcDIKSTcKc1Zhbm5faWQKcDMKKGxwNApJMTIKYUktMQphc1ZzcGxpdApwNQpWdmFsCnA2CnNWbm9fdGFyZ2V0CnA3CkkwMApzVmJpZwpwOApJNzAwMDAKc1ZuZWcKcDkKSS0zCnNWaHVnZQpwMTAKTDEwOTk1MTE2Mjc3NzZMCnNWeApwMTEKRjAuMjUKc1Zub25lCnAxMgpOc1ZwYWlyCnAxMwooSTEKVukKcDE0CnRwMTUKc1ZvbmUKcDE2CihJMgp0cDE3CnNWdGhyZWUKcDE4CihJMQpJMgpJMwp0cDE5CnNWZW1wdHkKcDIwCihscDIxCnNWbWFwCnAyMgooZHAyMwpzVnNlbnQKcDI0ClZ0aGUgY2Fm6SBcdTIwMTMgXFUwMDAxZjYwMApwMjUKc2EoZHAyNgpnMgpJOApzZzUKZzYKc2Eu',
  ],
  [
    'protocol 1',
    'XXEAKH1xAShYBgAAAHJlZl9pZHECSwdYBgAAAGFubl9pZHEDXXEEKEsMSv////9lWAUAAABzcGxpdHEFWAMAAAB2YWxxBlgJAAAAbm9fdGFyZ2V0cQdJMDAKWAMAAABiaWdxCEpwEQEAWAMAAABuZWdxCUr9////WAQAAABodWdlcQpMMTA5OTUxMTYyNzc3NkwKWAEAAAB4cQtHP9AAAAAAAABYBAAAAG5vbmVxDE5YBAAAAHBhaXJxDShLAVgCAAAAw6lxDnRxD1gDAAAAb25lcRAoSwJ0cRFYBQAAAHRocmVlcRIoSwFLAksDdHETWAUAAABlbXB0eXEUXXEVWAMAAABtYXBxFn1xF1gEAAAAc2VudHEYWBIAAAB0aGUgY2Fmw6kg4oCTIPCfmIBxGXV9cRooaAJLCGgFaAZ1ZS4=',
  ],
  [
    'protocol 2',
    'gAJdcQAofXEBKFgGAAAAcmVmX2lkcQJLB1gGAAAAYW5uX2lkcQNdcQQoSwxK/////2VYBQAAAHNwbGl0cQVYAwAAAHZhbHEGWAkAAABub190YXJnZXRxB4lYAwAAAGJpZ3EISnARAQBYAwAAAG5lZ3EJSv3///9YBAAAAGh1Z2VxCooGAAAAAAABWAEAAAB4cQtHP9AAAAAAAABYBAAAAG5vbmVxDE5YBAAAAHBhaXJxDUsBWAIAAADDqXEOhnEPWAMAAABvbmVxEEsChXERWAUAAAB0aHJlZXESSwFLAksDh3ETWAUAAABlbXB0eXEUXXEVWAMAAABtYXBxFn1xF1gEAAAAc2VudHEYWBIAAAB0aGUgY2Fmw6kg4oCTIPCfmIBxGXV9cRooaAJLCGgFaAZ1ZS4=',
  ],
  [
    'protocol 3',
    'gANdcQAofXEBKFgGAAAAcmVmX2lkcQJLB1gGAAAAYW5uX2lkcQNdcQQoSwxK/////2VYBQAAAHNwbGl0cQVYAwAAAHZhbHEGWAkAAABub190YXJnZXRxB4lYAwAAAGJpZ3EISnARAQBYAwAAAG5lZ3EJSv3///9YBAAAAGh1Z2VxCooGAAAAAAABWAEAAAB4cQtHP9AAAAAAAABYBAAAAG5vbmVxDE5YBAAAAHBhaXJxDUsBWAIAAADDqXEOhnEPWAMAAABvbmVxEEsChXERWAUAAAB0aHJlZXESSwFLAksDh3ETWAUAAABlbXB0eXEUXXEVWAMAAABtYXBxFn1xF1gEAAAAc2VudHEYWBIAAAB0aGUgY2Fmw6kg4oCTIPCfmIBxGXV9cRooaAJLCGgFaAZ1ZS4=',
  ],
  [
    'protocol 4',
    'gASV4QAAAAAAAABdlCh9lCiMBnJlZl9pZJRLB4wGYW5uX2lklF2UKEsMSv////9ljAVzcGxpdJSMA3ZhbJSMCW5vX3RhcmdldJSJjANiaWeUSnARAQCMA25lZ5RK/f///4wEaHVnZZSKBgAAAAAAAYwBeJRHP9AAAAAAAACMBG5vbmWUTowEcGFpcpRLAYwCw6mUhpSMA29uZZRLAoWUjAV0aHJlZZRLAUsCSwOHlIwFZW1wdHmUXZSMA21hcJR9lIwEc2VudJSMEnRoZSBjYWbDqSDigJMg8J+YgJR1fZQoaAJLCGgFaAZ1ZS4=',
  ],
  [
    'protocol 5',
    'gAWV4QAAAAAAAABdlCh9lCiMBnJlZl9pZJRLB4wGYW5uX2lklF2UKEsMSv////9ljAVzcGxpdJSMA3ZhbJSMCW5vX3RhcmdldJSJjANiaWeUSnARAQCMA25lZ5RK/f///4wEaHVnZZSKBgAAAAAAAYwBeJRHP9AAAAAAAACMBG5vbmWUTowEcGFpcpRLAYwCw6mUhpSMA29uZZRLAoWUjAV0aHJlZZRLAUsCSwOHlIwFZW1wdHmUXZSMA21hcJR9lIwEc2VudJSMEnRoZSBjYWbDqSDigJMg8J+YgJR1fZQoaAJLCGgFaAZ1ZS4=',
  ],
];

describe('readPickle', () => {
  it.each(stored)('reads %s', (name, base64) => {
    expect(readPickle(Buffer.from(base64, 'base64'), name)).toEqual(data);
  });

  it('reads byte strings of Python 2, as UTF-8 where they are that', () => {
    expect(
      readPickle(
        bytes("(lp0\nS'it\\'s'\np1\naS'caf\\xc3\\xa9'\naS\"caf\\xe9\"\naU\x04caf\xe9aI01\naL12L\nag1\na."),
        'py2',
      ),
    ).toEqual(["it's", 'café', 'café', 'café', true, 12, "it's"]);
  });

  it('takes a key called __proto__ for a key', () => {
    const map = readPickle(bytes('}U\x09__proto__}U\x01aK\x01ss.'), 'p') as Record<string, unknown>;
    expect(Object.keys(map)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
  });

  it.each([
    ['a call of the system', "cos\nsystem\n(S'ls'\ntR.", 'byte 0: expected an opcode of plain data; got GLOBAL, 0x63'],
    [
      'the same in protocol 4',
      '\x80\x04\x8c\x02os\x8c\x06system\x93.',
      'byte 14: expected an opcode of plain data; got STACK_GLOBAL, 0x93',
    ],
    ['a reduction', ']R.', 'byte 1: expected an opcode of plain data; got REDUCE, 0x52'],
    ['a state', ']}b.', 'byte 2: expected an opcode of plain data; got BUILD, 0x62'],
    ['an instance', '(ios\nsystem\n.', 'byte 1: expected an opcode of plain data; got INST, 0x69'],
    ['a persistent id', 'Pabc\n.', 'byte 0: expected an opcode of plain data; got PERSID, 0x50'],
    ['an opcode that there is not', '\xff.', 'byte 0: expected an opcode of plain data; got 0xff'],
    ['nothing', '', 'byte 0: expected an opcode; got the end of the file'],
    ['two values', 'NN.', 'byte 2: STOP: expected one value; got 2'],
    ['a later protocol', '\x80\x06N.', 'byte 0: PROTO: expected a protocol of at most 5; got 6'],
    ['a text longer than the file', 'X\xff\xff\xff\x7fab.', 'byte 0: expected 2147483647 more bytes; got 3'],
    ['a value that was never remembered', 'h\x05.', 'byte 0: expected a value remembered as 5; got none'],
    ['items without a mark', 'e.', 'byte 0: expected a mark on the stack; got none'],
    ['an append to a number', 'K\x01K\x02a.', 'byte 4: expected a list to append to; got 1'],
    ['a list as key', '}]K\x01s.', 'byte 4: expected a text or a whole number as key; got []'],
    ['a number that is none', 'Iabc\n.', 'byte 0: expected a whole number within 53 bits; got "abc"'],
  ])('refuses %s', (_, text, message) => {
    expect(() => readPickle(bytes(text), 'refs.p')).toThrow(DataError);
    expect(() => readPickle(bytes(text), 'refs.p')).toThrow(`refs.p  pickle, ${message}`);
  });

  it('refuses what is nested too deep, holds itself, or grows when it is walked', () => {
    expect(() => readPickle(bytes(`${']'.repeat(40)}${'a'.repeat(39)}.`), 'deep')).toThrow(
      'at most 32 levels of lists and maps; got more',
    );
    expect(() => readPickle(bytes(']q\x00h\x00a.'), 'loop')).toThrow('expected at most');
    const laughs = `](K\x01K\x01e${Array.from({ length: 25 }, (_, i) => `q${String.fromCharCode(i)}](h${String.fromCharCode(i)}h${String.fromCharCode(i)}e`).join('')}`;
    expect(() => readPickle(bytes(`(${laughs}l.`), 'laughs')).toThrow(/values in \d+ bytes; got more/);
    expect(() => readPickle(new Uint8Array(11), 'large', { bytes: 10 })).toThrow('expected at most 10 bytes; got 11');
  });

  it('refuses every file that was cut off', () => {
    for (const [name, base64] of stored) {
      const whole = Buffer.from(base64, 'base64');
      for (let length = 0; length < whole.length; length++)
        expect(() => readPickle(whole.subarray(0, length), name)).toThrow(DataError);
    }
  });

  it('gives a value or a DataError, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(stored.length - 1), fc.nat(), (noise, which, at) => {
        const damaged = new Uint8Array(Buffer.from(stored[which]?.[1] ?? '', 'base64'));
        damaged.set(noise.subarray(0, 3), at % (damaged.length - 3));
        for (const tried of [noise, damaged]) {
          try {
            readPickle(tried, 'noise');
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
