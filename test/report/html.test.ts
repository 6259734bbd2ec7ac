import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { escaped, html } from '../../src/report/html.js';

describe('html', () => {
  it('escapes what is put in, but for HTML', () => {
    expect(html`<p title="${'"a" & \'b\''}">${'<script>'}${html`<b>${1}</b>`}${[html`<i>`, html`</i>`]}</p>`.html).toBe(
      '<p title="&quot;a&quot; &amp; &#39;b&#39;">&lt;script&gt;<b>1</b><i></i></p>',
    );
  });
  it('lets no text leave its place', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(escaped(text)).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|#39);)/);
      }),
    );
  });
});
