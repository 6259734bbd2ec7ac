import { describe, expect, it } from 'vitest';

import { escaped } from '../../src/report/html.js';
import { markdown, plain } from '../../src/report/table.js';

const FOREIGN = 'a\u001b[2J\u202e|<img src=x>\n![b](http://x)';

describe('foreign text', () => {
  it('is text in Markdown: no column, no HTML, no link, no line of its own', () => {
    expect(markdown(FOREIGN, [['set'], [FOREIGN]])).toBe(
      [
        '# a\\u001b[2J\\u202e\\|\\<img src=x>\\u000a![b]\\(http://x)',
        '',
        '| set |',
        '| --- |',
        '| a\\u001b[2J\\u202e\\|\\<img src=x>\\u000a![b]\\(http://x) |',
        '',
      ].join('\n'),
    );
  });

  it('is text in a table on a terminal, and in HTML', () => {
    expect(
      plain([
        ['set', '1'],
        [FOREIGN, '2'],
      ]),
    ).toBe(`set${' '.repeat(47)}1\na\\u001b[2J\\u202e|<img src=x>\\u000a![b](http://x)  2`);
    expect(escaped(FOREIGN)).toBe('a\\u001b[2J\\u202e|&lt;img src=x&gt;\n![b](http://x)');
  });
});
