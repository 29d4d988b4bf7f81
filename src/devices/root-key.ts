import { createHmac } from "node:crypto";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { hkdf, type SuiteName, suites } from "../crypto/suite.ts";

/** What is derived from the root key. Each label is one key with one job; labels are never reused. */
export const rootLabels = {
  stateMac: "strongroom/root/state-mac/v1",
  stateTag: "strongroom/root/state-tag/v1",
  auditSeal: "strongroom/root/audit-seal/v1",
  softDevice: "strongroom/root/soft-device/v1",
  serviceSecrets: "strongroom/root/service-secrets/v1",
  legacyTag: "strongroom/root/legacy-tag/v1",
  accessKeys: "strongroom/root/access-keys/v1",
  importToken: "strongroom/root/import-token/v1",
  importWrappingKey: "strongroom/root/import-wrapping-key/v1",
  importDigest: "strongroom/root/import-digest/v1",
  slotFile: "strongroom/root/slot-file/v1",
  integrations: "strongroom/root/integrations/v1",
} as const;

/** The key manager's root key: random, held in key slots, the parent of every key that authenticates or seals state. */
export class RootKey implements Disposable {
  readonly id: string;
  readonly suiteName: SuiteName;
  readonly #secret: SecretBuffer;

  /** Takes over `secret`, 32 bytes. */
  constructor(id: string, suiteName: SuiteName, secret: SecretBuffer) {
    this.id = id;
    this.suiteName = suiteName;
    this.#secret = secret;
  }

  /** A 32-byte key of its own for one label (HKDF of the root's suite). The caller disposes of it. */
  derive(label: keyof typeof rootLabels): SecretBuffer {
    return hkdf(suites[this.suiteName], this.#secret, Buffer.alloc(0), Buffer.from(rootLabels[label]), 32);
  }

  /** Lends the root key to a key slot that will seal it. */
  exposeToSlot<T>(use: (secret: Buffer) => T): T {
    return this.#secret.expose(use);
  }

  [Symbol.dispose](): void {
    this.#secret[Symbol.dispose]();
  }
}

/** HMAC over the suite's hash, 32 bytes. */
export function rootMac(suiteName: SuiteName, key: SecretBuffer, ...parts: readonly (Uint8Array | string)[]): Buffer {
  const mac = key.expose((bytes) => createHmac(suites[suiteName].hash, bytes));
  for (const part of parts) mac.update(part);
  return mac.digest();
}
