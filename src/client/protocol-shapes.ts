import { z } from "zod";

/** What requests and answers of the native door are made of. The operations are in ./protocol.ts. */

export const text = (most: number) => z.string().min(1).max(most);
/** A key id (UUID), `alias/NAME`, key ARN or alias ARN. */
export const key = text(512);
export const name = text(128);
export const time = z.string();
/** The handler decodes it and refuses what is not canonical: checking the alphabet here would be done twice. */
export const base64 = (mostBytes: number) =>
  z
    .string()
    .min(4)
    .max(Math.ceil(mostBytes / 3) * 4)
    .meta({ contentEncoding: "base64" });
export const count = z.int().min(0);

/** The same as `z.record` over bounded strings, at a quarter of its time: every wrap and unwrap brings one. */
export const context = z
  .unknown()
  .check(({ value, issues }) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      issues.push({ code: "invalid_type", expected: "record", input: value });
      return;
    }
    for (const [name, member] of Object.entries(value)) {
      const problem =
        name.length < 1 || name.length > 256
          ? "a context name has 1 to 256 characters"
          : typeof member !== "string" || member.length > 8192
            ? "a context value is a string of at most 8192 characters"
            : undefined;
      if (problem !== undefined) issues.push({ code: "custom", path: [name], message: problem, input: member });
    }
  })
  .meta({
    description: "names and values that a wrap is bound to; at most 64",
    type: "object",
    propertyNames: { type: "string", minLength: 1, maxLength: 256 },
    additionalProperties: { type: "string", maxLength: 8192 },
  }) as unknown as z.ZodType<Record<string, string>>;
export const suite = z.enum(["intl", "sm"]);
export const usage = z.enum(["encrypt", "sign", "mac"]);
export const spec = z.enum([
  "AES_256",
  "SM4",
  "RSA_2048",
  "RSA_3072",
  "RSA_4096",
  "ECC_NIST_P256",
  "ECC_NIST_P384",
  "ECC_NIST_P521",
  "ECC_SECG_P256K1",
  "SM2",
  "HMAC_224",
  "HMAC_256",
  "HMAC_384",
  "HMAC_512",
  "HMAC_SM3",
]);
export const identity = z.enum(["file", "tmpfs", "tpm"]);
export const principalKind = z.enum(["user", "node", "service"]);
export const role = z.enum(["administrator", "auditor", "operator", "key-user", "node", "fisco-door", "none"]);
export const door = z.enum(["native", "fisco", "aws", "console", "local"]);
export const legacyMode = z.enum(["standard", "sm"]);

export const keyInput = z.strictObject({ key });
export const nameInput = z.strictObject({ name });

export const keyDescription = z.object({
  keyId: z.string(),
  arn: z.string(),
  aliases: z.array(z.string()),
  description: z.string(),
  suite,
  usage,
  spec,
  origin: z.enum(["soft", "sdf", "pkcs11", "aws-kms", "external"]),
  device: z.string().nullable(),
  state: z.enum(["enabled", "disabled", "pending-import", "pending-deletion", "destroyed"]),
  currentVersion: count,
  versions: z.array(z.object({ version: count, createdAt: time })),
  createdAt: time,
  deletionAt: time.nullable(),
  materialId: z.string().nullable(),
  expiresAt: time.nullable(),
});

/** Names and values; their limits are AWS KMS's, which custody checks. */
export const tags = z.record(z.string().min(1).max(128), z.string().max(256));

export const rotationStatus = z.object({
  enabled: z.boolean(),
  periodDays: count,
  nextAt: time.nullable(),
});
export const rotation = z.object({
  version: count,
  materialId: z.string(),
  at: time,
  kind: z.enum(["created", "automatic", "on-demand", "imported"]),
});

export const wrappedKey = z.object({
  keyId: z.string(),
  keyVersion: count,
  wrapped: z.string().meta({ contentEncoding: "base64" }),
});
export const unwrapped = z.object({ keyId: z.string(), keyVersion: count });

export const principal = z.object({
  name: z.string(),
  arn: z.string(),
  kind: principalKind,
  role,
  state: z.enum(["enabled", "revoked"]),
  identity: identity.nullable(),
  publicKeys: z.array(z.string()),
  createdAt: time,
});

/** What a launcher says of its lease: it asks again after so many seconds, and stops its node when it is refused. */
export const launch = z.string().regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, "a UUID in small letters");
export const leaseStatement = z.strictObject({ seconds: z.int().min(1).max(86_400), launch });
export const lease = z.object({
  state: z.enum(["held", "lapsed", "refused", "released", "none"]),
  seconds: count.nullable(),
  launch: z.string().nullable(),
  keyId: z.string().nullable(),
  checkedAt: time,
  checkedSecondsAgo: count,
  alsoWithoutLeaseAt: time.nullable(),
  launchesHeld: count,
});

export const accessKeyState = z.enum(["enabled", "disabled"]);
export const accessKey = z.object({
  id: z.string(),
  user: z.string(),
  version: count,
  state: accessKeyState,
  createdAt: time,
});
export const user = z.object({ ...principal.shape, groups: z.array(z.string()), accessKeys: z.array(accessKey) });
export const group = z.object({ name: z.string(), arn: z.string(), policies: z.array(z.string()), createdAt: time });
export const groupNames = z.array(name).max(32);
export const policyNames = z.array(text(128)).max(32);

export const certificates = z.object({
  certificate: z.string().meta({ description: "PEM, for TLS client authentication" }),
  clientIssuer: z.string().meta({ description: "PEM of the certificate that issued it" }),
  serverIssuer: z.string().meta({ description: "PEM of the certificate that the key manager's servers chain to" }),
  notAfter: time,
});

/** What a grant can hold (AWS KMS, CreateGrant). */
export const grantOperation = z.enum([
  "CreateGrant",
  "Decrypt",
  "DeriveSharedSecret",
  "DescribeKey",
  "Encrypt",
  "GenerateDataKey",
  "GenerateDataKeyPair",
  "GenerateDataKeyPairWithoutPlaintext",
  "GenerateDataKeyWithoutPlaintext",
  "GenerateMac",
  "GetPublicKey",
  "ReEncryptFrom",
  "ReEncryptTo",
  "RetireGrant",
  "Sign",
  "Verify",
  "VerifyMac",
]);
export const grantConstraints = z.strictObject({
  encryptionContextEquals: context.exactOptional(),
  encryptionContextSubset: context.exactOptional(),
});
export const grant = z.object({
  id: z.string(),
  keyId: z.string(),
  grantee: z.string(),
  retiring: z.string().exactOptional(),
  operations: z.array(grantOperation),
  constraints: grantConstraints.exactOptional(),
  notAfter: time.exactOptional(),
  name: z.string().exactOptional(),
  parent: z.string().exactOptional(),
  createdAt: time,
});

export const integration = z.object({
  name: z.string(),
  region: z.string(),
  apiKey: z.string().meta({ description: "access key id" }),
  masterKey: z.string(),
  endpoint: z.string().nullable(),
  caPem: z.string().nullable(),
  createdAt: time,
});

export const legacyEntry = z.object({
  cipherDataKey: z.string(),
  mode: legacyMode,
  node: z.string().nullable(),
  origin: z.enum(["made", "registered"]),
  createdAt: time,
});

export const auditRecord = z.object({
  sequence: count,
  eventId: z.string(),
  at: time,
  door,
  principal: z.string(),
  accessKeyId: z.string().nullable(),
  peer: z.string(),
  userAgent: z.string().nullable(),
  action: z.string(),
  key: z.string().nullable(),
  context: z.record(z.string(), z.string()).nullable(),
  result: z.enum(["done", "refused", "failed"]),
  error: z.string().nullable(),
  requestId: z.string(),
  detail: z.record(z.string(), z.union([z.string(), z.number()])),
});

export const checkpointMembers = {
  account: text(64),
  epoch: count,
  sequence: count,
  head: text(128),
  stateVersion: count,
  at: text(64),
  signature: text(256),
  publicKey: text(256),
};

/** A card, token, upstream KMS or failover set of the key manager's devices.toml. */
export const deviceState = z.object({
  name: z.string(),
  kind: z.enum(["sdf", "pkcs11", "aws-kms", "set"]),
  library: z.string().nullable(),
  members: z.array(z.string()),
  state: z.enum(["ready", "degraded", "locked", "down"]),
  detail: z.string(),
  trust: z.enum(["trusted", "changed"]),
  pinned: z.boolean(),
  sessions: z.int().min(0),
  queue: z.int().min(0),
  breakerOpen: z.boolean(),
  uses: z.int().min(0),
  failures: z.record(z.string(), z.int().min(0)),
  processStarts: z.int().min(0),
  lastError: z.object({ kind: z.string(), code: z.string(), message: z.string() }).nullable(),
});
