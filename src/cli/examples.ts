import type { Argv, CommandModule } from 'yargs';

/** Command lines of `--help`, by command, and what each does. */
export const examples: Readonly<Record<string, readonly (readonly [line: string, what: string])[]>> = {
  segr1: [
    ['segr1 pipeline train', 'trains the small policy that comes with it: two minutes on 2 cores'],
    ['segr1 pipeline photos.yaml --check', 'lists every mistake of a pipeline, or prints what would run'],
    ['segr1 segment photo.png --box 30,40,200,180', 'segments what is in a box'],
  ],
  pipeline: [
    ['segr1 pipeline train', 'a pipeline of pipelines.yaml, or one that segr1 ships'],
    ['segr1 pipeline photos.yaml --check', 'lists every mistake, or prints what would run'],
    ['segr1 pipeline photos.yaml --set rollout.group=4 --max-steps 20', 'a short try with smaller groups'],
    ['segr1 pipeline photos.yaml --run runs/first --resume', 'goes on where runs/first was broken off'],
  ],
  segment: [
    ['segr1 segment photo.png --box 30,40,200,180 --out masks', 'what is in the box, x1,y1,x2,y2 in pixels'],
    [
      'segr1 segment photo.png --point 90,80 --point 10,10 --label 1 --label 0',
      'what is at one point and not at another',
    ],
    [
      'segr1 segment photos --policy models/mine --segmenter models/sam --out masks',
      'a folder of images, by what a policy writes',
    ],
    [
      "segr1 segment photo.png --policy models/mine --prompt 'the red cup' --json",
      'what was asked for, as a line of JSON',
    ],
  ],
  prepare: [
    ['segr1 prepare jpeg photos --dry-run', 'which pictures would become JPEG'],
    ['segr1 prepare camo data/camo', "CAMO's folders as load reads them"],
    ['segr1 prepare list pairs.jsonl --images photos --masks masks', 'a list of images and masks'],
  ],
  score: [
    ['segr1 score --predictions masks --truth gt', 'metrics of a folder of masks'],
    [
      'segr1 score --predictions masks --truth gt --metrics referring --out scores',
      'cIoU and gIoU; tables and a page in scores',
    ],
  ],
  compare: [
    ['segr1 compare runs/before runs/after', 'differences by row'],
    ['segr1 compare runs/before runs/after --markdown', 'the same for a page'],
  ],
  stages: [
    ['segr1 stages', 'all stages'],
    ['segr1 stages rollout update', 'two of them'],
    ['segr1 stages --json', 'JSON Schema, for editors and programs'],
  ],
  export: [
    ['segr1 export runs/first --merged models/mine', 'the newest checkpoint of a run, as one of its own'],
    [
      'segr1 export models/adapter --base models/Qwen2.5-VL-3B --merged models/mine',
      'an adapter, merged into its base',
    ],
  ],
  models: [['segr1 models inspect models/Qwen2.5-VL-3B', 'weights, and the memory that they need']],
  'models inspect': [
    ['segr1 models inspect models/Qwen2.5-VL-3B --frame 768 --group 4', 'memory of rollouts and training'],
    ['segr1 models inspect models/adapter --base models/Qwen2.5-VL-3B --device cuda', 'an adapter, on a GPU'],
  ],
  gpu: [['segr1 gpu install', 'fetches what an NVIDIA GPU needs beside its driver']],
  'gpu install': [
    ['segr1 gpu install', "what is missing, into the user's cache"],
    ['segr1 gpu install --libraries wheels --dir /data/cuda', "all of NVIDIA's libraries, into a folder of one's own"],
  ],
  doctor: [
    ['segr1 doctor', 'which devices work, how fast, and what would help'],
    ['segr1 doctor --json', 'the same for programs'],
  ],
};

/** Heads them in a help. */
export const EXAMPLES = 'Examples:';

/** A command's examples, as the end of its help. */
export function examplesText(name: string): string {
  return [EXAMPLES, ...(examples[name] ?? []).flatMap(([line, what]) => [`  ${line}`, `      ${what}`])].join('\n');
}

/** The command with its examples behind the options of its help. */
export function withExamples<T, U>(command: CommandModule<T, U>, within = ''): CommandModule<T, U> {
  const name = `${within} ${String(command.command).split(' ', 1)[0]}`.trim();
  const { builder } = command;
  if (typeof builder !== 'function') return command;
  return { ...command, builder: (parser: Argv<T>) => (builder(parser) as Argv<U>).epilogue(examplesText(name)) };
}
