import { basename } from 'node:path';

import type { Row } from '../../records.js';

/**
 * A reason without what is of one row alone (its files, its id), so that rows with the same fault add up; the row keeps
 * the whole reason.
 */
export function reasonKind(reason: string, row: Partial<Pick<Row, 'id' | 'image' | 'truthPath'>>): string {
  const image = row.image && 'path' in row.image ? row.image.path : undefined;
  const truth = row.truthPath?.replace(/#[\d,]*$/, '');
  const own = [image, truth, image && basename(image), truth && basename(truth)].filter((text) => text !== undefined);
  const about = row.id !== undefined && reason.startsWith(`${row.id}  `) ? reason.slice(row.id.length + 2) : reason;
  const short = own.reduce((text, one) => text.replaceAll(one, '…'), about);
  return short
    .replaceAll(/(^|[\s"'`(=])(?:\/|[A-Za-z]:[\\/])[^\s"'`)]+/g, '$1…')
    .replaceAll(/…[#:][\d,:]+/g, '…')
    .replace(/^…\s+/, '');
}
