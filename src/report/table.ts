import { inLine } from '../printable.js';

/** Cells of text, the header first; every row has as many. */
export type Table = readonly (readonly string[])[];

/** Columns lined up, for a terminal. */
export function plain(cells: Table): string {
  const table = cells.map((row) => row.map(inLine));
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  return table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A page with a heading and the table. */
export function markdown(title: string, table: Table): string {
  return `# ${markdownText(title)}\n\n${markdownTable(table)}`;
}

/** The table alone. */
export function markdownTable([head = [], ...rows]: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => markdownText(cell.trim())).join(' | ')} |`;
  return [line(head), `|${head.map(() => ' --- |').join('')}`, ...rows.map(line), ''].join('\n');
}

/** Text in Markdown, on one line: no HTML, no link, no column. */
export function markdownText(text: string): string {
  return inLine(text).replaceAll(/[<|]|(?<=\])\(/g, '\\$&');
}
