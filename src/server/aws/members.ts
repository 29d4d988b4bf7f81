/**
 * The shapes that many operations share, with the limits of AWS's service model where the service itself is not stricter
 * (API version 2014-11-01).
 */
export const keyId = { kind: "string", min: 1, max: 2048 } as const;
/** Accepted and not used: a grant takes effect at once, here. Never shown nor recorded. */
export const grantTokens = {
  kind: "list",
  of: { kind: "string", min: 1, max: 8192, sensitive: true },
  min: 0,
  max: 10,
} as const;
export const grantToken = { kind: "string", min: 1, max: 8192, sensitive: true } as const;
export const grantId = { kind: "string", min: 1, max: 128 } as const;
export const principalId = { kind: "string", min: 1, max: 256, pattern: /^[\w+=,.@:/-]+$/ } as const;
export const encryptionContext = { kind: "map" } as const;
export const plaintext = { kind: "blob", min: 1, max: 4096, secret: true } as const;
export const message = { kind: "blob", min: 1, max: 4096 } as const;
export const ciphertext = { kind: "blob", min: 1, max: 6144 } as const;
export const numberOfBytes = { kind: "integer", min: 1, max: 1024 } as const;
export const flag = { kind: "boolean" } as const;
export const limit = { kind: "integer", min: 1, max: 1000 } as const;
export const marker = { kind: "string", min: 1, max: 1024, pattern: /^[\u0020-\u00FF]*$/ } as const;
export const aliasName = { kind: "string", min: 1, max: 256, pattern: /^[a-zA-Z0-9:/_-]+$/ } as const;
export const description = { kind: "string", min: 0, max: 8192 } as const;
export const policyName = { kind: "string", min: 1, max: 128, pattern: /^[\w]+$/ } as const;
/** The service's own limit: its model says 131072. */
export const policy = {
  kind: "string",
  min: 1,
  max: 32_768,
  pattern: /^[\t\n\r\u0020-\u00FF]+$/,
} as const;

export const tag = {
  kind: "structure",
  members: {
    TagKey: { shape: { kind: "string", min: 1, max: 128 }, required: true },
    TagValue: { shape: { kind: "string", min: 0, max: 256 }, required: true },
  },
} as const;
export const tagList = { kind: "list", of: tag } as const;
export const tagKeyList = { kind: "list", of: { kind: "string", min: 1, max: 128 } } as const;
