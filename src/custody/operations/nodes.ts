import { hash, randomUUID } from "node:crypto";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { principalArn } from "../arn.ts";
import { type AccountSubject, type Core, performOnAccount } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { checkPrincipalName } from "../names.ts";
import type { Caller, Door, IdentityKind, NodeOperations, PrincipalDescription } from "../service.ts";
import { change, type PrincipalRecord, type StateChange, type TokenRecord } from "../state/records.ts";
import { describePrincipal, findPrincipal } from "./principals.ts";

const tokenLifeMs = 15 * 60 * 1000;
const tokenBytes = 32;
/** How many certificate keys of one node may be in force at once: the present one and the one before a renewal. */
const maxPublicKeys = 2;

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
        if (known !== undefined && known.kind !== "node")
          this.#core.authorizer.check({ caller, action: "strongroom:CreatePrincipal", now });
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
            ...this.#tokensOf(name),
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
    const kind = this.#core.state.get("principal", name)?.kind ?? "node";
    const caller: Caller = { ...peer, principal: principalArn(this.#core.identity, kind, name) };
    const detail = { name, spkiSha256: input.spkiSha256.toString("hex") };
    return this.#core.journal.perform(caller, { action: "strongroom:RedeemToken", detail }, () => {
      const nowMs = this.#core.journal.nowMs();
      const token: TokenRecord | undefined = this.#core.state.get("token", id);
      const record = this.#core.state.get("principal", name);
      const fits = token !== undefined && token.node === name && nowMs < Date.parse(token.expiresAt);
      if (!fits || record?.state !== "enabled") throw new CustodyError("TOKEN_REFUSED");
      const enrolled = { ...record, publicKeys: [{ spkiSha256: detail.spkiSha256, notAfter: input.notAfter }] };
      return {
        value: describePrincipal(this.#core, enrolled),
        changes: [change("token", id, null), change("principal", name, enrolled)],
      };
    });
  }

  /** Replaces the certificate key of the node that calls (a renewal over its present certificate). */
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
        const revoked: PrincipalRecord = { ...record, state: "revoked" };
        const arn = principalArn(this.#core.identity, "node", name);
        const grants = [...this.#core.state.all("grant")].filter(([, grant]) => grant.grantee === arn);
        return {
          value: describePrincipal(this.#core, revoked),
          changes: [
            change("principal", name, revoked),
            ...this.#tokensOf(name),
            ...grants.map(([id]) => change("grant", id, null)),
          ],
        };
      },
    );
  }

  async list(caller: Caller): Promise<readonly PrincipalDescription[]> {
    return performOnAccount(this.#core, caller, { action: "strongroom:ListNodes" }, () => ({
      value: [...this.#core.state.all("principal")]
        .filter(([, record]) => record.kind === "node")
        .map(([, record]) => describePrincipal(this.#core, record)),
    }));
  }

  /** A node has one open token at most: a new one, a use and a revocation end the others. */
  #tokensOf(name: string): StateChange[] {
    return [...this.#core.state.all("token")]
      .filter(([, token]) => token.node === name)
      .map(([id]) => change("token", id, null));
  }

  #grantChange({ kind, name }: PrincipalRecord, keyId: string, now: Date): StateChange[] {
    const grantee = principalArn(this.#core.identity, kind, name);
    const held = [...this.#core.state.all("grant")].some(
      ([, grant]) => grant.grantee === grantee && grant.keyId === keyId && grant.name === "enrolment",
    );
    if (held) return [];
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

function tokenId(token: SecretBuffer): string {
  return token.expose((bytes) => hash("sha256", bytes, "hex"));
}

function withPublicKey(record: PrincipalRecord, spkiSha256: string, notAfter: string): PrincipalRecord {
  const others = record.publicKeys.filter((each) => each.spkiSha256 !== spkiSha256);
  return { ...record, publicKeys: [...others, { spkiSha256, notAfter }].slice(-maxPublicKeys) };
}
