/** What people call a key: its first alias, or the first digits of its id. */
export function keyName(key: { readonly keyId: string; readonly aliases: readonly string[] }): string {
  return key.aliases[0] ?? `${key.keyId.slice(0, 8)}…`;
}

/** The kind and name at the end of a principal's ARN: `node/bank-a-1`. */
export function principalName(arn: string): string {
  return arn.includes(":") ? arn.slice(arn.lastIndexOf(":") + 1) : arn;
}

/** The node's name when the ARN is a node's. */
export function nodeName(arn: string): string | undefined {
  return /:node\/([^/]+)$/.exec(arn)?.[1];
}
