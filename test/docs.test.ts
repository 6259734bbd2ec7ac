import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { z } from 'zod';

import { columnDocs, rowSchema } from '../src/io/arrow/columns.js';
import { PARSE_REASONS } from '../src/records.js';
import { PolicyOptions, SegmenterOptions, Settings } from '../src/pipelines/settings.js';
import { stages } from '../src/pipelines/stages/table.js';
import { benchmarkRoots } from './io/benchmarks/published.js';
import { folder } from './pipelines/files.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CLI = join(ROOT, 'dist/cli.js');
const SMALL = join(ROOT, 'test/golden/fixtures/policy/tiny-qwen2_5_vl-tied-bf16');

const pages = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'data/README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const text = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

interface Block {
  readonly page: string;
  readonly language: string;
  readonly body: string;
}

const blocks: readonly Block[] = pages.flatMap((page) =>
  [...text(page).matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = '', body = '']) => ({
    page,
    language,
    body,
  })),
);
const of = (language: string): Block[] => blocks.filter((block) => block.language === language);

/** Whole pipelines begin with a comment that names their file. */
const pipelines = of('yaml').filter(({ body }) => /^ *stages:/m.test(body));
const fragments = of('yaml').filter((block) => !pipelines.includes(block));
const nameOf = (body: string): string => /^# (\S+\.yaml)$/m.exec(body)?.[1] ?? '';

/** A folder in which everything is there that the pages speak of. */
function place(): string {
  const { path } = folder();
  const tiny = join(ROOT, 'data/models/tiny');
  const link = (from: string, to: string): void => {
    mkdirSync(dirname(join(path, to)), { recursive: true });
    symlinkSync(from, join(path, to));
  };
  for (const root of Object.values(benchmarkRoots())) link(root.path, `data/benchmarks/${root.name}`);
  for (const same of ['examples', 'recipes', 'scripts', 'data/sample']) link(join(ROOT, same), same);
  for (const checkpoint of [
    'data/models/tiny',
    'runs/tiny/start',
    'runs/tiny/look/checkpoints/step-500',
    'runs/first/sft/checkpoints/step-30',
    'runs/first/pretrain/checkpoints/step-10',
    'runs/first/train/checkpoints/step-10',
  ])
    link(existsSync(join(tiny, 'config.json')) ? tiny : SMALL, checkpoint);
  link(SMALL, 'models/Qwen2.5-VL-3B-Instruct');
  link(join(ROOT, 'test/golden/fixtures/segmenter/tiny-128'), 'models/sam2.1-hiera-large');
  link(join(ROOT, 'test/golden/fixtures/policy/train/lora'), 'models/adapter');
  link(join(ROOT, 'data/sample/images'), 'photos/images');
  link(join(ROOT, 'data/sample/masks'), 'photos/masks');
  cpSync(join(ROOT, 'pipelines.yaml'), join(path, 'pipelines.yaml'));
  for (const { body } of pipelines) writeFileSync(join(path, nameOf(body)), body);
  return path;
}

const here = place();
const segr1 = (args: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
  promisify(execFile)(process.execPath, [CLI, ...args], { cwd: here });

describe('YAML in the pages', () => {
  it.each(pipelines.map(({ page, body }) => [nameOf(body), page] as const))('%s of %s is a pipeline', async (name) => {
    expect(name).not.toBe('');
    const { stdout } = await segr1(['pipeline', name, '--check']);
    expect(stdout).toContain('stages:');
  });

  it.each(fragments.map(({ page, body }) => [body.trim().split('\n')[0], page, body] as const))(
    '%s of %s is stages that are known',
    (_, __, body) => {
      const list = z.array(z.record(z.string(), z.unknown())).parse(parseDocument(body).toJS());
      for (const [name, options] of list.flatMap((entry) => Object.entries(entry))) {
        expect(stages.get(name)?.options.safeParse(options).error).toBeUndefined();
      }
    },
  );
});

const lines = of('sh')
  .flatMap(({ page, body }) => body.split('\n').map((line) => [line.replace(/\s+#.*$/, '').trim(), page] as const))
  .filter(([line]) => line !== '');
const begins = (word: string) => lines.filter(([line]) => line.split(' ')[0] === word);
const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };

describe('commands in the pages', () => {
  it.each(begins('segr1'))('%s (%s)', async (line) => {
    const args = line.split(/\s+/).slice(1);
    const { stdout } = await segr1(args[0] === 'pipeline' && !args.includes('--check') ? [...args, '--check'] : args);
    expect(stdout).not.toBe('');
  });

  it.each(begins('npm'))('%s (%s)', (line) => {
    const [, first = '', second = ''] = line.split(' ');
    expect(['cit', 'ci', 'install', 'pack', ...Object.keys(scripts)]).toContain(first === 'run' ? second : first);
  });

  it.each([...begins('node'), ...lines.filter(([line]) => /^\S+\.sh\b/.test(line))])('%s (%s)', (line) => {
    const file = line.split(' ').find((word) => /\.(mjs|js|sh)$/.test(word)) ?? '';
    expect([file, existsSync(join(ROOT, file))]).toEqual([file, true]);
  });

  it('are all of a kind that is read here', () => {
    const known = new Set(
      [
        ...begins('segr1'),
        ...begins('npm'),
        ...begins('node'),
        ...lines.filter(([line]) => /^\S+\.sh\b/.test(line)),
      ].map(([line]) => line),
    );
    expect(lines.filter(([line]) => !known.has(line))).toEqual([]);
  });
});

describe('links in the pages', () => {
  it.each(pages)('%s', (page) => {
    const targets = [...text(page).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^(https?:|#)/.test(target));
    const missing = targets.filter((target) => !existsSync(resolve(ROOT, dirname(page), target.replace(/#.*$/, ''))));
    expect(missing).toEqual([]);
  });
});

/** First cells of the table that follows a heading, in its order, code marks taken off. */
function table(page: string, heading: string): string[] {
  const [, after = ''] = `\n${text(page)}`.split(`\n${heading}\n`);
  const section = after.split(/\n#+ /)[0] ?? '';
  const cells = section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|')[1] ?? '');
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name));
}

describe('docs/pipelines.md', () => {
  const keys = (schema: z.ZodType): string[] =>
    Object.keys(
      (z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as { properties?: object }).properties ?? {},
    );

  it.each([...stages.values()].map((stage) => [stage.name, stage] as const))(
    'has every option of %s',
    (name, { options }) => {
      expect(table('docs/pipelines.md', `### \`${name}\``).toSorted()).toEqual(keys(options).toSorted());
    },
  );

  it('has every setting', () => {
    expect(table('docs/pipelines.md', '## Settings').toSorted()).toEqual(
      [...Object.keys(Settings.shape), 'stages'].toSorted(),
    );
    expect(table('docs/pipelines.md', '### `policy`').toSorted()).toEqual(Object.keys(PolicyOptions.shape).toSorted());
    expect(table('docs/pipelines.md', '### `segmenter`').toSorted()).toEqual(
      Object.keys(SegmenterOptions.options[0].shape).toSorted(),
    );
  });
});

describe('README.md', () => {
  it('has every stage', () => {
    expect(table('README.md', '## Stages').filter((name) => stages.has(name))).toEqual(
      expect.arrayContaining([...stages.keys()]),
    );
  });
});

describe('docs/rows.md', () => {
  it('has every reason why an answer was not read', () => {
    expect(table('docs/rows.md', '## Why an answer was not read')).toEqual(expect.arrayContaining([...PARSE_REASONS]));
  });

  it('reads rows as it says', async () => {
    const [, after = ''] = text('docs/rows.md').split('## Reading them in TypeScript');
    const [code = '', said = ''] = [...after.matchAll(/^```(?:js|text)\n(.*?)^```$/gms)].map(([, body = '']) => body);
    const own = folder();
    const written = code
      .replace("'segr1'", `'${pathToFileURL(join(ROOT, 'dist/index.js')).href}'`)
      .replace("'runs/NAME'", `'${join(ROOT, 'test/fixtures/rows/v2/whole')}'`);
    const { stdout } = await promisify(execFile)(process.execPath, [own.file('read.mjs', written)]);
    expect(stdout).toBe(said);
  });

  it('has every column with its type and its sentence, in the order of the schema', () => {
    const [first = ''] = text('docs/rows.md').split('\n## ');
    expect(first.split('\n').filter((line) => line.startsWith('| `'))).toEqual(
      columnDocs.map(({ name, type, doc }) => `| \`${name}\` | ${type} | ${doc} |`),
    );
    expect(columnDocs.map(({ name }) => name)).toEqual(
      rowSchema(['NAME'], {}, { scores: ['structure'], ignore: true }).fields.map(({ name }) => name),
    );
  });
});

describe('docs/tensor-language.md', () => {
  it('runs, and prints what it says', async () => {
    const own = blocks.filter(({ page }) => page === 'docs/tensor-language.md');
    const code = own
      .filter(({ language }) => language === 'js')
      .map(({ body }) =>
        body.replaceAll(
          /'\.\.\/dist\/([^']+)'/g,
          (_, file: string) => `'${pathToFileURL(join(ROOT, 'dist', file)).href}'`,
        ),
      );
    const file = folder().file('page.mjs', code.join('\n'));
    const { stdout } = await promisify(execFile)(process.execPath, [file]);
    expect(stdout).toBe(
      own
        .filter(({ language }) => language === 'text')
        .map(({ body }) => body)
        .join(''),
    );
  });
});
