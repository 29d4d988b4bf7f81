import { encodeBase64 } from "../crypto/base64.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { hkdf, type SuiteName, suites } from "../crypto/suite.ts";
import type { RootKey } from "../devices/root-key.ts";
import type { AccessKeyRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";

/** 40 characters of base64, without padding. */
const secretBytes = 30;

/**
 * Secrets of access keys. They are derived from the root key and stored nowhere: a secret is worked out when its key is
 * first used and then held in memory, until its key is rotated, disabled or deleted, or custody closes.
 *
 *     base64(HKDF(K, salt = empty, info = "strongroom/access-key/v1" ‖ 0 ‖ id ‖ 0 ‖ version), 30 bytes)
 */
export class AccessKeySecrets implements Disposable {
  readonly #suiteName: SuiteName;
  readonly #parent: SecretBuffer;
  readonly #held = new Map<string, { readonly version: number; readonly secret: SecretBuffer }>();

  constructor(state: State, root: RootKey) {
    this.#suiteName = root.suiteName;
    this.#parent = root.derive("accessKeys");
    state.onChange(({ kind, id, record }) => {
      if (kind !== "accessKey") return;
      const held = this.#held.get(id);
      if (held === undefined) return;
      const changed = record as AccessKeyRecord | null;
      if (changed?.state !== "enabled" || changed.version !== held.version) this.#drop(id);
    });
  }

  /** The secret of one version of an access key, 40 characters. The caller disposes of it. */
  derive(id: string, version: number): SecretBuffer {
    const info = Buffer.from(["strongroom/access-key/v1", id, String(version)].join("\0"));
    using raw = hkdf(suites[this.#suiteName], this.#parent, Buffer.alloc(0), info, secretBytes);
    return raw.expose((bytes) => SecretBuffer.adopt(encodeBase64(bytes)));
  }

  /** The same, lent: held here, and not the caller's to dispose of. */
  of(id: string, version: number): SecretBuffer {
    const held = this.#held.get(id);
    if (held?.version === version) return held.secret;
    if (held !== undefined) this.#drop(id);
    const secret = this.derive(id, version);
    this.#held.set(id, { version, secret });
    return secret;
  }

  [Symbol.dispose](): void {
    for (const id of [...this.#held.keys()]) this.#drop(id);
    this.#parent[Symbol.dispose]();
  }

  #drop(id: string): void {
    this.#held.get(id)?.secret[Symbol.dispose]();
    this.#held.delete(id);
  }
}
