import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A secret that was planted, by a name that may be shown. */
export interface PlantedSecret {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Where a secret was found, and in which form. */
export interface Sighting {
  readonly secret: string;
  readonly form: string;
  readonly place: string;
}

/** Fewer bytes could be found by chance. */
const leastBytes = 12;

/**
 * Every way a secret may have been written down: its bytes, forwards and backwards; hexadecimal of either case, closed up
 * or with blanks, colons or commas between the bytes; base64 and base64url at each of the three alignments; decimal bytes as a Buffer's
 * JSON holds them; UTF-16 of its text and of its hexadecimal text; its text with `%` escapes.
 */
export function formsOf(bytes: Uint8Array): readonly (readonly [form: string, needle: Buffer])[] {
  const raw = Buffer.from(bytes);
  const hex = raw.toString("hex");
  const pairs = hex.match(/../g) ?? [];
  const text = raw.toString("latin1");
  const forms: [string, Buffer][] = [
    ["raw", raw],
    ["reversed", Buffer.from(raw.toReversed())],
    ["hex", Buffer.from(hex)],
    ["upper-case hex", Buffer.from(hex.toUpperCase())],
    ["hex with blanks", Buffer.from(pairs.join(" "))],
    ["hex with colons", Buffer.from(pairs.join(":"))],
    ["decimal bytes", Buffer.from([...raw].join(","))],
    ["decimal bytes with blanks", Buffer.from([...raw].join(", "))],
    ["UTF-16", Buffer.from(text, "utf16le")],
    ["UTF-16 of the hex", Buffer.from(hex, "utf16le")],
    ["percent-encoded", Buffer.from(pairs.map((pair) => `%${pair}`).join(""))],
  ];
  for (const shift of [0, 1, 2]) {
    const digits = Buffer.concat([Buffer.alloc(shift), raw])
      .toString("base64")
      .replace(/=+$/, "");
    // The first digits hold bits of what stands before, the last one of what follows.
    const sure = digits.slice([0, 2, 3][shift], -1);
    forms.push([`base64 at ${shift}`, Buffer.from(sure)]);
    forms.push([`base64url at ${shift}`, Buffer.from(sure.replaceAll("+", "-").replaceAll("/", "_"))]);
  }
  return forms;
}

/** Looks for planted secrets in bytes and in whole folders. */
export class SecretSearch {
  readonly #needles: readonly { readonly secret: string; readonly form: string; readonly needle: Buffer }[];
  readonly sightings: Sighting[] = [];
  bytesRead = 0;

  constructor(secrets: readonly PlantedSecret[]) {
    this.#needles = secrets.flatMap(({ name, bytes }) => {
      if (bytes.length < leastBytes) throw new RangeError(`${name} has ${bytes.length} bytes: too few to search for`);
      return formsOf(bytes).map(([form, needle]) => ({ secret: name, form, needle }));
    });
  }

  bytes(place: string, content: Uint8Array): void {
    const haystack = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    this.bytesRead += haystack.length;
    for (const { secret, form, needle } of this.#needles)
      if (haystack.includes(needle)) this.sightings.push({ secret, form, place });
  }

  text(place: string, content: string): void {
    this.bytes(place, Buffer.from(content));
  }

  /** Every regular file under a folder, and every name. */
  folder(path: string): void {
    for (const name of readdirSync(path, { recursive: true, encoding: "utf8" })) {
      this.text(`the name ${name}`, name);
      if (lstatSync(join(path, name)).isFile()) this.bytes(name, readFileSync(join(path, name)));
    }
  }
}
