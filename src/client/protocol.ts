import { z } from "zod";
import { counterProtocol } from "./counter-protocol.ts";
import { enclaveProtocol } from "./enclave-protocol.ts";
import type { OperationName } from "./operations.ts";
import {
  accessKey,
  accessKeyState,
  auditRecord,
  base64,
  certificates,
  checkpointMembers,
  context,
  count,
  deviceState,
  grant,
  grantConstraints,
  grantOperation,
  group,
  groupNames,
  identity,
  integration,
  key,
  keyDescription,
  keyInput,
  launch,
  lease,
  leaseStatement,
  legacyEntry,
  legacyMode,
  name,
  nameInput,
  policyNames,
  principal,
  principalKind,
  role,
  rotation,
  rotationStatus,
  spec,
  suite,
  tags,
  text,
  time,
  unwrapped,
  usage,
  user,
  wrappedKey,
} from "./protocol-shapes.ts";

/**
 * The wire contract of the native door: for each operation, what is asked and what is answered. The server validates
 * with these schemas and makes its OpenAPI document from them; the client imports the types only.
 *
 * Times are ISO 8601 in UTC; bytes are canonical base64. A request member that is not declared is refused, an answer
 * member that is not declared is dropped.
 */

/** A signed head of the audit chain, as `audit checkpoint` prints it; also read from files. */
export const checkpointSchema = z.strictObject(checkpointMembers);

const nothing = z.undefined();

export const protocol = {
  whoami: {
    input: nothing,
    answer: z.object({
      principal: z.string().meta({ description: "ARN" }),
      account: z.string(),
      region: z.string(),
      certificateNotAfter: time.nullable(),
    }),
  },
  openapi: { input: nothing, answer: z.looseObject({ openapi: z.string() }) },
  enroll: {
    input: z.strictObject({ name, token: text(128), csr: base64(2048) }),
    answer: z.object({ ...certificates.shape, principal: z.string() }),
  },
  renew: { input: z.strictObject({ csr: base64(2048) }), answer: certificates },

  generateDataKey: {
    input: z.strictObject({ key, context, bytes: z.int().min(1).max(1024).exactOptional() }),
    answer: wrappedKey,
  },
  wrap: { input: z.strictObject({ key, context }), answer: wrappedKey },
  unwrap: {
    input: z.strictObject({
      wrapped: base64(16_384),
      context,
      key: key.exactOptional(),
      lease: leaseStatement.exactOptional(),
    }),
    answer: unwrapped,
  },
  releaseLease: { input: z.strictObject({ launch }), answer: z.void() },
  rewrap: {
    input: z.strictObject({
      wrapped: base64(16_384),
      context,
      toKey: key.exactOptional(),
      toContext: context.exactOptional(),
    }),
    answer: wrappedKey,
  },

  "keys.create": {
    input: z.strictObject({
      suite: suite.exactOptional(),
      usage: usage.exactOptional(),
      spec: spec.exactOptional(),
      description: z.string().max(8192).exactOptional(),
      alias: text(256).exactOptional(),
      policy: text(32_768).exactOptional(),
      origin: z.enum(["soft", "aws-kms"]).exactOptional(),
      upstream: z.strictObject({ integration: name, key: key.exactOptional() }).exactOptional(),
      device: z
        .strictObject({
          name: text(63),
          keyIndex: z.int().min(1).max(65_535).exactOptional(),
          kekIndex: z.int().min(1).max(65_535).exactOptional(),
          keyId: text(128).exactOptional(),
        })
        .exactOptional()
        .meta({
          description: "a card or token of the key manager's devices.toml, and at most one way to name a key in it",
        }),
    }),
    answer: keyDescription,
  },
  "keys.describe": { input: keyInput, answer: keyDescription },
  "keys.list": { input: nothing, answer: z.object({ keys: z.array(keyDescription) }) },
  "keys.page": {
    input: z.strictObject({ after: text(64).exactOptional(), limit: z.int().min(1).max(1000) }),
    answer: z.object({ keys: z.array(keyDescription), more: z.boolean() }),
  },
  "keys.enable": { input: keyInput, answer: keyDescription },
  "keys.disable": { input: keyInput, answer: keyDescription },
  "keys.rotate": { input: keyInput, answer: keyDescription },
  "keys.scheduleDeletion": {
    input: z.strictObject({ key, pendingDays: z.int().min(7).max(30) }),
    answer: keyDescription,
  },
  "keys.cancelDeletion": { input: keyInput, answer: keyDescription },
  "keys.destroy": { input: keyInput, answer: keyDescription },
  "keys.updateDescription": {
    input: z.strictObject({ key, description: z.string().max(8192) }),
    answer: keyDescription,
  },

  "tags.add": { input: z.strictObject({ key, tags }), answer: z.void() },
  "tags.remove": { input: z.strictObject({ key, names: z.array(text(128)).min(1).max(50) }), answer: z.void() },
  "tags.list": { input: keyInput, answer: z.object({ tags }) },

  "rotation.enable": {
    input: z.strictObject({ key, periodDays: z.int().min(90).max(2560).exactOptional() }),
    answer: rotationStatus,
  },
  "rotation.disable": { input: keyInput, answer: rotationStatus },
  "rotation.status": { input: keyInput, answer: rotationStatus },
  "rotation.list": { input: keyInput, answer: z.object({ rotations: z.array(rotation) }) },

  "aliases.create": { input: z.strictObject({ alias: text(256), key }), answer: z.void() },
  "aliases.update": { input: z.strictObject({ alias: text(256), key }), answer: z.void() },
  "aliases.delete": { input: z.strictObject({ alias: text(256) }), answer: z.void() },
  "aliases.list": {
    input: nothing,
    answer: z.object({ aliases: z.array(z.object({ alias: z.string(), keyId: z.string() })) }),
  },

  "policies.get": { input: keyInput, answer: z.object({ policy: z.string() }) },
  "policies.put": {
    input: z.strictObject({ key, policy: text(32_768), bypassLockoutCheck: z.boolean().exactOptional() }),
    answer: z.void(),
  },

  "grants.create": {
    input: z.strictObject({
      key,
      grantee: text(512),
      operations: z.array(grantOperation).min(1).max(32),
      constraints: grantConstraints.exactOptional(),
      notAfter: text(64).exactOptional(),
      name: name.exactOptional(),
      retiring: text(512).exactOptional(),
    }),
    answer: grant,
  },
  "grants.list": { input: keyInput, answer: z.object({ grants: z.array(grant) }) },
  "grants.revoke": { input: z.strictObject({ key, grantId: text(128) }), answer: z.void() },
  "grants.retire": { input: z.strictObject({ key: key.exactOptional(), grantId: text(128) }), answer: z.void() },

  "principals.create": { input: z.strictObject({ name, kind: principalKind, role }), answer: principal },
  "principals.list": { input: nothing, answer: z.object({ principals: z.array(principal) }) },
  "principals.disable": { input: nameInput, answer: principal },
  "principals.enable": { input: nameInput, answer: principal },

  "users.create": {
    input: z.strictObject({ name, role: role.exactOptional(), groups: groupNames.exactOptional() }),
    answer: user,
  },
  "users.list": { input: nothing, answer: z.object({ users: z.array(user) }) },
  "users.describe": { input: nameInput, answer: user },
  "users.setGroups": { input: z.strictObject({ name, groups: groupNames }), answer: user },
  "users.delete": { input: nameInput, answer: z.void() },

  "accessKeys.create": { input: z.strictObject({ user: name }), answer: accessKey },
  "accessKeys.rotate": { input: z.strictObject({ id: text(64) }), answer: accessKey },
  "accessKeys.setState": { input: z.strictObject({ id: text(64), state: accessKeyState }), answer: accessKey },
  "accessKeys.delete": { input: z.strictObject({ id: text(64) }), answer: z.void() },

  "groups.create": { input: z.strictObject({ name, policies: policyNames }), answer: group },
  "groups.list": { input: nothing, answer: z.object({ groups: z.array(group) }) },
  "groups.setPolicies": { input: z.strictObject({ name, policies: policyNames }), answer: group },
  "groups.delete": { input: nameInput, answer: z.void() },

  "nodes.createToken": {
    input: z.strictObject({ name, key: key.exactOptional(), identity }),
    answer: z.object({ expiresAt: time }),
  },
  "nodes.revoke": { input: nameInput, answer: principal },
  "nodes.destroyed": {
    input: z.strictObject({
      name,
      network: text(64),
      keys: z.array(z.strictObject({ name: text(64), format: text(64), publicIdentity: text(256) })).max(64),
    }),
    answer: principal,
  },
  "nodes.list": { input: nothing, answer: z.object({ nodes: z.array(principal) }) },
  "nodes.leases": {
    input: nothing,
    answer: z.object({ leases: z.array(z.object({ node: z.string(), lease })), since: time.nullable() }),
  },

  ...counterProtocol,
  ...enclaveProtocol,

  "console.createCode": {
    input: z.strictObject({ principal: name.exactOptional() }),
    answer: z.object({ principal: z.string(), expiresAt: time }),
  },

  "integrations.create": {
    input: z.strictObject({
      name,
      region: text(63),
      apiKey: text(128),
      masterKey: key.exactOptional(),
      endpoint: text(512).exactOptional(),
      caPem: text(8192).exactOptional(),
    }),
    answer: integration,
  },
  "integrations.list": { input: nothing, answer: z.object({ integrations: z.array(integration) }) },
  "integrations.describe": { input: nameInput, answer: integration },
  "integrations.delete": { input: nameInput, answer: z.void() },

  "devices.list": { input: nothing, answer: z.object({ devices: z.array(deviceState) }) },
  "devices.trust": {
    input: z.strictObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
    answer: z.object({ devices: z.array(z.string()) }),
  },

  "legacy.register": {
    input: z.strictObject({ mode: legacyMode, cipherDataKey: text(4096), node: name.exactOptional() }),
    answer: legacyEntry,
  },
  "legacy.list": { input: nothing, answer: z.object({ entries: z.array(legacyEntry) }) },

  "audit.read": {
    input: z.strictObject({ after: count, limit: z.int().min(1).max(10_000) }),
    answer: z.object({ records: z.array(auditRecord) }),
  },
  "audit.search": {
    input: z.strictObject({
      principal: text(512).exactOptional(),
      key: key.exactOptional(),
      node: name.exactOptional(),
      purpose: text(256).exactOptional(),
      action: text(128).exactOptional(),
      since: text(64).exactOptional(),
      until: text(64).exactOptional(),
      denied: z.boolean().exactOptional(),
      order: z.enum(["newest", "oldest"]).exactOptional(),
      cursor: count.exactOptional(),
      limit: z.int().min(1).max(1000),
    }),
    answer: z.object({ records: z.array(auditRecord), next: count.nullable() }),
  },
  "audit.export": {
    input: z.strictObject({ after: count, limit: z.int().min(1).max(10_000) }),
    answer: z.object({ records: z.array(z.object({ sequence: count, text: z.string(), hash: z.string() })) }),
  },
  "audit.reportPosition": {
    input: z.strictObject({ node: name }),
    answer: z.object({ node: z.string(), after: count, reportedAt: time.nullable(), until: count }),
  },
  "audit.completeReport": { input: z.strictObject({ node: name, sequence: count }), answer: z.void() },
  "audit.checkpoint": { input: nothing, answer: z.object(checkpointMembers) },
  "audit.verify": {
    input: z.strictObject({ checkpoint: checkpointSchema.exactOptional() }),
    answer: z.object({
      ok: z.boolean(),
      records: count,
      firstBad: z.object({ sequence: count, reason: z.string() }).exactOptional(),
      head: z.string(),
    }),
  },
} as const satisfies Readonly<Record<OperationName, { input: z.ZodType; answer: z.ZodType }>>;

type DeepReadonly<T> = unknown extends T
  ? T
  : T extends string | number | boolean | null | undefined
    ? T
    : { readonly [K in keyof T]: DeepReadonly<T[K]> };

/** What is asked of an operation. */
export type Input<N extends keyof typeof protocol> = DeepReadonly<z.output<(typeof protocol)[N]["input"]>>;
/** What it answers; raw bytes of a secret answer come beside it. */
export type Answer<N extends keyof typeof protocol> = DeepReadonly<z.output<(typeof protocol)[N]["answer"]>>;

export type KeyDescription = Answer<"keys.describe">;
export type PrincipalDescription = Answer<"principals.create">;
export type UserDescription = Answer<"users.describe">;
export type AccessKeyDescription = Answer<"accessKeys.create">;
export type GroupDescription = Answer<"groups.create">;
export type Grant = Answer<"grants.create">;
export type RotationStatus = Answer<"rotation.status">;
export type Rotation = Answer<"rotation.list">["rotations"][number];
/** What a launcher says of its lease with each unwrap. */
export type LeaseStatement = NonNullable<Input<"unwrap">["lease"]>;
export type LeaseDescription = Answer<"nodes.leases">["leases"][number]["lease"];
export type NodeCounter = Answer<"counters.list">["counters"][number];
export type EnclaveReport = Input<"enclaves.report">;
export type ReportedEnclave = Answer<"enclaves.list">["enclaves"][number];
export type IntegrationDescription = Answer<"integrations.describe">;
export type DeviceState = Answer<"devices.list">["devices"][number];
export type LegacyEntry = Answer<"legacy.register">;
export type AuditRecord = Answer<"audit.read">["records"][number];
export type Checkpoint = Answer<"audit.checkpoint">;
export type AuditVerdict = Answer<"audit.verify">;
export type IssuedCertificates = Answer<"renew">;

/** Every failure is answered as this. */
export const failure = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    path: z
      .string()
      .exactOptional()
      .meta({ description: "the member of the request that is wrong, such as context.node" }),
  }),
  requestId: z.string(),
});
