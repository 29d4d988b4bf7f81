import type { DeviceKeyNote } from "../devices/device-secret.ts";
import { aliasArn, keyArn } from "./arn.ts";
import type { AuthorizationFacts, Authorizer, Question } from "./authorizer.ts";
import type { Devices } from "./devices.ts";
import { CustodyError } from "./errors.ts";
import type { Decision, Journal, Subject } from "./journal.ts";
import { type KeyDirectory, keyNotFound } from "./key-directory.ts";
import { mustExist } from "./key-states.ts";
import type { Opener } from "./opening/opener.ts";
import type { ActionName } from "./policy/actions.ts";
import type { Decision as Authorization } from "./policy/evaluate.ts";
import type { Caller, CustodyIdentity, Door } from "./service.ts";
import type { KeyRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";

/** What every group of operations works with. */
export interface Core {
  readonly identity: CustodyIdentity;
  readonly journal: Journal;
  readonly state: State;
  readonly authorizer: Authorizer;
  readonly directory: KeyDirectory;
  readonly devices: Devices;
  readonly opener: Opener;
  /** The device keys that key slots of this folder are wrapped by. */
  readonly slotNotes: () => readonly DeviceKeyNote[];
  /** Counts a refusal of a caller nobody knows, in place of a record. */
  readonly countRefusal: (door: Door, peer: string, reason: string) => void;
}

/** A subject whose action policies know, or that is recorded under a name of its own and asks for another permission. */
type PermittedSubject = Subject &
  ({ readonly action: ActionName; readonly permission?: undefined } | { readonly permission: ActionName });

/** A subject that is about no key that exists already. */
export type AccountSubject = PermittedSubject & { readonly facts?: AuthorizationFacts };

/** A subject that is about the key that `reference` names (id, alias, ARN). */
export type KeySubject = PermittedSubject & {
  readonly reference: string;
  /** Whether a key is still found for it once it is destroyed. */
  readonly ofDestroyed?: boolean;
  /** What the request calls the key, when `reference` was read elsewhere (from a wrapped key). */
  readonly calledAs?: string | undefined;
  /** Given the key, where they depend on the state. */
  readonly facts?: AuthorizationFacts | ((key: KeyRecord) => AuthorizationFacts);
};

/** The alias by which a request names a key, for `kms:RequestAlias`: `alias/NAME`, also when the request has its ARN. */
export function requestAliasOf(core: Core, reference: string | undefined): { readonly requestAlias?: string } {
  const prefix = aliasArn(core.identity, "");
  const local = reference?.startsWith(prefix) ? reference.slice(prefix.length) : reference;
  return local?.startsWith("alias/") ? { requestAlias: local } : {};
}

const onRecord = new WeakSet<Error>();

/** Whether an operation that threw this was decided, so that its refusal is on record; false for one that came before. */
export function isOnRecord(error: Error): boolean {
  return onRecord.has(error);
}

/**
 * The journal, for operations that decide by themselves who may do them. It records what `decide` throws, and what decided
 * a denial. A dry run is decided like any other request and then refused with `DRY_RUN`: its answer is discarded and its
 * changes are dropped.
 *
 * @throws {CustodyError} `DRY_RUN` in place of every success of a caller that asks for a dry run.
 */
export async function performDecided<T>(
  core: Core,
  caller: Caller,
  subject: Subject,
  decide: () => Decision<T> | Promise<Decision<T>>,
  discard: (value: T) => void = () => {},
): Promise<T> {
  const given = subject.detail;
  const noted = async () => {
    if (given === undefined) delete subject.detail;
    else subject.detail = given;
    try {
      const decision = await decide();
      if (!caller.dryRun) return decision;
      discard(decision.value);
      throw new CustodyError("DRY_RUN");
    } catch (error) {
      if (error instanceof CustodyError) note(core, subject, error);
      throw error;
    } finally {
      if (caller.dryRun) subject.detail = { ...subject.detail, dryRun: "yes" };
    }
  };
  try {
    return await core.journal.perform<T>(caller, subject, noted, discard);
  } catch (error) {
    if (error instanceof Error) onRecord.add(error);
    throw error;
  }
}

/** Tells the error which key it is about, and the audit record what denied the request. */
function note(core: Core, subject: Subject, error: CustodyError): void {
  const keyId = error.facts.keyId ?? (subject.key === "" ? undefined : subject.key);
  if (keyId !== undefined) error.about({ key: keyArn(core.identity, keyId) });
  const { deniedBy, statement, upstream } = error.facts;
  if (upstream !== undefined) subject.detail = { ...subject.detail, upstream };
  if (deniedBy !== undefined)
    subject.detail = {
      ...subject.detail,
      deniedBy,
      ...(statement === undefined ? {} : { statement: statement.slice(0, 128) }),
    };
}

function permissionOf(subject: PermittedSubject): ActionName {
  return subject.permission === undefined ? subject.action : subject.permission;
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
  return performDecided(
    core,
    caller,
    subject,
    () => {
      const now = new Date(core.journal.nowMs());
      core.authorizer.check({
        caller,
        action: permissionOf(subject),
        now,
        ...(subject.facts === undefined ? {} : { facts: subject.facts }),
      });
      return decide(now);
    },
    discard,
  );
}

/**
 * Asks the authorizer about a key. To whoever may not do this with a destroyed key, it is as absent as one that never was:
 * the answer tells nothing of it, and the record what denied it.
 *
 * @param reference - What the key was found by.
 * @throws {CustodyError} `ACCESS_DENIED`, `KEY_NOT_FOUND`.
 */
export function checkOnKey(
  core: Core,
  reference: string,
  question: Question & { readonly key: KeyRecord },
): Authorization {
  try {
    return core.authorizer.check(question);
  } catch (error) {
    if (question.key.state !== "destroyed" || !(error instanceof CustodyError) || error.code !== "ACCESS_DENIED")
      throw error;
    throw keyNotFound(reference).about(error.facts);
  }
}

/**
 * One operation on the key that `reference` names (id, alias, ARN): found, authorised, decided, recorded.
 * A key that is destroyed can be described, and nothing else, by whoever may.
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
  return performDecided(
    core,
    caller,
    subject,
    () => {
      const now = new Date(core.journal.nowMs());
      const key = core.directory.find(subject.reference);
      subject.key = key.id;
      const facts = typeof subject.facts === "function" ? subject.facts(key) : subject.facts;
      const question = {
        caller,
        action: permissionOf(subject),
        now,
        key,
        ...(subject.context === undefined ? {} : { context: subject.context }),
        ...requestAliasOf(core, subject.calledAs ?? subject.reference),
        ...(facts === undefined ? {} : { facts }),
      };
      const authorization = checkOnKey(core, subject.reference, question);
      if (subject.ofDestroyed !== true) mustExist(key);
      return decide(key, now, authorization);
    },
    discard,
  );
}
