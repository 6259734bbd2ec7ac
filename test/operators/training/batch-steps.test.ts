import { concat, from, lastValueFrom, NEVER, of, Subject, throwError, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { batchSteps } from '../../../src/operators/training/batch-steps.js';
import type { Sample } from '../../../src/records.js';
import { later } from '../../waiting.js';
import { marked, sample } from '../stub-policy.js';

const ids = (rows: readonly Sample[]): string[] => rows.map(({ id }) => id);
const rows = (n: number): Sample[] => Array.from({ length: n }, (_, i) => sample(`${i}`));

describe('inSteps', () => {
  it('works on `size` rows at a time, one step after the other, the last one smaller', async () => {
    const steps: string[][] = [];
    let running = 0;
    const work = async (step: readonly Sample[]): Promise<readonly Sample[]> => {
      expect(++running).toBe(1);
      steps.push(ids(step));
      await later(5 - steps.length);
      running--;
      return step;
    };
    expect(ids(await lastValueFrom(from(rows(7)).pipe(batchSteps(3, work), toArray())))).toEqual(ids(rows(7)));
    expect(steps).toEqual([['0', '1', '2'], ['3', '4', '5'], ['6']]);
  });

  it('lets marked rows by at once, and counts them in no step', async () => {
    const seen: string[] = [];
    const steps: string[][] = [];
    const work = async (step: readonly Sample[]): Promise<readonly Sample[]> => {
      steps.push(ids(step));
      return step;
    };
    const source = new Subject<Sample>();
    source.pipe(batchSteps(2, work)).subscribe(({ id }) => seen.push(id));
    source.next(sample('a'));
    source.next(marked('b'));
    expect(seen).toEqual(['b']);
    source.next(marked('c'));
    source.next(sample('d'));
    await later(1);
    expect(seen).toEqual(['b', 'c', 'a', 'd']);
    expect(steps).toEqual([['a', 'd']]);
  });

  it('does no work without rows, and completes', async () => {
    const work = (): Promise<readonly Sample[]> => Promise.reject(new Error('no step to take'));
    expect(await lastValueFrom(from(rows(0)).pipe(batchSteps(2, work), toArray()))).toEqual([]);
    expect(ids(await lastValueFrom(of(marked('a')).pipe(batchSteps(2, work), toArray())))).toEqual(['a']);
  });

  it("passes a step's failure and the source's on, and takes no step after it", async () => {
    const steps: string[][] = [];
    const work = async (step: readonly Sample[]): Promise<readonly Sample[]> => {
      steps.push(ids(step));
      throw new Error(`step of ${ids(step).join()}`);
    };
    await expect(lastValueFrom(from(rows(4)).pipe(batchSteps(2, work)))).rejects.toThrow('step of 0,1');
    expect(steps).toEqual([['0', '1']]);
    const failing = concat(
      from(rows(1)),
      throwError(() => new Error('source')),
    );
    await expect(lastValueFrom(failing.pipe(batchSteps(2, work)))).rejects.toThrow('source');
    expect(steps).toHaveLength(1);
  });

  it('takes no further step once unsubscribed', async () => {
    const steps: string[][] = [];
    const work = async (step: readonly Sample[]): Promise<readonly Sample[]> => {
      steps.push(ids(step));
      await later(1);
      return step;
    };
    const subscription = concat(from(rows(6)), NEVER)
      .pipe(batchSteps(2, work))
      .subscribe();
    subscription.unsubscribe();
    await later(10);
    expect(steps).toEqual([['0', '1']]);
  });
});
