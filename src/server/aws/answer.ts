import { encodeBase64 } from "../../crypto/base64.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { JsonObject, JsonValue } from "./operation.ts";

export interface AnswerBytes {
  readonly bytes: Buffer;
  /** True when `bytes` holds a secret: whoever sends it wipes it after. */
  readonly secret: boolean;
}

/**
 * The JSON text of an answer: blobs in base64, members that are undefined left out. A secret goes from its buffer to the
 * text's without ever being a string; the secrets of `answer` are disposed of, also when this throws.
 */
export function encodeAnswer(answer: JsonObject): AnswerBytes {
  const writer = new AnswerWriter();
  try {
    writer.value(answer);
    return writer.finish();
  } catch (error) {
    writer.wipe();
    throw error;
  } finally {
    disposeSecrets(answer);
  }
}

/** Wipes every secret of an answer. */
export function disposeSecrets(value: JsonValue | undefined): void {
  if (value instanceof SecretBuffer) value[Symbol.dispose]();
  else if (typeof value === "object" && value !== null && !(value instanceof Uint8Array))
    for (const each of Object.values(value)) disposeSecrets(each);
}

class AnswerWriter {
  readonly #pieces: Buffer[] = [];
  readonly #secrets: Buffer[] = [];
  /** Text that is not yet among the pieces. */
  #text = "";

  value(value: JsonValue): void {
    if (value instanceof SecretBuffer) this.#secret(value);
    else if (value instanceof Uint8Array) this.#text += `"${Buffer.from(value).toString("base64")}"`;
    else if (Array.isArray(value)) this.#list("[", "]", value, (each) => this.value(each));
    else if (typeof value === "object" && value !== null) this.#object(value as JsonObject);
    else this.#text += JSON.stringify(value);
  }

  finish(): AnswerBytes {
    this.#flush();
    const [only] = this.#pieces;
    if (this.#secrets.length === 0 && this.#pieces.length === 1 && only !== undefined)
      return { bytes: only, secret: false };
    const bytes = Buffer.allocUnsafeSlow(this.#pieces.reduce((total, { length }) => total + length, 0));
    let at = 0;
    for (const piece of this.#pieces) at += piece.copy(bytes, at);
    this.wipe();
    return { bytes, secret: this.#secrets.length > 0 };
  }

  wipe(): void {
    for (const secret of this.#secrets) secret.fill(0);
  }

  #secret(secret: SecretBuffer): void {
    this.#text += '"';
    this.#flush();
    const base64 = secret.expose(encodeBase64);
    this.#secrets.push(base64);
    this.#pieces.push(base64);
    this.#text = '"';
  }

  #object(object: JsonObject): void {
    const members = Object.entries(object).filter(([, value]) => value !== undefined);
    this.#list("{", "}", members, ([name, value]) => {
      this.#text += `${JSON.stringify(name)}:`;
      this.value(value ?? null);
    });
  }

  #list<T>(open: string, close: string, items: readonly T[], write: (item: T) => void): void {
    this.#text += open;
    items.forEach((item, index) => {
      if (index > 0) this.#text += ",";
      write(item);
    });
    this.#text += close;
  }

  #flush(): void {
    if (this.#text !== "") this.#pieces.push(Buffer.from(this.#text));
    this.#text = "";
  }
}
