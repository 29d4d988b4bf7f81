import { CustodyError } from "./errors.ts";
import type { KeyState } from "./service.ts";
import type { KeyRecord } from "./state/records.ts";

/**
 * The life of a master key, in one place:
 *
 *     enabled ⇄ disabled          enable, disable
 *     enabled, disabled → pending-deletion     schedule deletion (7 to 30 days)
 *     pending-deletion → disabled              cancel deletion
 *     pending-deletion → destroyed             destroy, once the waiting time has passed; there is no way back
 *
 * Only an enabled key seals or opens anything. As with AWS KMS a transition to the state that already holds is accepted
 * for enable and disable.
 */
const transitions: Readonly<Record<KeyTransition, { from: readonly KeyState[]; to: KeyState }>> = {
  enable: { from: ["enabled", "disabled"], to: "enabled" },
  disable: { from: ["enabled", "disabled"], to: "disabled" },
  scheduleDeletion: { from: ["enabled", "disabled"], to: "pending-deletion" },
  cancelDeletion: { from: ["pending-deletion"], to: "disabled" },
  destroy: { from: ["pending-deletion"], to: "destroyed" },
};

export type KeyTransition = "enable" | "disable" | "scheduleDeletion" | "cancelDeletion" | "destroy";

/** The state after a transition. @throws {CustodyError} `KEY_STATE_INVALID`. */
export function stateAfter(key: KeyRecord, transition: KeyTransition): KeyState {
  const { from, to } = transitions[transition];
  if (!from.includes(key.state))
    throw new CustodyError(
      "KEY_STATE_INVALID",
      `master key ${key.id} is ${key.state}: ${transition} needs ${from.join(" or ")}`,
    );
  return to;
}

/** Refuses to use a key that is not enabled. @throws {CustodyError} `KEY_DISABLED`, `KEY_STATE_INVALID`. */
export function mustBeUsable(key: KeyRecord): void {
  if (key.state === "disabled") throw new CustodyError("KEY_DISABLED", `master key ${key.id} is disabled`);
  if (key.state !== "enabled") throw new CustodyError("KEY_STATE_INVALID", `master key ${key.id} is ${key.state}`);
}

/** Refuses to change a key that is on its way out. @throws {CustodyError} `KEY_STATE_INVALID`. */
export function mustBeAlive(key: KeyRecord): void {
  if (key.state !== "enabled" && key.state !== "disabled")
    throw new CustodyError("KEY_STATE_INVALID", `master key ${key.id} is ${key.state}`);
}

/** Refuses a key of another usage. @throws {CustodyError} `KEY_USAGE_INVALID`. */
export function mustEncrypt(key: KeyRecord): void {
  if (key.usage !== "encrypt")
    throw new CustodyError("KEY_USAGE_INVALID", `master key ${key.id} is for usage ${key.usage}, this needs encrypt`);
}
