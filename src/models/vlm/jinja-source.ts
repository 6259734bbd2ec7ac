/** What Python's `str.isspace` takes for a space; JavaScript's \s has U+FEFF too, and lacks the separators and U+0085. */
const SPACES = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const SPACE = new RegExp(`[${SPACES}]`);
const BLANK = new RegExp(`^[${SPACES}]*$`);

/**
 * A template with all whitespace written out, so that nothing is left to strip: texts become string literals, tags have
 * no signs, comments are gone.
 *
 * The rules are those of Jinja 3.1 as transformers compiles chat templates: `trim_blocks`, `lstrip_blocks`, no trailing
 * newline, and every line end, CRLF and CR too, is LF, inside of literals as well. `{%+`, `+%}` and `{% raw %}` are
 * read.
 *
 * @throws {SyntaxError} if a tag, a comment or a raw block has no end.
 * @see jinja2/lexer.py, `Lexer.tokeniter`; transformers/utils/chat_template_utils.py, `_compile_jinja_template`.
 */
export function plainSource(template: string): string {
  const lines = template.replace(/\r\n?/g, '\n');
  const source = lines.endsWith('\n') ? lines.slice(0, -1) : lines;
  const out: string[] = [];
  let at = 0;
  for (let lineStarts = true; at < source.length;) {
    const found = nextTag(source, at);
    const { text, begin } = stripped(source.slice(at, found), source, found, lineStarts);
    if (text !== '') out.push(literalTag(text));
    if (found === source.length) break;
    const tag =
      source[found + 1] === '#'
        ? { text: '', end: endOf(source, begin, source.indexOf('#}', begin), 'comment') }
        : (rawBlock(source, found, begin) ?? plainTag(source, found, begin));
    if (tag.text !== '') out.push(tag.text);
    at = tag.end;
    lineStarts = source[at - 1] === '\n';
  }
  return out.join('');
}

/** Position of the next `{{`, `{%` or `{#`; the end if there is none. */
function nextTag(source: string, from: number): number {
  const mark = /\{[{%#]/g;
  mark.lastIndex = from;
  return mark.exec(source)?.index ?? source.length;
}

/** A text as the tag behind it leaves it, and where the inside of that tag begins. */
function stripped(text: string, source: string, tag: number, lineStarts: boolean): { text: string; begin: number } {
  const sign = source[tag + 2];
  const begin = tag + (sign === '-' || sign === '+' ? 3 : 2);
  if (tag === source.length) return { text, begin };
  if (sign === '-') return { text: withoutTail(text), begin };
  if (sign === '+' || source[tag + 1] === '{') return { text, begin };
  const line = text.lastIndexOf('\n') + 1;
  const blank = (line > 0 || lineStarts) && BLANK.test(text.slice(line));
  return { text: blank ? text.slice(0, line) : text, begin };
}

function withoutTail(text: string): string {
  let end = text.length;
  while (end > 0 && SPACE.test(text[end - 1])) end--;
  return text.slice(0, end);
}

/** End of a block or comment whose `%}` or `#}` is at `close`: with what it takes of the text behind it. */
function endOf(source: string, begin: number, close: number, what: string): number {
  if (close < 0) throw new SyntaxError(`a ${what} without its end`);
  const end = close + 2;
  const sign = close > begin ? source[close - 1] : '';
  if (sign === '-') return end + spaceAt(source, end);
  return sign !== '+' && source[end] === '\n' ? end + 1 : end;
}

function spaceAt(source: string, from: number): number {
  let to = from;
  while (to < source.length && SPACE.test(source[to])) to++;
  return to - from;
}

/** `{% raw %}…{% endraw %}` as a text; undefined for another tag. */
function rawBlock(source: string, tag: number, begin: number): { text: string; end: number } | undefined {
  if (source[tag + 1] !== '%') return undefined;
  const word = begin + spaceAt(source, begin);
  if (!source.startsWith('raw', word)) return undefined;
  const after = word + 3 + spaceAt(source, word + 3);
  const trims = source.startsWith('-%}', after);
  if (!trims && !source.startsWith('%}', after)) return undefined;
  const from = trims ? after + 3 + spaceAt(source, after + 3) : after + 2;
  const ends = /\{%([-+]?)\s*endraw\s*[-+]?%\}/g;
  ends.lastIndex = from;
  const close = ends.exec(source);
  if (!close) throw new SyntaxError('a raw block without its end');
  const { text } = stripped(source.slice(from, close.index), source, close.index, source[from - 1] === '\n');
  return {
    text: text === '' ? '' : literalTag(text),
    end: endOf(source, close.index, ends.lastIndex - 2, 'raw block'),
  };
}

/** A block or an expression without signs, its spaces as one each. */
function plainTag(source: string, tag: number, begin: number): { text: string; end: number } {
  const isBlock = source[tag + 1] === '%';
  const close = isBlock ? '%}' : '}}';
  const out: string[] = [];
  let depth = 0;
  for (let at = begin; at < source.length;) {
    const char = source[at];
    const sign = char === '-' || (isBlock && char === '+') ? 1 : 0;
    if (depth === 0 && source.startsWith(close, at + sign)) {
      const shut = at + sign;
      const end = isBlock
        ? endOf(source, begin, shut, 'block')
        : shut + 2 + (sign === 1 ? spaceAt(source, shut + 2) : 0);
      return { text: `${source.slice(tag, tag + 2)} ${out.join('')} ${close}`, end };
    }
    if (char === '"' || char === "'") {
      const end = stringEnd(source, at);
      out.push(char, escaped(source.slice(at + 1, end - 1)), char);
      at = end;
      continue;
    }
    if ('([{'.includes(char)) depth++;
    if (')]}'.includes(char)) depth = Math.max(0, depth - 1);
    const spaces = spaceAt(source, at);
    out.push(spaces > 0 ? ' ' : char);
    at += Math.max(1, spaces);
  }
  throw new SyntaxError(`${isBlock ? 'a block' : 'an expression'} without its end`);
}

/** Position behind a string literal's closing quote. */
function stringEnd(source: string, from: number): number {
  for (let at = from + 1; at < source.length; at++) {
    if (source[at] === '\\') at++;
    else if (source[at] === source[from]) return at + 1;
  }
  throw new SyntaxError('a string without its end');
}

const literalTag = (text: string): string => `{{ "${escaped(text.replace(/[\\"]/g, '\\$&'))}" }}`;

/**
 * The inside of a literal without spaces and braces, which the tokenizer would look at again; a backslash before any
 * other letter stands for itself, as in Python.
 */
function escaped(inside: string): string {
  return inside.replace(/\\[\s\S]|[\s{]/g, (char) => {
    if (char === '\\\n') return '';
    if (char.length > 1) return /[ntrbfv'"\\xu]/.test(char[1]) ? char : `\\\\${escaped(char[1])}`;
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
