import { goText } from "./form.ts";

/** A part of a `multipart/form-data` body (RFC 7578). */
export interface FormPart {
  readonly name: string;
  readonly isFile: boolean;
  readonly content: Buffer;
}

/**
 * The parts of a multipart body, in order.
 *
 * @param boundary - From the content type, 1 to 70 characters (RFC 2046 §5.1.1).
 * @returns undefined for a body that is not well-formed.
 */
export function readMultipart(body: Buffer, boundary: string): readonly FormPart[] | undefined {
  const parts: FormPart[] = [];
  const delimiter = `--${boundary}`;
  const first = body.indexOf(delimiter);
  if (first === -1 || (first !== 0 && body.toString("latin1", first - 2, first) !== "\r\n")) return undefined;
  let at = first + delimiter.length;
  while (body.toString("latin1", at, at + 2) === "\r\n") {
    const end = body.indexOf(`\r\n${delimiter}`, at);
    const headersEnd = body.indexOf("\r\n\r\n", at);
    if (end === -1 || headersEnd === -1 || headersEnd > end) return undefined;
    const disposition = /^content-disposition:[ \t]*form-data(?<fields>;.*)$/im.exec(
      goText(body.subarray(at, headersEnd)),
    );
    const fields = disposition?.groups?.fields ?? "";
    const name = parameter(fields, "name");
    if (name === undefined) return undefined;
    const isFile = /;[ \t]*filename\*?=/i.test(fields);
    parts.push({ name, isFile, content: body.subarray(headersEnd + 4, end) });
    at = end + 2 + delimiter.length;
  }
  return body.toString("latin1", at, at + 2) === "--" ? parts : undefined;
}

/** The boundary of a content type; undefined for one that is not `multipart/form-data`. */
export function boundaryOf(contentType: string): string | undefined {
  if (!/^multipart\/form-data[ \t]*;/i.test(contentType)) return undefined;
  const boundary = parameter(contentType.slice(contentType.indexOf(";")), "boundary");
  return boundary !== undefined && boundary.length >= 1 && boundary.length <= 70 ? boundary : undefined;
}

function parameter(fields: string, name: string): string | undefined {
  const found = new RegExp(`;[ \\t]*${name}=(?:"(?<quoted>(?:[^"\\\\]|\\\\.)*)"|(?<bare>[^\\s;"]+))`, "i").exec(fields);
  return found?.groups?.quoted?.replace(/\\(.)/g, "$1") ?? found?.groups?.bare;
}
