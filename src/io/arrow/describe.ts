import { DataType, Precision, type Field } from 'apache-arrow';

import { columnDocs, rowSchema, SCHEMA_VERSION } from './columns.js';

/** The columns of rows as a document, with those that only some runs have; `NAME` stands for a part or a metric. */
export function describeColumns(): object {
  const { fields } = rowSchema(['NAME'], {}, { scores: ['NAME'], ignore: true });
  return {
    schema_version: SCHEMA_VERSION,
    columns: columnDocs.map(({ name, doc }) => ({
      name,
      type: typed(fields.find((field) => field.name === name)),
      doc,
    })),
  };
}

function typed(field: Field | undefined): string {
  return field ? typeName(field.type as DataType) : 'none';
}

/** A type in Arrow's words: `list<struct<x: int32>>`, `int32[4]` for a fixed number. */
export function typeName(type: DataType): string {
  if (DataType.isStruct(type))
    return `struct<${type.children.map((child) => `${child.name}: ${typed(child)}`).join(', ')}>`;
  if (DataType.isList(type)) return `list<${typeName(type.valueType as DataType)}>`;
  if (DataType.isFixedSizeList(type)) return `${typeName(type.valueType as DataType)}[${type.listSize}]`;
  if (DataType.isDictionary(type)) return `dictionary<${typeName(type.dictionary as DataType)}>`;
  if (DataType.isUtf8(type)) return 'string';
  if (DataType.isFloat(type)) return type.precision === Precision.DOUBLE ? 'float64' : 'float32';
  if (DataType.isInt(type)) return `int${type.bitWidth}`;
  return DataType.isBool(type) ? 'bool' : 'binary';
}
