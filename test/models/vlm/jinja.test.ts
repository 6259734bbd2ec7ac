import { describe, expect, it } from 'vitest';

import { compileJinja } from '../../../src/models/vlm/jinja.js';

const render = (template: string, variables: Record<string, unknown> = {}): string => compileJinja(template)(variables);

/**
 * Templates and their texts by jinja2 3.1.6, compiled as transformers 5.23 does (`_compile_jinja_template`, with
 * `trim_blocks` and `lstrip_blocks`).
 */
const RENDERED = [
  ['a\r\nb\rc\nd', 'a\nb\nc\nd'],
  ['{% if true %}\r\n  x\r\n  {% endif %}\r\ny\r\n', '  x\ny'],
  ['{% if true %}\r  x\r{% endif %}\ry\r', '  x\ny'],
  ['x\n\n', 'x\n'],
  ['x\r\n\r\n', 'x\n'],
  ['x\r', 'x'],
  ['x\n \n', 'x\n '],
  ['  {% if true %}a{% endif %}  \n  b', 'a  \n  b'],
  ['  {{ 1 }}\n  {{ 2 }}', '  1\n  2'],
  ['a\n  {%+ if true %}b{%+ endif +%}\nc', 'a\n  b\nc'],
  ['a\n  {% if true +%}\n b\n{% endif -%}\n\n  c', 'a\n\n b\nc'],
  ['a \n {%- if true -%} \n b \n {%- endif -%} \n c', 'abc'],
  ['a\n\t\u000c {% if true %}x{% endif %}\n\u00a0{# c #}\ny', 'a\nxy'],
  ['x {#- c -#} y {# d #}\nz {#- e #}\nw {# f -#}  \n v', 'xy zw v'],
  ['{#-#}\na', 'a'],
  ['a {#-#} b', 'a b'],
  ['a{#+ c +#}\nb', 'a\nb'],
  ['  {#+ c #}d', '  d'],
  ['{% raw %}\n {{ x }} {% if %} {# #}\n{% endraw %}\nz', '\n {{ x }} {% if %} {# #}\nz'],
  ['a {%- raw -%} \n b {{ }} \n {%- endraw -%} \n c', 'ab {{ }}c'],
  ['  {% raw %}  x\n  {% endraw %}\ny', '  x\ny'],
  ["{{- ' x ' -}}  \n y {{ 'a\r\nb' }}", ' x y a\nb'],
  ['{{ \'%}\' }}\n{{ "-}" }}\n-}\n#}\n%}\n', '%}\n-}\n-}\n#}\n%}'],
  ['a {- b\n   {- c\n  {% if true %}{-{% endif %}', 'a {- b\n   {- c\n{-'],
  ['{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\n', '  1\n  2\n'],
  ['{% for i in [1,2] -%}\n  {{ i }}\n{%- endfor %}\n', '12'],
  ['{% set x %}\n hi \n{% endset %}[{{ x }}]', '[ hi \n]'],
  ["{% macro f(a) %}\n  <{{ a }}>\n{% endmacro %}\n{{ f('q') }}\n", '  <q>\n'],
  ["{{ {'a': {'b': 1}}['a']['b'] }}|{{ {'a': '}}'}['a'] }}", '1|}}'],
  ['{% if true %}{% generation %}\n a \n{% endgeneration %}\nb{% endif %}', ' a \nb'],
  ['x\n {%- generation -%}\n a \n{%- endgeneration -%}\nb', 'xab'],
  ['\ufeffa {%- if true %}\ufeff {%- endif %}x', '\ufeffa\ufeffx'],
  ['a\u0085 {%- if true %}b{% endif %}\u001c{%- if true %}c{% endif %}', 'abc'],
  ['a\u2028  {% if true %}b{% endif %}', 'a\u2028  b'],
  ["{{ 'a\\d\\n\\t\\\\' }}", 'a\\d\n\t\\'],
  ['{{ \'it\\\'s\' }}{{ "q\\"" }}', 'it\'sq"'],
  ['line \\n stays {{ \'\\u00e9\' }} "quoted" \\', 'line \\n stays \u00e9 "quoted" \\'],
  ["{{ 'a  b\tc' }}{{ '{% x %}' }}{{ '{{' }}", 'a  b\tc{% x %}{{'],
  [
    "{% if messages[0]['role'] == 'user' %}\r\n<|im_start|>{{ messages[0]['role'] }}\r\n{% endif %}\r\n",
    '<|im_start|>user\n',
  ],
  ["{{ messages[0].content | trim }}\n{{ '' }}\n", 'hi\r\nthere\n'],
  ['{{+1}}', '1'],
  ['{{-1}}', '1'],
  ["a {{+ 'b' }} c", 'a b c'],
  ['\n\n{% if true %}\n\n{% endif %}\n\n', '\n\n\n'],
  ['{% if true\n   and\ttrue %}y{%\nendif\n%}\nz', 'yz'],
  ["{%- for m in messages %}{{- '<' + m.role + '>\n' }}{% endfor %}", '<user>\n'],
] as const;

describe('compileJinja', () => {
  it.each(RENDERED)('writes %j as jinja2 does', (template, text) => {
    const message = { role: 'user', content: ' hi\r\nthere ' };
    expect(render(template, { messages: [message], tools: null, add_generation_prompt: true })).toBe(text);
  });

  it.each([
    ['{% if true %}', /not closed/],
    ['{% if true', /a block without its end/],
    ['{{ 1', /an expression without its end/],
    ['{{ "a', /a string without its end/],
    ['{# a', /a comment without its end/],
    ['{% raw %} {{', /a raw block without its end/],
    ['x'.repeat(1_000_001), /1000001 characters/],
    [`{{ ${'('.repeat(50_000)}1${')'.repeat(50_000)} }}`, /call stack/],
  ])('refuses %.40j', (template, expected) => {
    expect(() => compileJinja(template)).toThrow(expected);
  });

  it.each([
    '{% for i in range(1000000000) %}x{% endfor %}',
    '{{ range(10**9)|length }}',
    '{{ range(0, -1000000000, -1) }}',
    '{% for i in range(5000) %}{% for j in range(5000) %}{% endfor %}{% endfor %}',
    '{% for i in range(500000) if false %}{% endfor %}',
    '{% set ns = namespace(s="x") %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}',
    '{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}',
    '{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s|tojson }}',
    '{% set ns = namespace(s="xxxxxxxxxx") %}{% for i in range(9) %}{% set ns.s = ns.s.replace("x", ns.s) %}{% endfor %}',
    '{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}',
    '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
    '{% set ns = namespace(s=1) %}{% set ns.s = ns %}{{ ns|tojson }}',
    '{{ "a\\nb"|indent(400000000) }}',
    '{{ [1, [2]]|tojson(indent=300000000) }}',
  ])('ends soon: %s', (template) => {
    expect(() => render(template)).toThrow();
  });

  it('takes spaces without end, and messages of any length', () => {
    expect(render(`${' '.repeat(900_000)}{% if true %}x{% endif %}`)).toBe('x');
    const content = 'word '.repeat(400_000);
    const template = '{% for m in messages %}{% if m.content is string %}{{ m.content | trim }}{% endif %}{% endfor %}';
    expect(render(template, { messages: [{ content }] })).toHaveLength(content.length - 1);
  });

  it('has the names that transformers gives to templates', () => {
    expect(render('{{ none }}{{ True }}{% if not False %}{{ strftime_now("%Y-%m-%d") }}{% endif %}')).toMatch(
      /^true\d{4}-\d\d-\d\d$/,
    );
    expect(() => render('{{ raise_exception("roles must alternate") }}')).toThrow('roles must alternate');
  });
});
