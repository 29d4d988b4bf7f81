import type { CryptoDevice } from "../devices/device.ts";
import type { AuthorizationFacts, Authorizer } from "./authorizer.ts";
import type { Decision, Journal, Subject } from "./journal.ts";
import type { KeyDirectory } from "./key-directory.ts";
import type { ActionName } from "./policy/actions.ts";
import type { Decision as Authorization } from "./policy/evaluate.ts";
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

/** A subject whose action policies know. */
export interface AccountSubject extends Subject {
  readonly action: ActionName;
}

/** A subject that is about the key that `reference` names (id, alias, ARN). */
export interface KeySubject extends AccountSubject {
  readonly reference: string;
  readonly facts?: AuthorizationFacts;
}

/**
 * One operation that is about no key: authorised, decided, recorded.
 *
 * @param decide - Called with the decision's own time; may be called again if the state moves.
 */
export function performOnAccount<T>(
  core: Core,
  caller: Caller,
  subject: AccountSubject,
  decide: (now: Date) => Decision<T> | Promise<Decision<T>>,
  discard?: (value: T) => void,
): Promise<T> {
  return core.journal.perform(
    caller,
    subject,
    () => {
      const now = new Date(core.journal.nowMs());
      core.authorizer.check({ caller, action: subject.action, now });
      return decide(now);
    },
    discard,
  );
}

/**
 * One operation on the key that `reference` names (id, alias, ARN): found, authorised, decided, recorded.
 *
 * @param discard - Disposes of an answer that is not released.
 */
export function performOnKey<T>(
  core: Core,
  caller: Caller,
  subject: KeySubject,
  decide: (key: KeyRecord, now: Date, authorization: Authorization) => Decision<T> | Promise<Decision<T>>,
  discard?: (value: T) => void,
): Promise<T> {
  return core.journal.perform(
    caller,
    subject,
    () => {
      const now = new Date(core.journal.nowMs());
      const key = core.directory.find(subject.reference);
      subject.key = key.id;
      const authorization = core.authorizer.check({
        caller,
        action: subject.action,
        now,
        key,
        ...(subject.context === undefined ? {} : { context: subject.context }),
        ...(subject.reference.includes("alias/") ? { requestAlias: subject.reference } : {}),
        ...(subject.facts === undefined ? {} : { facts: subject.facts }),
      });
      return decide(key, now, authorization);
    },
    discard,
  );
}
