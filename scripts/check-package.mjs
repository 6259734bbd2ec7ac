/**
 * usage: node scripts/check-package.mjs      (after npm run build; takes the package registry, and no other host)
 * Packs segr1, installs it in an empty folder as a stranger would, and goes the path of README.md there. Ends with a line
 * "N passed, N failed"; the exit status is 1 if anything failed.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
// The folder's name is one that people have, and npm's settings of the repository don't reach it.
const scratch = mkdtempSync(join(tmpdir(), "segr1 häuser's-"));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
const place = join(scratch, 'empty');
mkdirSync(place);
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_|^ONNXRUNTIME_NODE/i.test(name)));

/** @returns exit code and what was printed. */
const ran = (program, args, cwd = place) =>
  promisify(execFile)(program, args, { cwd, env, maxBuffer: 1 << 26 }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  );
const ok = async (...command) => {
  const { code, stdout, stderr } = await ran(...command);
  if (code !== 0)
    throw new Error(`${command[0]} ${command[1].join(' ')}  expected exit 0; got ${code}: ${stderr || stdout}`);
  return stdout;
};
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
const bin = join(place, 'node_modules/.bin', process.platform === 'win32' ? 'segr1.cmd' : 'segr1');
const segr1 = (...args) => ok(bin, args);
const same = (got, expected, what) => {
  if (JSON.stringify(got) !== JSON.stringify(expected))
    throw new Error(`${what}: expected ${JSON.stringify(expected)}; got ${JSON.stringify(got)}`);
};

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const tarball = join(scratch, `segr1-${version}.tgz`);
const installed = join(place, 'node_modules/segr1');
const tiny = 'node_modules/segr1/data/models/tiny';

const checks = {
  'packs what is built, and what the pages speak of': async () => {
    await ok(npm, ['pack', '--ignore-scripts', '--pack-destination', scratch], root);
    const listed = (await ok('tar', ['tzf', tarball], scratch))
      .split('\n')
      .map((name) => name.slice('package/'.length));
    const wanted = ['dist/cli.js', 'README.md', 'LICENSE', 'CHANGELOG.md', 'docs/README.md', 'examples/plain-rxjs.mjs'];
    same(
      wanted.filter((name) => !listed.includes(name)),
      [],
      'files that lack',
    );
    const made = listed
      .filter((name) => /^dist\/.*\.js$/.test(name))
      .map((name) => name.replace(/^dist(.*)\.js$/, 'src$1.ts'));
    same(
      made.filter((source) => !existsSync(join(root, source))),
      [],
      'built files without a source',
    );
  },
  'installs with npm install, and fetches nothing that is no package': async () => {
    await ok(npm, ['install', '--no-fund', '--no-audit', tarball]);
    const runtime = join(installed, 'node_modules/onnxruntime-node/package.json');
    same(JSON.parse(readFileSync(runtime, 'utf8')).scripts, undefined, "onnxruntime-node's scripts");
  },
  'installs anew with npm ci': () => ok(npm, ['ci', '--no-fund', '--no-audit']),
  'says its own version': async () =>
    same((await ok(npm, ['exec', '--no', '--', 'segr1', '--version'])).trim(), version, 'npx segr1 --version'),
  'links lead to pages of the package': async () => {
    const pages = readdirSync(join(installed, 'docs')).filter((name) => name.endsWith('.md'));
    const dead = ['README.md', ...pages.map((name) => `docs/${name}`)].flatMap((page) =>
      [...readFileSync(join(installed, page), 'utf8').matchAll(/\]\(([^)\s#]+)[^)\s]*\)/g)]
        .map(([, target]) => target)
        // How it is made and measured stays in the repository.
        .filter((target) => !/^(https?:|(\.\.\/)?(src|scripts|bench|test)\/)/.test(target))
        .filter((target) => !existsSync(resolve(installed, dirname(page), target)))
        .map((target) => `${page} ${target}`),
    );
    same(dead, [], 'dead links');
  },
  'segr1 doctor: the CPU works': () => segr1('doctor'),
  'segr1 pipeline train: two steps of the shipped pipeline': async () => {
    const out = await segr1('pipeline', 'train', '--set', 'evaluate=null', '--max-steps', '2', '--run', 'runs/first');
    same(/^steps +2$/m.test(out), true, `two steps in ${out}`);
    same(existsSync(join(place, 'runs/first/checkpoints/step-2/model.safetensors')), true, 'a checkpoint');
  },
  'segr1 pipeline evaluate: with what was trained': () =>
    segr1(
      'pipeline',
      'evaluate',
      '--set',
      'load.scenes.count=4',
      '--set',
      'policy.checkpoint=runs/first/checkpoints/step-2',
    ),
  'segr1 pipeline NAME --check: every shipped pipeline': async () => {
    for (const name of ['train', 'evaluate', 'fit', 'sft', 'pretrain', 'finetune'])
      await segr1('pipeline', name, '--check');
  },
  "segr1 pipeline RECIPE --check: lacks nothing but the user's models and data": async () => {
    cpSync(join(installed, 'recipes'), join(place, 'recipes'), { recursive: true });
    const files = readdirSync(join(place, 'recipes'), { recursive: true })
      .map(String)
      .filter((name) => /\/.*\.yaml$/.test(name));
    same(files.length > 0, true, 'recipes');
    for (const file of files) {
      const { code, stderr } = await ran(bin, ['pipeline', `recipes/${file}`, '--check']);
      same(code, 2, `exit code of ${file}`);
      const other = stderr
        .trim()
        .split('\n')
        .filter((line) => !/expected .*; got .*(is not there|nothing there)/.test(line));
      same(other, [], file);
    }
  },
  "README's pipeline of one's own images": async () => {
    for (const name of ['images', 'masks'])
      cpSync(join(installed, 'data/sample', name), join(place, 'photos', name), { recursive: true });
    const readme = readFileSync(join(installed, 'README.md'), 'utf8');
    const [, yaml] = /^```yaml\n(# photos\.yaml\n.*?)^```$/ms.exec(readme);
    writeFileSync(join(place, 'photos.yaml'), yaml.replace('data/models/tiny', tiny));
    await segr1('pipeline', 'photos.yaml', '--check');
    await segr1('pipeline', 'photos.yaml', '--set', 'rollout.group=2', '--max-steps', '1');
  },
  'segr1 segment: by a box, and by the policy; segr1 score': async () => {
    await segr1('segment', 'photos/images/pick-00.png', '--box', '10,10,90,90', '--out', 'cut');
    await segr1('segment', 'photos/images/pick-01.png', '--policy', tiny, '--frame', '112', '--out', 'asked');
    await segr1('score', '--predictions', 'photos/masks', '--truth', 'photos/masks');
  },
  'examples: the loop in code, and a module of each kind': async () => {
    await ok(process.execPath, [join(installed, 'examples/plain-rxjs.mjs'), tiny, '1']);
    // In a folder of one's own, where segr1, rxjs and zod are found as packages.
    cpSync(join(installed, 'examples'), join(place, 'examples'), { recursive: true });
    for (const yaml of [
      'custom-stage/train',
      'custom-stage/difficulty',
      'custom-reward/train',
      'custom-objective/train',
    ])
      await segr1('pipeline', `examples/${yaml}.yaml`, '--set', `policy.checkpoint=${tiny}`, '--check');
    await segr1(
      'pipeline',
      'examples/custom-stage/train.yaml',
      '--set',
      `policy.checkpoint=${tiny}`,
      '--max-steps',
      '1',
    );
  },
  'types: a strict program against the public API, libraries included': async () => {
    writeFileSync(join(place, 'own.mts'), OWN);
    const options = {
      target: 'es2023',
      module: 'nodenext',
      strict: true,
      noEmit: true,
      skipLibCheck: false,
      types: ['node'],
    };
    writeFileSync(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['own.mts'] }));
    await ok(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', place]);
  },
};

const OWN = `
import { map } from 'rxjs';
import { column, readPipeline, readRows, run, stage, type RewardFunction } from 'segr1';
import { z } from 'zod';

export const difficulty = stage({
  name: 'difficulty',
  options: z.strictObject({ best: z.number().default(2) }),
  needs: ['rewards'],
  adds: { difficulty: column.float('how hard it is') },
  build: () => map((row) => row),
});
export const long: RewardFunction = { name: 'long', weight: 1, score: (row) => row.completions.map(({ tokens }) => tokens.length) };

const { rowsIn } = await run(await readPipeline('train'), { folder: 'runs/typed' });
const ids: string[] = [];
for await (const { id } of readRows<{ difficulty?: number }>('runs/typed/rows')) ids.push(id);
console.log(rowsIn === ids.length);
`;

let [passed, failed] = [0, 0];
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    passed++;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed++;
    console.log(`failed  ${name}\n${error.message}`);
    // Without the package there is nothing more to see.
    if (!existsSync(installed) && passed + failed > 1) break;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
