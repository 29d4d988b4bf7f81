import { legacyDecryptDataKey, legacyEncrypt, legacyEncryptDataKey } from "../../src/crypto/legacy-fisco.ts";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import type { LegacyEntry, LegacyInput, LegacyMode } from "../../src/custody/contract/legacy.ts";
import { CustodyError } from "../../src/custody/errors.ts";
import type { FiscoCustody } from "../../src/server/fisco/calls.ts";

/**
 * A FAKE custody for tests of the door alone: the real ciphers over a registry in memory, no store, no audit, no policy.
 * It counts what the door does, so that a test can say "the cipher did not run".
 */
export interface FakeCustody extends FiscoCustody {
  readonly counts: { decryptions: number; calls: number; readonly refusals: Map<string, number> };
  /** When set, every call fails with it. */
  failure: Error | undefined;
}

export function fakeCustody(): FakeCustody {
  const registry = new Map<string, LegacyEntry>();
  const id = (input: LegacyInput, cipherDataKey: string) =>
    `${input.mode}:${input.superKey.expose((bytes) => bytes.toString("hex"))}:${cipherDataKey}`;
  const entry = (mode: LegacyMode, cipherDataKey: string, origin: LegacyEntry["origin"]): LegacyEntry => ({
    cipherDataKey,
    mode,
    node: null,
    origin,
    createdAt: new Date(0).toISOString(),
  });
  const begin = async () => {
    custody.counts.calls += 1;
    await new Promise(setImmediate);
    if (custody.failure !== undefined) throw custody.failure;
  };
  const open = (input: LegacyInput & { cipherDataKey: string }): SecretBuffer => {
    if (!registry.has(id(input, input.cipherDataKey))) throw new CustodyError("LEGACY_REFUSED");
    custody.counts.decryptions += 1;
    return legacyDecryptDataKey(input.mode, input.superKey, input.cipherDataKey);
  };
  const custody: FakeCustody = {
    identity: {
      account: "123456789012",
      region: "local",
      localAdministrator: "arn:aws:iam::123456789012:user/administrator",
    },
    counts: { decryptions: 0, calls: 0, refusals: new Map() },
    failure: undefined,
    countRefusal(_door, _peer, reason) {
      custody.counts.refusals.set(reason, (custody.counts.refusals.get(reason) ?? 0) + 1);
    },
    legacy: {
      async encryptDataKey(_caller, input) {
        await begin();
        const cipherDataKey = legacyEncryptDataKey(input.mode, input.superKey, input.dataKey);
        registry.set(id(input, cipherDataKey), entry(input.mode, cipherDataKey, "made"));
        return cipherDataKey;
      },
      async decryptDataKey(_caller, input) {
        await begin();
        return open(input);
      },
      async encryptKeyFile(_caller, input) {
        await begin();
        using dataKey = open(input);
        return input.text.expose((text) => legacyEncrypt(input.mode, dataKey, text)).toString("hex");
      },
      async register(_caller, input) {
        const made = entry(input.mode, input.cipherDataKey, "registered");
        registry.set(id(input, input.cipherDataKey), made);
        return made;
      },
      async list() {
        return [...registry.values()];
      },
    },
  };
  return custody;
}

/** Secret bytes of a text, for tests. */
export function secret(text: string): SecretBuffer {
  return SecretBuffer.take(Buffer.from(text));
}
