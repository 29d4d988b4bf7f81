import { createHash } from "node:crypto";
import { DeviceError } from "../errors.ts";
import type { FingerprintOf } from "../native/failover.ts";
import { CardCalls } from "../sdf/card-calls.ts";
import type { SdfEntry } from "./entry.ts";

/** What every card is asked to make of a probe: one input of the PRF under a wrapped key. */
const probeInput = Buffer.from("strongroom: do these cards hold one key-encryption key?").subarray(0, 48);
/** Of failures that say something of the key itself: of all others nothing follows, and the member is asked again later. */
const saysOfKey: Readonly<Record<string, string>> = {
  "not-found": "absent",
  "bad-input": "refused",
  integrity: "refused",
  unsupported: "unsupported",
};

/**
 * What cards that hold the same keys have in common: the public keys of each configured index, where a half may be absent, and
 * for each configured KEK what becomes of one probe, a key that the first card has wrapped under its own. GM/T 0018 wraps
 * without a check: another KEK unwraps the probe to another key, which gives another output.
 *
 * @returns A function for one failover set: it remembers the probes, so that members that are asked later get the same.
 */
export function cardFingerprint({
  key_indices: keyIndices,
  kek_indices: kekIndices,
}: Pick<SdfEntry, "key_indices" | "kek_indices">): FingerprintOf {
  const probes = new Map<number, Buffer>();
  const probed = async (card: CardCalls, kekIndex: number) => {
    const probe = probes.get(kekIndex) ?? (await card.newWrappedKey(kekIndex));
    probes.set(kekIndex, probe);
    const [output] = await card.prf(kekIndex, probe, [probeInput]);
    return output ?? Buffer.alloc(0);
  };
  return async (calls) => {
    const [hash, card] = [createHash("sha256"), new CardCalls(calls)];
    const add = async (what: string, index: number, ask: () => Promise<Buffer>) => {
      const found = await orWord(ask);
      hash.update(`${what} ${index}: ${found.length}\n`).update(found);
    };
    for (const index of keyIndices) {
      await add("sign", index, () => card.signPublicKey(index));
      await add("encrypt", index, () => card.encryptPublicKey(index));
    }
    for (const index of kekIndices) await add("kek", index, () => probed(card, index));
    return hash.digest();
  };
}

async function orWord(ask: () => Promise<Buffer>): Promise<Buffer> {
  try {
    return await ask();
  } catch (error) {
    const word = error instanceof DeviceError ? saysOfKey[error.failure?.kind ?? ""] : undefined;
    if (word === undefined) throw error;
    return Buffer.from(word);
  }
}
