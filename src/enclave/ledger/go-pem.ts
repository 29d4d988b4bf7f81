const begin = "-----BEGIN ";
const end = "-----END ";
const dashes = "-----";
/** Four characters each, the last of them padded. */
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * The bytes of the first PEM block in a text, as encoding/pem of Go finds it: with anything before and after it, of any type, with headers
 * or without. Undefined where there is none.
 */
export function firstPemBlock(text: Uint8Array): Buffer | undefined {
  let rest = Buffer.from(text).toString("latin1");
  for (;;) {
    if (rest.startsWith(begin)) rest = rest.slice(begin.length);
    else {
      const at = rest.indexOf(`\n${begin}`);
      if (at < 0) return undefined;
      rest = rest.slice(at + 1 + begin.length);
    }
    const typeLine = takeLine(rest);
    rest = typeLine.rest;
    if (!typeLine.line.endsWith(dashes)) continue;
    const headers = passHeaders(rest);
    if (headers === undefined) return undefined;
    rest = headers.rest;
    const block = contentOf(rest, typeLine.line.slice(0, -dashes.length), headers.count);
    if (block !== undefined) return block;
  }
}

/** Up to the first line without a colon; undefined where the text ends before. */
function passHeaders(text: string): { readonly rest: string; readonly count: number } | undefined {
  let rest = text;
  for (let count = 0; ; count += 1) {
    if (rest === "") return undefined;
    const next = takeLine(rest);
    if (!next.line.includes(":")) return { rest, count };
    rest = next.rest;
  }
}

function contentOf(text: string, type: string, headers: number): Buffer | undefined {
  const isEmpty = headers === 0 && text.startsWith(end);
  const at = isEmpty ? 0 : text.indexOf(`\n${end}`);
  if (at < 0) return undefined;
  const trailer = text.slice(at + (isEmpty ? 0 : 1) + end.length);
  const wanted = `${type}${dashes}`;
  if (!trailer.startsWith(wanted) || takeLine(trailer.slice(wanted.length)).line !== "") return undefined;
  const content = text.slice(0, at).replaceAll(/[ \t\r\n]/g, "");
  return base64.test(content) ? Buffer.from(content, "base64") : undefined;
}

/** Without the blanks at its end. */
function takeLine(text: string): { readonly line: string; readonly rest: string } {
  const at = text.indexOf("\n");
  const [line, rest] =
    at < 0 ? [text, ""] : [text.slice(0, at > 0 && text[at - 1] === "\r" ? at - 1 : at), text.slice(at + 1)];
  return { line: line.replace(/[ \t]+$/, ""), rest };
}
