import type { Argv, CommandModule } from 'yargs';
import { z } from 'zod';

import { shown, UsageError } from '../errors.js';
import { knownNames } from '../nearest.js';
import { PipelineShape } from '../pipelines/settings.js';
import { columnsOf, type Stage } from '../pipelines/stage.js';
import { stages } from '../pipelines/stages/table.js';
import { print } from './print.js';

interface OptionSchema {
  readonly type?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly OptionSchema[];
}

interface Arguments {
  readonly names: readonly string[];
  readonly json: unknown;
}

/** `segr1 stages [NAME…]`: lists all stages, or those named. */
export const stagesCommand: CommandModule<object, Arguments> = {
  command: 'stages [names..]',
  describe: 'list the stages of a pipeline: columns they need and add, options and defaults',
  builder: (parser: Argv) =>
    parser
      .positional('names', { type: 'string', array: true, default: [], describe: 'stages; all by default' })
      .option('json', { type: 'boolean', describe: 'print JSON, options as JSON Schema' }),
  handler: ({ names, json }) => {
    const listed = named(names);
    print(json ? JSON.stringify(stagesJson(listed), null, 2) : listed.map(stageText).join('\n\n'));
  },
};

/** @throws {UsageError} for names that no stage has, a line each. */
function named(names: readonly string[]): readonly Stage[] {
  const unknown = names.filter((name) => !stages.has(name));
  if (unknown.length > 0) {
    throw new UsageError(
      unknown
        .map((name) => `stages  no stage is called ${shown(name)}; ${knownNames(name, [...stages.keys()])}`)
        .join('\n'),
    );
  }
  return [...stages.values()].filter(({ name }) => names.length === 0 || names.includes(name));
}

/** The stage table for programs, and the schema of a pipeline's own keys. */
function stagesJson(listed: readonly Stage[]): unknown {
  const entries = listed.map((stage) => [
    stage.name,
    { ...columns(stage), uses: stage.uses ?? [], options: jsonSchema(stage.options) },
  ]);
  return { pipeline: jsonSchema(PipelineShape), stages: Object.fromEntries(entries) as unknown };
}

function columns(stage: Stage): {
  kind: string;
  needs: readonly string[];
  adds: readonly string[] | 'by options';
} {
  const { kind = 'map', needs = [], adds } = stage;
  return { kind, needs, adds: typeof adds === 'function' ? 'by options' : columnsOf(stage, undefined) };
}

/** One stage for people: a line on its columns, and one for each option. */
function stageText(stage: Stage): string {
  const { kind, needs, adds } = columns(stage);
  const head = [
    stage.name,
    ...(kind === 'map' ? [] : [kind]),
    ...(needs.length > 0 ? [`needs ${needs.join(', ')}`] : []),
    ...(typeof adds === 'string' ? [`adds columns ${adds}`] : adds.length > 0 ? [`adds ${adds.join(', ')}`] : []),
    ...(stage.uses ?? []).map((model) => `uses ${model}`),
  ];
  const { properties = {}, required = [] } = jsonSchema(stage.options) as {
    properties?: Record<string, OptionSchema>;
    required?: readonly string[];
  };
  const width = Math.max(0, ...Object.keys(properties).map((name) => name.length));
  const options = Object.entries(properties).map(
    ([name, schema]) => `  ${name.padEnd(width)}  ${optionText(schema, required.includes(name))}`,
  );
  return [head.join('  '), ...options].join('\n');
}

function optionText(schema: OptionSchema, required: boolean): string {
  return `${kindOf(schema)}${schema.default === undefined ? (required ? ', required' : '') : `, ${shown(schema.default)}`}`;
}

/** YAML's name of a value's type; the values or types of a union. */
function kindOf({ type = 'any', enum: values, anyOf }: OptionSchema): string {
  const names: Readonly<Record<string, string>> = { object: 'map', array: 'list' };
  if (values) return values.map((value) => shown(value)).join('|');
  return anyOf ? [...new Set(anyOf.map(kindOf))].join('|') : (names[type] ?? type);
}

function jsonSchema(schema: z.ZodType): unknown {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
}
