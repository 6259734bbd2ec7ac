import type { Argv, CommandModule } from 'yargs';
import { z } from 'zod';

import { shown } from '../errors.js';
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

/** `segr1 stages`: lists the stages. */
export const stagesCommand: CommandModule<object, { readonly json: unknown }> = {
  command: 'stages',
  describe: 'list the stages of a pipeline: columns they need and add, options and defaults',
  builder: (parser: Argv) => parser.option('json', { type: 'boolean', describe: 'print JSON, options as JSON Schema' }),
  handler: ({ json }) => {
    print(json ? JSON.stringify(stagesJson(), null, 2) : [...stages.values()].map(stageText).join('\n\n'));
  },
};

/** The stage table for programs, and the schema of a pipeline's own keys. */
function stagesJson(): unknown {
  const entries = [...stages.values()].map((stage) => [
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
