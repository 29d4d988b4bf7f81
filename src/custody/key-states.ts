import { CustodyError } from "./errors.ts";
import type { KeyState } from "./service.ts";
import type { KeyRecord, KeyVersionRecord } from "./state/records.ts";

/**
 * The life of a master key, in one place:
 *
 *     pending-import → enabled                 import material (keys of origin `external`)
 *     enabled ⇄ disabled                       enable, disable
 *     enabled, disabled → pending-import       delete imported material, or it expires
 *     enabled, disabled, pending-import → pending-deletion     schedule deletion (7 to 30 days)
 *     pending-deletion → disabled              cancel deletion (→ pending-import for a key without material)
 *     pending-deletion → destroyed             destroy, once the waiting time has passed; there is no way back
 *
 * Only an enabled key seals or opens anything. As with AWS KMS a transition to the state that already holds is accepted
 * for enable and disable.
 */
const transitions: Readonly<Record<KeyTransition, { from: readonly KeyState[]; to: KeyState }>> = {
  enable: { from: ["enabled", "disabled"], to: "enabled" },
  disable: { from: ["enabled", "disabled"], to: "disabled" },
  scheduleDeletion: { from: ["enabled", "disabled", "pending-import"], to: "pending-deletion" },
  cancelDeletion: { from: ["pending-deletion"], to: "disabled" },
  destroy: { from: ["pending-deletion"], to: "destroyed" },
};

export type KeyTransition = "enable" | "disable" | "scheduleDeletion" | "cancelDeletion" | "destroy";

/** The state after a transition. @throws {CustodyError} `KEY_STATE_INVALID`. */
export function stateAfter(key: KeyRecord, transition: KeyTransition): KeyState {
  const { from, to } = transitions[transition];
  if (!from.includes(key.state)) throw wrongState(key, `: ${transition} needs ${from.join(" or ")}`);
  return transition === "cancelDeletion" && lacksMaterial(key) ? "pending-import" : to;
}

/**
 * What the operations of AWS KMS ask of a key's state ("Key states of AWS KMS keys"), by kind of operation. What is in no
 * row is possible in every state but `destroyed`: list grants, get a policy, delete an alias, revoke or retire a grant.
 *
 * - `use`: cryptography, CreateGrant, GetPublicKey, and what concerns rotation;
 * - `change`: CreateAlias, UpdateAlias (the key it will point at), tags, description, import and deletion of material;
 * - `govern`: PutKeyPolicy, and every other operation but describe and list: a key that is destroyed can be read about,
 *   not worked with.
 */
const statesFor: Readonly<Record<"use" | "change" | "govern", readonly KeyState[]>> = {
  use: ["enabled"],
  change: ["enabled", "disabled", "pending-import"],
  govern: ["enabled", "disabled", "pending-import", "pending-deletion"],
};

/** Refuses to use a key that is not enabled. @throws {CustodyError} `KEY_DISABLED`, `KEY_STATE_INVALID`. */
export function mustBeUsable(key: KeyRecord): void {
  mustAllow(key, "use");
}

/** Refuses to change a key that is on its way out. @throws {CustodyError} `KEY_STATE_INVALID`. */
export function mustBeAlive(key: KeyRecord): void {
  mustAllow(key, "change");
}

/** Refuses any work on a key that is destroyed. @throws {CustodyError} `KEY_STATE_INVALID`. */
export function mustExist(key: KeyRecord): void {
  mustAllow(key, "govern");
}

function mustAllow(key: KeyRecord, operation: keyof typeof statesFor): void {
  if (statesFor[operation].includes(key.state)) return;
  if (key.state === "disabled")
    throw new CustodyError("KEY_DISABLED", `master key ${key.id} is disabled`, undefined, factsOf(key));
  throw wrongState(key);
}

function wrongState(key: KeyRecord, what = ""): CustodyError {
  return new CustodyError("KEY_STATE_INVALID", `master key ${key.id} is ${key.state}${what}`, undefined, factsOf(key));
}

function factsOf(key: KeyRecord): { readonly keyId: string; readonly state: KeyState } {
  return { keyId: key.id, state: key.state };
}

/** Refuses a key of another usage. @throws {CustodyError} `KEY_USAGE_INVALID`. */
export function mustEncrypt(key: KeyRecord): void {
  if (key.usage !== "encrypt")
    throw new CustodyError(
      "KEY_USAGE_INVALID",
      `master key ${key.id} is for usage ${key.usage}, this needs encrypt`,
      undefined,
      { keyId: key.id, usage: key.usage },
    );
}

/** Whether a key waits for material: of origin `external`, and none of it here. */
function lacksMaterial(key: KeyRecord): boolean {
  return key.origin === "external" && key.versions.every(({ material }) => material === null);
}

/** Whether imported material has reached its end, so that the key is not to be used any more. */
export function materialExpired(key: KeyRecord, nowMs: number): boolean {
  const expiresAt = key.imported?.expiresAt ?? null;
  return expiresAt !== null && nowMs >= Date.parse(expiresAt) && !lacksMaterial(key);
}

/** A key whose imported material has expired, as it is to be seen: of no use, until a sweep empties it. */
export function asExpired(key: KeyRecord): KeyRecord {
  const usable = key.state === "enabled" || key.state === "disabled";
  return usable ? { ...key, state: "pending-import" } : withoutImportedMaterial(key);
}

/** The key without its material: it waits for the same to be imported again. Deletion that was scheduled stays so. */
export function withoutImportedMaterial(key: KeyRecord): KeyRecord {
  return {
    ...key,
    state: key.state === "enabled" || key.state === "disabled" ? "pending-import" : key.state,
    versions: key.versions.map(withoutMaterial),
    imported: key.imported === null ? null : { ...key.imported, expiresAt: null },
  };
}

/** A version whose material is gone from the store. */
export function withoutMaterial(version: KeyVersionRecord): KeyVersionRecord {
  return { ...version, material: null };
}
