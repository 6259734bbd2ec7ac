import { appendFileSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { encodePng } from '../../../src/io/image.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { checkInputs, inputsOf, readInputs, writeInputs } from '../../../src/pipelines/store/inputs.js';
import { RunFolder } from '../../../src/pipelines/store/run-folder.js';
import { folder } from '../files.js';

const TINY = join(import.meta.dirname, '../../../data/models/tiny');
const REWARD = 'export const reward = ({ completions }) => completions.map(() => 1);\n';

/** A pipeline with files of its own of every kind, and what it reads. */
async function placed() {
  const { path, file } = folder();
  cpSync(TINY, join(path, 'model'), { recursive: true });
  for (const kind of ['images', 'masks'])
    for (const [i, name] of ['a', 'b'].entries()) {
      const data = new Uint8Array(3 * 64 * 64).fill(kind === 'masks' ? 255 : 60 * i);
      mkdirSync(join(path, kind), { recursive: true });
      writeFileSync(join(path, kind, `${name}.png`), await encodePng({ width: 64, height: 64, data }));
    }
  file('own.mjs', REWARD);
  const yaml = file(
    'p.yaml',
    `policy: { checkpoint: model }\nsegmenter: { kind: grabcut }\nstages:\n  - load: { images: images, masks: masks, frame: 64 }\n  - rollout\n  - parse\n  - mask\n  - reward: { weights: { own: 1 }, functions: { own: own.mjs } }\n  - write\n`,
  );
  const inputs = () => readPipeline(yaml).then((pipeline) => inputsOf(pipeline));
  return { path, inputs };
}

const run = new RunFolder('/run');

describe('what a run reads', () => {
  it('is the same where nothing that counts has changed', async () => {
    const { path, inputs } = await placed();
    const before = await inputs();
    writeFileSync(join(path, 'model/README.md'), '# Mine\n');
    writeFileSync(join(path, 'images/notes.txt'), '');
    expect(checkInputs(run, before, await inputs())).toEqual([]);
  });

  it.each<[string, (path: string) => unknown, RegExp]>([
    [
      'weights',
      (path) => {
        const file = join(path, 'model/model.safetensors');
        const bytes = readFileSync(file);
        bytes.writeFloatLE(0.5, bytes.length - 4);
        writeFileSync(file, bytes);
      },
      /policy\.checkpoint: expected model\.safetensors as the run began with it, \w{8}; got \w{8}\nway out/,
    ],
    [
      'a chat template that joins',
      (path) => writeFileSync(join(path, 'model/additional.jinja'), ''),
      /policy\.checkpoint: expected additional\.jinja as the run began with it, none; got \w{8}\nway out/,
    ],
    [
      'a tokenizer',
      (path) => appendFileSync(join(path, 'model/tokenizer.json'), ' '),
      /policy\.checkpoint: expected tokenizer\.json/,
    ],
    [
      'a picture that joins',
      (path) => {
        cpSync(join(path, 'images/a.png'), join(path, 'images/c.png'));
        cpSync(join(path, 'masks/a.png'), join(path, 'masks/c.png'));
      },
      /load: expected pictures, their number as the run began with it, 2; got 3\n.*load: expected pictures and masks by name/,
    ],
    [
      'a picture with another name',
      (path) => {
        renameSync(join(path, 'images/a.png'), join(path, 'images/z.png'));
        renameSync(join(path, 'masks/a.png'), join(path, 'masks/z.png'));
      },
      /^\S+ {2}load: expected pictures and masks by name .*\n.*what is in pictures and masks/,
    ],
    [
      'a mask that is another',
      (path) => cpSync(join(path, 'images/b.png'), join(path, 'masks/b.png')),
      /^\S+ {2}load: expected what is in pictures and masks as the run began with it, \w{8}; got \w{8}\nway out/,
    ],
    [
      'a module',
      (path) => writeFileSync(join(path, 'own.mjs'), REWARD.replace('1)', '2)')),
      /reward\.functions\.own: expected own\.mjs as the run began with it/,
    ],
  ])('is refused for other %s', async (_, change, message) => {
    const { path, inputs } = await placed();
    const before = await inputs();
    change(path);
    const now = await inputs();
    expect(() => checkInputs(run, before, now)).toThrow(message);
  });

  it('says where another program or machine goes on', async () => {
    const { inputs } = await placed();
    const before = await inputs();
    const now = { ...before, machine: { ...before.machine, 'ONNX Runtime': '2.0' } };
    expect(checkInputs(run, before, now)).toEqual([
      expect.stringMatching(
        /^\/run\/inputs\.json {2}resume: the run began with ONNX Runtime 1\.\d+\.\d+, and goes on with 2\.0: the last bits may differ/,
      ),
    ]);
  });

  it('lies in the folder of the run, and is none in that of an earlier version', async () => {
    const own = new RunFolder(folder().path);
    expect(readInputs(own)).toBeUndefined();
    const { inputs } = await placed();
    const before = await inputs();
    await writeInputs(own, before);
    expect(readInputs(own)).toEqual(before);
    rmSync(own.inputs);
    writeFileSync(own.inputs, '{');
    expect(() => readInputs(own)).toThrow('inputs.json  expected what the run began with; got ');
  });
});
