import { randomUUID, timingSafeEqual } from "node:crypto";
import { openBox, sealBox } from "../crypto/sealed-box.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { type RootKey, rootMac } from "../devices/root-key.ts";
import { CustodyError } from "./errors.ts";
import { stateBoxHeader } from "./state-box.ts";

const idBytes = 16;
const expiryBytes = 8;
const macBytes = 32;
const tokenBytes = idBytes + expiryBytes + macBytes;

/**
 * Import tokens, and what only the key manager can make or open of an import:
 *
 *     token = id (16) ‖ expiry (u64, Unix milliseconds) ‖ HMAC(token key, id ‖ expiry ‖ key id in text)
 *
 * A token says which import it belongs to and proves that it was made here for this key. The private half of the wrapping
 * key is sealed in the store under the token's id.
 */
export class ImportTokens implements Disposable {
  readonly #root: Pick<RootKey, "id" | "suiteName">;
  readonly #tokenKey: SecretBuffer;
  readonly #sealingSecret: SecretBuffer;
  readonly #digestKey: SecretBuffer;

  constructor(root: RootKey) {
    this.#root = root;
    this.#tokenKey = root.derive("importToken");
    this.#sealingSecret = root.derive("importWrappingKey");
    this.#digestKey = root.derive("importDigest");
  }

  /** A new token for one key. The caller disposes of `token`. */
  make(keyId: string, expiresMs: number): { readonly id: string; readonly token: SecretBuffer } {
    const id = randomUUID();
    const head = Buffer.alloc(idBytes + expiryBytes);
    head.write(id.replaceAll("-", ""), "hex");
    head.writeBigUInt64BE(BigInt(expiresMs), idBytes);
    return { id, token: SecretBuffer.take(Buffer.concat([head, this.#mac(head, keyId)])) };
  }

  /**
   * The id in a token that was made here for this key.
   *
   * @throws {CustodyError} `IMPORT_TOKEN_INVALID`; `IMPORT_TOKEN_EXPIRED` from its expiry on.
   */
  idOf(token: SecretBuffer, keyId: string, nowMs: number): string {
    return token.expose((bytes) => {
      if (bytes.length !== tokenBytes) throw new CustodyError("IMPORT_TOKEN_INVALID");
      const head = bytes.subarray(0, idBytes + expiryBytes);
      if (!timingSafeEqual(this.#mac(head, keyId), bytes.subarray(head.length)))
        throw new CustodyError("IMPORT_TOKEN_INVALID");
      if (BigInt(nowMs) >= head.readBigUInt64BE(idBytes)) throw new CustodyError("IMPORT_TOKEN_EXPIRED");
      return head.toString("hex", 0, idBytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"); // exposes-secret: the id is public
    });
  }

  /** The wrapping key's private half (PKCS#8) as a sealed box, base64. */
  seal(id: string, keyId: string, pkcs8: SecretBuffer): string {
    const context = contextOf(id, keyId);
    return pkcs8
      .expose((bytes) => sealBox(stateBoxHeader(this.#root), this.#sealingSecret, context, bytes))
      .toString("base64");
  }

  /** What {@link seal} sealed. The caller disposes of it. @throws {CustodyError} `STATE_TAMPERED`. */
  open(id: string, keyId: string, box: string): SecretBuffer {
    try {
      return openBox(Buffer.from(box, "base64"), "state", this.#sealingSecret, contextOf(id, keyId));
    } catch (cause) {
      throw new CustodyError("STATE_TAMPERED", `the wrapping key of an import into ${keyId} does not open`, cause);
    }
  }

  /** A keyed digest of material imported into this key, hex: tells whether it is the same, and nothing else about it. */
  digestOf(keyId: string, material: SecretBuffer): string {
    return material.expose((bytes) => rootMac(this.#root.suiteName, this.#digestKey, keyId, bytes)).toString("hex");
  }

  [Symbol.dispose](): void {
    for (const key of [this.#tokenKey, this.#sealingSecret, this.#digestKey]) key[Symbol.dispose]();
  }

  #mac(head: Buffer, keyId: string): Buffer {
    return rootMac(this.#root.suiteName, this.#tokenKey, head, keyId);
  }
}

function contextOf(id: string, keyId: string): Record<string, string> {
  return { importToken: id, key: keyId };
}
