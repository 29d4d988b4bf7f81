import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { suites } from "../../crypto/suite.ts";
import type { RootKey } from "../../devices/root-key.ts";
import type { StoredHead, StoredRow } from "../store/store.ts";

/**
 * Makes and checks what stands between the store's keeper and the key manager's answers: a MAC on every row, a running
 * tag over all rows, a seal on the audit chain, a MAC on the head. All keys come from the root key.
 */
export class Authenticator implements Disposable {
  readonly hashName: "sha256" | "sm3";
  #rowKey: KeyObject | undefined;
  #tagKey: KeyObject | undefined;
  #sealKey: KeyObject | undefined;

  constructor(root: RootKey) {
    this.hashName = suites[root.suiteName].hash;
    const keyOf = (label: "stateMac" | "stateTag" | "auditSeal") => {
      using secret = root.derive(label);
      return secret.expose((bytes) => createSecretKey(bytes));
    };
    this.#rowKey = keyOf("stateMac");
    this.#tagKey = keyOf("stateTag");
    this.#sealKey = keyOf("auditSeal");
  }

  /** MAC of a row: binds its place (kind, id), its version and epoch, and whether it is deleted, to its body. */
  rowMac(row: Omit<StoredRow, "mac">): Buffer {
    return this.#mac(this.#rowKey, "row", [
      row.kind,
      row.id,
      String(row.version),
      String(row.epoch),
      row.deleted ? "deleted" : "live",
      row.body,
    ]);
  }

  /** What one row adds to the running tag. Never stored, so that row MACs cannot be combined into another state. */
  tagPart(rowMac: Uint8Array): Buffer {
    return this.#mac(this.#tagKey, "part", [rowMac]);
  }

  /** The running tag as it is stored: keyed, over the sum of the parts and the state version. */
  stateTag(sum: Uint8Array, stateVersion: number): Buffer {
    return this.#mac(this.#tagKey, "tag", [sum, String(stateVersion)]);
  }

  /** Seal of the audit chain at a sequence. */
  auditSeal(sequence: number, hash: Uint8Array): Buffer {
    return this.#mac(this.#sealKey, "audit", [String(sequence), hash]);
  }

  headMac(head: Omit<StoredHead, "mac">): Buffer {
    return this.#mac(this.#rowKey, "head", [
      String(head.epoch),
      String(head.stateVersion),
      head.stateTag,
      String(head.sequence),
      head.auditHash,
      String(head.latestMs),
    ]);
  }

  [Symbol.dispose](): void {
    this.#rowKey = undefined;
    this.#tagKey = undefined;
    this.#sealKey = undefined;
  }

  /** HMAC over length-prefixed parts, so that no two lists of parts give the same bytes. */
  #mac(key: KeyObject | undefined, purpose: string, parts: readonly (string | Uint8Array)[]): Buffer {
    if (key === undefined) throw new Error("the authenticator was disposed of");
    const encoded = [purpose, ...parts].map((part) => (typeof part === "string" ? Buffer.from(part) : part));
    const message = Buffer.allocUnsafe(encoded.reduce((total, bytes) => total + 4 + bytes.length, 0));
    let end = 0;
    for (const bytes of encoded) {
      end = message.writeUInt32BE(bytes.length, end);
      message.set(bytes, end);
      end += bytes.length;
    }
    return createHmac(this.hashName, key).update(message).digest();
  }
}
