/**
 * What a step of the check found: a line of JSON in the file RESULTS for programs, a short one on the terminal for
 * people.
 */
import { appendFileSync } from 'node:fs';

/** @param step which every line names. @returns writes a record, and prints its text where there is one. */
export function teller(step) {
  return (record, text) => {
    const file = process.env.RESULTS;
    if (file) appendFileSync(file, `${JSON.stringify({ step, ...record })}\n`);
    if (text !== undefined) console.log(text);
  };
}

/** A number in few digits, NaN where there is none. */
export const short = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : String(value));

/**
 * Runs the parts of a step one after the other; one that fails is told and does not end the others.
 *
 * @returns whether all went well.
 */
export async function each(tell, parts) {
  let well = true;
  for (const [name, run] of parts) {
    const start = performance.now();
    try {
      await run();
    } catch (error) {
      well = false;
      tell(
        { part: name, error: String(error?.message ?? error) },
        `${name}  FAILED: ${String(error?.message ?? error).slice(0, 500)}`,
      );
      console.error(error?.stack ?? error);
    }
    tell({ part: name, seconds: (performance.now() - start) / 1000 });
  }
  return well;
}
