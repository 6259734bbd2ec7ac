// usage, after a build: node scripts/row-schema.mjs [table] — writes docs/row-schema.json, the columns of rows; with `table` prints that of docs/rows.md.
import { writeFileSync } from 'node:fs';

import { columnDocs } from '../dist/io/arrow/columns.js';
import { describeColumns } from '../dist/io/arrow/describe.js';

if (process.argv[2] === 'table')
  for (const { name, type, doc } of columnDocs) console.log(`| \`${name}\` | ${type} | ${doc} |`);
else
  writeFileSync(new URL('../docs/row-schema.json', import.meta.url), `${JSON.stringify(describeColumns(), null, 2)}\n`);
