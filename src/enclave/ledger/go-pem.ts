const begin = "-----BEGIN ";
const end = "\n-----END ";
const dashes = "-----";
/** Four characters each, the last of them padded. */
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * The bytes of the first PEM block in a text, as encoding/pem of Go finds it: with anything before and after it, of any type, with headers
 * or without. Undefined where there is none. Takes a time that grows with the text's length alone, however many blocks begin in it.
 */
export function firstPemBlock(bytes: Uint8Array): Buffer | undefined {
  return new PemText(Buffer.from(bytes).toString("latin1")).firstBlock();
}

interface Line {
  /** Without the blanks at its end. */
  readonly text: string;
  readonly next: number;
}

class PemText {
  readonly #text: string;
  /** The last end of a block that was looked for, and from where. */
  #end = { from: 0, at: -1 };

  constructor(text: string) {
    this.#text = text;
    this.#end = { from: 0, at: text.indexOf(end) };
  }

  firstBlock(): Buffer | undefined {
    for (let at = 0; ; ) {
      const start = this.#text.startsWith(begin, at) ? at : this.#text.indexOf(`\n${begin}`, at) + 1;
      if (start === 0 && !this.#text.startsWith(begin)) return undefined;
      if (start < at) return undefined;
      const typeLine = this.#lineAt(start + begin.length);
      at = typeLine.next;
      if (!typeLine.text.endsWith(dashes)) continue;
      const headersEnd = this.#afterHeaders(at);
      if (headersEnd === undefined) return undefined;
      const block = this.#contentAt(headersEnd, typeLine.text, headersEnd > at);
      if (block !== undefined) return block;
      at = headersEnd;
    }
  }

  /** Where the first line without a colon begins; undefined where the text ends before. */
  #afterHeaders(start: number): number | undefined {
    for (let at = start; at < this.#text.length; ) {
      const { text, next } = this.#lineAt(at);
      if (!text.includes(":")) return at;
      at = next;
    }
    return undefined;
  }

  /** @param typeAndDashes - What has to stand after the word END */
  #contentAt(start: number, typeAndDashes: string, hasHeaders: boolean): Buffer | undefined {
    // Without headers the block may end on the line where its content would begin.
    const contentEnd = this.#nextEnd(hasHeaders ? start : start - 1);
    if (contentEnd < 0) return undefined;
    const allowed = /[A-Za-z0-9+/= \t\r\n]*/y;
    allowed.lastIndex = start;
    if (contentEnd > start && (allowed.exec(this.#text)?.[0].length ?? 0) < contentEnd - start) return undefined;
    const trailer = contentEnd + end.length;
    if (!this.#text.startsWith(typeAndDashes, trailer)) return undefined;
    if (this.#lineAt(trailer + typeAndDashes.length).text !== "") return undefined;
    const content = this.#text.slice(start, Math.max(start, contentEnd)).replaceAll(/[ \t\r\n]/g, "");
    return base64.test(content) ? Buffer.from(content, "base64") : undefined;
  }

  #nextEnd(from: number): number {
    const { from: known, at } = this.#end;
    if (from < known || (at >= 0 && at < from)) this.#end = { from, at: this.#text.indexOf(end, from) };
    return this.#end.at;
  }

  #lineAt(start: number): Line {
    const newline = this.#text.indexOf("\n", start);
    const next = newline < 0 ? this.#text.length : newline + 1;
    let stop = newline < 0 ? this.#text.length : newline;
    if (newline > start && this.#text[newline - 1] === "\r") stop -= 1;
    while (stop > start && (this.#text[stop - 1] === " " || this.#text[stop - 1] === "\t")) stop -= 1;
    return { text: this.#text.slice(start, stop), next };
  }
}
