/** What stages remember beyond the run that they are in. */
export interface StageStates {
  /**
   * Takes what gives a stage's memory, rows that come `again` left out; gives what it was in the run before, if it was.
   */
  remember(stage: string, keep: (again: ReadonlySet<string>) => unknown): unknown;
  /** All of it now, by stage; the second of a name is `NAME 2`. */
  kept(again: ReadonlySet<string>): Record<string, unknown>;
}

export function stageStates(before: Readonly<Record<string, unknown>> = {}): StageStates {
  const known = new Map<string, (again: ReadonlySet<string>) => unknown>();
  return {
    remember(stage, keep) {
      const alike = [...known.keys()].filter((name) => name === stage || name.startsWith(`${stage} `)).length;
      const name = alike === 0 ? stage : `${stage} ${alike + 1}`;
      known.set(name, keep);
      return before[name];
    },
    kept: (again) => Object.fromEntries([...known].map(([name, keep]) => [name, keep(again)])),
  };
}
