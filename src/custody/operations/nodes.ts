import { hash, randomUUID } from "node:crypto";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { principalArn } from "../arn.ts";
import type { NodeOperations } from "../contract/nodes.ts";
import { type AccountSubject, type Core, performOnAccount, requestAliasOf } from "../core.ts";
import { CustodyError } from "../errors.ts";
import type { Subject } from "../journal.ts";
import { checkPrincipalName } from "../names.ts";
import type { ActionName } from "../policy/actions.ts";
import type { Caller, Door, IdentityKind, PrincipalDescription } from "../service.ts";
import { change, type PrincipalRecord, type StateChange, type TokenRecord } from "../state/records.ts";
import { withoutCounters } from "./counters.ts";
import { withoutEnclaves } from "./enclaves.ts";
import { describePrincipal, findPrincipal, tokensOf, withCertificatesEnded } from "./principals.ts";

const tokenLifeMs = 15 * 60 * 1000;
const tokenBytes = 32;
/** How many certificate keys of one node may be in force at once: the present one and the one before a renewal. */
const maxPublicKeys = 2;
const maxKeysDestroyed = 64;

/** What a node may do with the master key it is enrolled for, under contexts that carry its own name. */
const nodeOperations = [
  "Decrypt",
  "Encrypt",
  "GenerateDataKeyWithoutPlaintext",
  "ReEncryptFrom",
  "ReEncryptTo",
  "DescribeKey",
] as const;

/** One-time tokens and enrolment (of nodes, and of users and services that an administrator has made); revocation. */
export class Nodes implements NodeOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async createToken(
    caller: Caller,
    input: { name: string; key?: string; identity: IdentityKind },
  ): Promise<{ readonly token: SecretBuffer; readonly expiresAt: string }> {
    const name = checkPrincipalName(input.name);
    const subject: AccountSubject = {
      action: "strongroom:EnrollNode",
      detail: { name, identity: input.identity },
      key: "",
    };
    return performOnAccount(
      this.#core,
      caller,
      subject,
      (now) => {
        const known = this.#core.state.get("principal", name);
        const permission = permissionToReplace(known);
        if (permission !== undefined) this.#core.authorizer.check({ caller, action: permission, now });
        if (known?.state === "revoked")
          throw new CustodyError("PRINCIPAL_EXISTS", `${name} is revoked: enable it first, or use another name`);
        const key = input.key === undefined ? undefined : this.#core.directory.find(input.key);
        if (key !== undefined) {
          subject.key = key.id;
          this.#core.authorizer.check({
            caller,
            action: "kms:CreateGrant",
            now,
            key,
            context: { node: name },
            ...requestAliasOf(this.#core, input.key),
            facts: {
              grant: {
                operations: nodeOperations,
                grantee: principalArn(this.#core.identity, known?.kind ?? "node", name),
                constraintType: "EncryptionContextSubset",
              },
            },
          });
        }
        const record: PrincipalRecord = {
          ...(known ?? {
            name,
            kind: "node",
            role: "node",
            state: "enabled",
            publicKeys: [],
            groups: [],
            createdAt: now.toISOString(),
          }),
          identity: input.identity,
        };
        const token = SecretBuffer.random(tokenBytes);
        const expiresAt = new Date(now.getTime() + tokenLifeMs).toISOString();
        return {
          value: { token, expiresAt },
          changes: [
            change("principal", name, record),
            ...tokensOf(this.#core, name),
            change("token", tokenId(token), { node: name, expiresAt }),
            ...(key === undefined ? [] : this.#grantChange(record, key.id, now)),
          ],
        };
      },
      (value) => value.token[Symbol.dispose](),
    );
  }

  async redeemToken(
    peer: { readonly door: Door; readonly peer: string; readonly requestId: string },
    input: { name: string; token: SecretBuffer; spkiSha256: Buffer; notAfter: string },
  ): Promise<PrincipalDescription> {
    const name = checkPrincipalName(input.name);
    const id = tokenId(input.token);
    // Strangers ask for this: only a real token is worth a record, or they could fill the disk, and under any name.
    const holder = this.#principalOfToken(id, name);
    if (holder === undefined) {
      this.#core.countRefusal(peer.door, peer.peer, "TOKEN_REFUSED");
      await this.#endExpired(id, peer);
      throw new CustodyError("TOKEN_REFUSED");
    }
    const caller: Caller = { ...peer, principal: principalArn(this.#core.identity, holder.kind, name) };
    const detail = { name, spkiSha256: input.spkiSha256.toString("hex") };
    return this.#core.journal.perform(caller, { action: "strongroom:RedeemToken", detail }, () => {
      const record = this.#principalOfToken(id, name);
      if (record === undefined) throw new CustodyError("TOKEN_REFUSED");
      const enrolled = { ...record, publicKeys: [{ spkiSha256: detail.spkiSha256, notAfter: input.notAfter }] };
      return {
        value: describePrincipal(this.#core, enrolled),
        changes: [change("token", id, null), change("principal", name, enrolled)],
      };
    });
  }

  /**
   * Adds a certificate key to the principal that calls (a renewal over its present certificate). The key before it stays
   * in force until its own certificate ends or the next renewal, so that an answer that is lost shuts nobody out.
   */
  async renew(caller: Caller, name: string, spkiSha256: Buffer, notAfter: string): Promise<PrincipalDescription> {
    const detail = { name, spkiSha256: spkiSha256.toString("hex") };
    return this.#core.journal.perform(caller, { action: "strongroom:RenewCertificate", detail }, () => {
      const record = findPrincipal(this.#core, name);
      const arn = principalArn(this.#core.identity, record.kind, name);
      if (arn !== caller.principal || record.state !== "enabled") throw new CustodyError("ACCESS_DENIED");
      const renewed = withPublicKey(record, detail.spkiSha256, notAfter);
      return { value: describePrincipal(this.#core, renewed), changes: [change("principal", name, renewed)] };
    });
  }

  async revoke(caller: Caller, name: string): Promise<PrincipalDescription> {
    return performOnAccount(
      this.#core,
      caller,
      { action: "strongroom:RevokeNode", detail: { name: name.slice(0, 64) } },
      () => {
        const record = findPrincipal(this.#core, name);
        if (record.kind !== "node")
          throw new CustodyError("PRINCIPAL_NOT_FOUND", `${name} is a ${record.kind}, not a node`);
        return this.#revocationOf(record);
      },
    );
  }

  async destroyed(caller: Caller, input: Parameters<NodeOperations["destroyed"]>[1]): Promise<PrincipalDescription> {
    const { name } = input;
    const told = { name: name.slice(0, 64) };
    const subject: Subject = { action: "strongroom:DestroyNode", detail: told };
    return this.#core.journal.perform(caller, subject, () => {
      // Whoever is not that node puts nothing more than a name on record.
      subject.detail = told;
      const record = this.#core.state.get("principal", name);
      const isItself = record?.kind === "node" && principalArn(this.#core.identity, "node", name) === caller.principal;
      if (!isItself || record.state !== "enabled") throw new CustodyError("ACCESS_DENIED");
      subject.detail = { ...told, ...whatIsDestroyed(input) };
      const { value, changes } = this.#revocationOf(record);
      return {
        value,
        changes: [...changes, ...withoutCounters(this.#core, name), ...withoutEnclaves(this.#core, name)],
      };
    });
  }

  async list(caller: Caller): Promise<readonly PrincipalDescription[]> {
    return performOnAccount(this.#core, caller, { action: "strongroom:ListNodes" }, () => ({
      value: [...this.#core.state.all("principal")]
        .filter(([, record]) => record.kind === "node")
        .map(([, record]) => describePrincipal(this.#core, record)),
    }));
  }

  /**
   * A token that is shown too late ends for good, so that no clock that is set back revives it. Each token is real, and
   * ends once: strangers have no records written by this.
   */
  async #endExpired(id: string, peer: Omit<Caller, "principal">): Promise<void> {
    const expired = () => {
      const token = this.#core.state.get("token", id);
      return token !== undefined && this.#core.journal.nowMs() >= Date.parse(token.expiresAt) ? token : undefined;
    };
    const token = expired();
    if (token === undefined) return;
    const subject = { action: "strongroom:ExpireToken", detail: { name: token.node } };
    await this.#core.journal.perform({ ...peer, principal: "anonymous" }, subject, () => ({
      value: undefined,
      changes: expired() === undefined ? [] : [change("token", id, null)],
    }));
  }

  /** The principal revoked; its grants, what was granted on from them, and its tokens gone. */
  #revocationOf(record: PrincipalRecord): { value: PrincipalDescription; changes: StateChange[] } {
    const revoked = withCertificatesEnded({ ...record, state: "revoked" });
    const arn = principalArn(this.#core.identity, "node", record.name);
    const held = this.#core.authorizer.grants.ofGrantee(arn);
    const grants = this.#core.authorizer.endingWith(held.map(({ id }) => id));
    return {
      value: describePrincipal(this.#core, revoked),
      changes: [
        change("principal", record.name, revoked),
        ...tokensOf(this.#core, record.name),
        ...[...grants].map((id) => change("grant", id, null)),
      ],
    };
  }

  /** The enabled principal that this token enrols now, if it is for this name. */
  #principalOfToken(id: string, name: string): PrincipalRecord | undefined {
    const token: TokenRecord | undefined = this.#core.state.get("token", id);
    const record = this.#core.state.get("principal", name);
    const fits = token?.node === name && this.#core.journal.nowMs() < Date.parse(token.expiresAt);
    return fits && record?.state === "enabled" ? record : undefined;
  }

  #grantChange({ kind, name }: PrincipalRecord, keyId: string, now: Date): StateChange[] {
    const grantee = principalArn(this.#core.identity, kind, name);
    if (this.#core.authorizer.grants.of(keyId, grantee).some(({ name: its }) => its === "enrolment")) return [];
    const id = randomUUID();
    return [
      change("grant", id, {
        id,
        keyId,
        grantee,
        operations: nodeOperations,
        constraints: { encryptionContextSubset: { node: name } },
        name: "enrolment",
        createdAt: now.toISOString(),
      }),
    ];
  }
}

/**
 * What a token for this principal takes beside `strongroom:EnrollNode`: nothing for a new node and for one that never
 * enrolled. Whoever redeems a token for another *becomes* that principal, with all that is bound to its name.
 */
function permissionToReplace(known: PrincipalRecord | undefined): ActionName | undefined {
  if (known === undefined) return undefined;
  if (known.kind !== "node") return "strongroom:CreatePrincipal";
  return known.publicKeys.length === 0 ? undefined : "strongroom:EnablePrincipal";
}

/**
 * What goes on record of the keys that end with a node: a numbered list, so that no text of the node's names a member.
 *
 * @throws {CustodyError} `INPUT_INVALID` for more keys or longer texts than a record takes, and for control characters.
 */
function whatIsDestroyed({
  network,
  keys,
}: Pick<Parameters<NodeOperations["destroyed"]>[1], "network" | "keys">): Record<string, string | number> {
  if (keys.length > maxKeysDestroyed)
    throw new CustodyError("INPUT_INVALID", `a node tells of at most ${maxKeysDestroyed} keys, got ${keys.length}`);
  const listed = keys.map(({ name, format, publicIdentity }, index) => [
    `key ${index + 1}`,
    `${plainText(name, 64)} ${plainText(format, 64)} ${plainText(publicIdentity, 256)}`,
  ]);
  return { network: plainText(network, 64), keys: keys.length, ...Object.fromEntries(listed) };
}

function plainText(text: string, maxCharacters: number): string {
  if (text.length > maxCharacters || /\p{Cc}/u.test(text))
    throw new CustodyError("INPUT_INVALID", `a text has at most ${maxCharacters} characters, none of them control`);
  return text;
}

function tokenId(token: SecretBuffer): string {
  return token.expose((bytes) => hash("sha256", bytes, "hex"));
}

function withPublicKey(record: PrincipalRecord, spkiSha256: string, notAfter: string): PrincipalRecord {
  const others = record.publicKeys.filter((each) => each.spkiSha256 !== spkiSha256);
  return { ...record, publicKeys: [...others, { spkiSha256, notAfter }].slice(-maxPublicKeys) };
}
