import { timingSafeEqual } from "node:crypto";
import { fillFromKernel } from "./kernel-random.ts";

/** What `util.inspect.custom` is; to load node:util for it would delay every launch. */
const inspectCustom = Symbol.for("nodejs.util.inspect.custom");

/**
 * Owned secret bytes: wiped on dispose, never printed.
 *
 * The bytes live in one allocation of their own (never Node's shared pool), are lent only inside {@link expose}, and
 * show as `[secret 32 bytes]` in logs, JSON, template strings and `util.inspect`.
 */
export class SecretBuffer implements Disposable {
  readonly #bytes: Buffer;
  #wiped = false;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Moves `source` in: copies it, then wipes the source. */
  static take(source: Uint8Array): SecretBuffer {
    const secret = SecretBuffer.copyOf(source);
    source.fill(0);
    return secret;
  }

  /** Becomes the owner of memory that nobody else holds, without a copy: fresh output of a cipher or a derivation. */
  static adopt(bytes: Buffer): SecretBuffer {
    return new SecretBuffer(bytes);
  }

  /** Copies `source`, which stays the caller's to wipe. */
  static copyOf(source: Uint8Array): SecretBuffer {
    const bytes = Buffer.allocUnsafeSlow(source.byteLength);
    bytes.set(source);
    return new SecretBuffer(bytes);
  }

  /** Fresh random bytes from the kernel, written straight into the secret's own memory. */
  static random(byteLength: number): SecretBuffer {
    const bytes = Buffer.allocUnsafeSlow(byteLength);
    fillFromKernel(bytes);
    return new SecretBuffer(bytes);
  }

  get byteLength(): number {
    return this.#bytes.byteLength;
  }

  /** True once the bytes have been wiped. */
  get disposed(): boolean {
    return this.#wiped;
  }

  /**
   * Lends the bytes for one call; nothing may keep the view after `use` returns (or its promise settles).
   *
   * @throws {Error} After dispose: a wiped key must never be used as a key of zeros.
   */
  expose<T>(use: (bytes: Buffer) => T): T {
    if (this.#wiped) throw new Error("secret used after it was wiped");
    return use(this.#bytes);
  }

  /** Constant-time comparison; false when lengths differ. */
  equals(other: SecretBuffer | Uint8Array): boolean {
    return this.expose((mine) => {
      const compare = (theirs: Uint8Array) => mine.byteLength === theirs.byteLength && timingSafeEqual(mine, theirs);
      return other instanceof SecretBuffer ? other.expose(compare) : compare(other);
    });
  }

  /** A second owner of the same bytes, with its own end. */
  clone(): SecretBuffer {
    return this.expose((bytes) => SecretBuffer.copyOf(bytes));
  }

  /** Overwrites the bytes with zeros. Safe to call twice. */
  [Symbol.dispose](): void {
    this.#bytes.fill(0);
    this.#wiped = true;
  }

  toString(): string {
    return `[secret ${this.#bytes.byteLength} bytes]`;
  }

  toJSON(): string {
    return this.toString(); // exposes-secret: it is the length that toString shows
  }

  static {
    Object.defineProperty(SecretBuffer.prototype, inspectCustom, { value: SecretBuffer.prototype.toString });
  }
}
