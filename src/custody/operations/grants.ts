import { randomUUID } from "node:crypto";
import { isSymmetricSpec } from "../../crypto/key-specs.ts";
import { asInput, deniedBy } from "../authorizer.ts";
import type { CreateGrantInput, GrantOnKey, GrantOperations, GrantPageInput } from "../contract/grants.ts";
import { type Core, type KeySubject, performDecided, performOnAccount, performOnKey } from "../core.ts";
import { CustodyError } from "../errors.ts";
import type { Subject } from "../journal.ts";
import { mustBeUsable, mustExist } from "../key-states.ts";
import { type Grant, grantInForce, mayRetireGrant } from "../policy/grant.ts";
import { checkNewGrant, checkRegrant } from "../policy/grant-rules.ts";
import { keyFacts } from "../policy/key-facts.ts";
import type { Caller } from "../service.ts";
import { type Page, pageOfIds, SortedIds } from "../sorted-ids.ts";
import { change, type KeyRecord, type StateChange } from "../state/records.ts";

const maxGrantsPerKey = 50_000;

/** Grants: allow-only permissions on one key, for one principal, perhaps under a context, perhaps until a time. */
export class Grants implements GrantOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async create(caller: Caller, key: string, input: CreateGrantInput): Promise<Grant> {
    const asked = { grantee: input.grantee.slice(0, 512), operations: input.operations.join(",").slice(0, 512) };
    const subject: KeySubject = {
      action: "kms:CreateGrant",
      reference: key,
      detail: asked,
      facts: { grant: requestedGrant(input) },
      context: input.constraints?.encryptionContextEquals ?? input.constraints?.encryptionContextSubset ?? {},
    };
    return performOnKey(this.#core, caller, subject, (record, now, decision) => {
      mustBeUsable(record);
      asInput(() =>
        checkNewGrant(input, { usage: keyFacts(record).usage, symmetric: isSymmetricSpec(record.spec) }, now),
      );
      const same = this.#sameGrant(record, input);
      if (same !== undefined) {
        subject.detail = { ...asked, ...boundsOf(same) };
        return { value: same };
      }
      if (this.#core.authorizer.grants.countOnKey(record.id) >= maxGrantsPerKey)
        throw new CustodyError("LIMIT_EXCEEDED", `the key has ${maxGrantsPerKey} grants, which is the limit`);
      const parent = decision.by === "grant" ? this.#parentOf(input, record, caller, now) : undefined;
      const id = randomUUID();
      const grant = {
        id,
        keyId: record.id,
        grantee: input.grantee,
        operations: input.operations,
        ...(input.retiring === undefined ? {} : { retiring: input.retiring }),
        ...(input.constraints === undefined ? {} : { constraints: input.constraints }),
        ...(input.notAfter === undefined ? {} : { notAfter: input.notAfter }),
        ...(input.name === undefined ? {} : { name: input.name }),
        ...(parent === undefined ? {} : { parent: parent.id }),
        createdAt: now.toISOString(),
      };
      subject.detail = { ...asked, ...boundsOf(grant) };
      return { value: grant, changes: [change("grant", id, grant)] };
    });
  }

  async list(caller: Caller, key: string): Promise<readonly Grant[]> {
    return performOnKey(this.#core, caller, { action: "kms:ListGrants", reference: key }, (record) => ({
      value: this.#core.authorizer.grantsOn(record.id),
    }));
  }

  async page(caller: Caller, key: string, { grantee, grantId, ...page }: GrantPageInput): Promise<Page<Grant>> {
    return performOnKey(this.#core, caller, { action: "kms:ListGrants", reference: key }, ({ id: keyId }) => {
      const { grants } = this.#core.authorizer;
      const asked = (grant: Grant | undefined) =>
        grant?.keyId === keyId &&
        (grantee === undefined || grant.grantee === grantee) &&
        (grantId === undefined || grant.id === grantId)
          ? grant
          : undefined;
      const named = grantId === undefined ? grants.idsOnKey(keyId) : new SortedIds([grantId]);
      return { value: pageOfIds(named, page, (id) => asked(this.#core.state.get("grant", id))) };
    });
  }

  /** A key that the caller may not list the grants of is passed over. */
  async listAll(caller: Caller, grantee?: string): Promise<readonly GrantOnKey[]> {
    const detail = grantee === undefined ? {} : { grantee: grantee.slice(0, 256) };
    const subject = { action: "strongroom:ListAllGrants", permission: "kms:ListGrants", detail } as const;
    return performOnAccount(this.#core, caller, { ...subject }, (now) => {
      const readable = new Map<string, boolean>();
      const mayRead = (keyId: string) =>
        readable.getOrInsertComputed(keyId, () => {
          const key = this.#core.directory.find(keyId);
          return this.#core.authorizer.decide({ caller, action: "kms:ListGrants", now, key }).effect === "allow";
        });
      const grants =
        grantee === undefined
          ? [...this.#core.state.all("grant")].map(([, grant]) => grant)
          : this.#core.authorizer.grants.ofGrantee(grantee);
      return { value: grants.filter(({ keyId }) => mayRead(keyId)) };
    });
  }

  /** Grants that were made by right of this one end with it. */
  async revoke(caller: Caller, key: string, grantId: string): Promise<void> {
    const subject = { action: "kms:RevokeGrant", reference: key, detail: { grant: grantId.slice(0, 64) } } as const;
    return performOnKey(this.#core, caller, subject, (record) => {
      if (this.#core.state.get("grant", grantId)?.keyId !== record.id)
        throw new CustodyError("GRANT_NOT_FOUND", `key ${record.id} has no such grant`);
      return { value: undefined, changes: this.#ended(grantId) };
    });
  }

  /** No policy is asked but for a Deny: the grant itself says who may (AWS KMS, RetireGrant). Possible in every key state. */
  async retire(caller: Caller, key: string | null, grantId: string): Promise<void> {
    const subject: Subject = { action: "kms:RetireGrant", detail: { grant: grantId.slice(0, 64) } };
    return performDecided(this.#core, caller, subject, () => {
      const grant = this.#core.state.get("grant", grantId);
      const record = key === null ? undefined : this.#core.directory.find(key);
      if (record !== undefined) {
        subject.key = record.id;
        mustExist(record);
      }
      if (grant === undefined || (record !== undefined && grant.keyId !== record.id))
        throw new CustodyError("GRANT_NOT_FOUND");
      const onKey = record ?? this.#core.directory.find(grant.keyId);
      subject.key = onKey.id;
      const now = new Date(this.#core.journal.nowMs());
      const question = { caller, action: "kms:RetireGrant", now, key: onKey } as const;
      const decision = this.#core.authorizer.decide(question);
      if (decision.by === "explicit-deny") throw deniedBy(decision, question);
      if (!mayRetireGrant(grant, caller.principal)) throw deniedBy({ effect: "deny", by: "default" }, question);
      return { value: undefined, changes: this.#ended(grantId) };
    });
  }

  async listRetirable(caller: Caller, principal: string): Promise<readonly GrantOnKey[]> {
    const subject = { action: "kms:ListRetirableGrants", detail: { principal: principal.slice(0, 256) } } as const;
    return performOnAccount(this.#core, caller, { ...subject }, () => ({
      value: this.#core.authorizer.grants.retirableBy(principal),
    }));
  }

  #ended(grantId: string): StateChange[] {
    return [...this.#core.authorizer.endingWith([grantId])].map((id) => change("grant", id, null));
  }

  /** As with AWS KMS: the same name with the same content is the same grant, so that a retry makes no second one. */
  #sameGrant(key: KeyRecord, input: CreateGrantInput): Grant | undefined {
    if (input.name === undefined) return undefined;
    const content = ({ grantee, operations, retiring, constraints, notAfter }: CreateGrantInput) =>
      JSON.stringify([grantee, [...operations].sort(), retiring, constraints, notAfter]);
    return this.#core.authorizer.grants.named(key.id, input.name).find((grant) => content(grant) === content(input));
  }

  #parentOf(input: CreateGrantInput, key: KeyRecord, caller: Caller, now: Date): Grant {
    const held = this.#core.authorizer.grants.of(key.id, caller.principal).filter((grant) => grantInForce(grant, now));
    return asInput(() => checkRegrant(input, held));
  }
}

function requestedGrant(input: CreateGrantInput) {
  const { encryptionContextEquals, encryptionContextSubset } = input.constraints ?? {};
  const constraintType =
    encryptionContextEquals !== undefined
      ? ("EncryptionContextEquals" as const)
      : encryptionContextSubset !== undefined
        ? ("EncryptionContextSubset" as const)
        : undefined;
  return { operations: input.operations, grantee: input.grantee, retiring: input.retiring, constraintType };
}

/** Which grant it is and what else bounds it, for the record; its context is the record's own. */
function boundsOf({ id, retiring, notAfter, constraints }: Grant): Record<string, string> {
  return {
    grant: id,
    ...(retiring === undefined ? {} : { retiring }),
    ...(notAfter === undefined ? {} : { notAfter }),
    ...(constraints === undefined ? {} : { contextIs: constraints.encryptionContextEquals ? "equal" : "contained" }),
  };
}
