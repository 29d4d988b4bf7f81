import type { Context } from "../crypto/context.ts";
import type { CryptoDevice } from "../devices/device.ts";
import type { AuthorizationFacts, Authorizer } from "./authorizer.ts";
import type { Decision, Journal, Subject } from "./journal.ts";
import type { KeyDirectory } from "./key-directory.ts";
import type { Caller, CustodyIdentity } from "./service.ts";
import type { KeyRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";

/** What every group of operations works with. */
export interface Core {
  readonly identity: CustodyIdentity;
  readonly journal: Journal;
  readonly state: State;
  readonly authorizer: Authorizer;
  readonly directory: KeyDirectory;
  readonly device: CryptoDevice;
}

/**
 * One operation that is about no key: authorised, decided, recorded.
 *
 * @param decide - Called with the decision's own time; may be called again if the state moves.
 */
export function performOnAccount<T>(
  core: Core,
  caller: Caller,
  subject: Subject,
  decide: (now: Date) => Decision<T> | Promise<Decision<T>>,
): Promise<T> {
  return core.journal.perform(caller, subject, () => {
    const now = new Date(core.journal.nowMs());
    core.authorizer.check({ caller, action: subject.action, now });
    return decide(now);
  });
}

/**
 * One operation on the key that `reference` names (id, alias, ARN): found, authorised, decided, recorded.
 *
 * @param discard - Disposes of an answer that is not released.
 */
export function performOnKey<T>(
  core: Core,
  caller: Caller,
  subject: Subject & { readonly reference: string; readonly facts?: AuthorizationFacts; readonly context?: Context },
  decide: (key: KeyRecord, now: Date) => Decision<T> | Promise<Decision<T>>,
  discard?: (value: T) => void,
): Promise<T> {
  return core.journal.perform(
    caller,
    subject,
    () => {
      const now = new Date(core.journal.nowMs());
      const key = core.directory.find(subject.reference);
      subject.key = key.id;
      core.authorizer.check({
        caller,
        action: subject.action,
        now,
        key,
        ...(subject.context === undefined ? {} : { context: subject.context }),
        ...(subject.reference.includes("alias/") ? { requestAlias: subject.reference } : {}),
        ...(subject.facts === undefined ? {} : { facts: subject.facts }),
      });
      return decide(key, now);
    },
    discard,
  );
}
