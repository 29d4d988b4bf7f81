/**
 * A grant token as AWS has it lets a new grant be used before every server knows of it. Here a grant is in force when
 * CreateGrant has answered: the token says which grant it is, for RetireGrant, and gives no right to anyone.
 */
const prefix = "strongroom-grant:";

export function grantTokenOf(grantId: string): string {
  return Buffer.from(`${prefix}${grantId}`).toString("base64");
}

/** The grant that a token names; undefined for what is no token of ours. */
export function grantIdOf(token: string): string | undefined {
  const text = Buffer.from(token, "base64").toString();
  return text.startsWith(prefix) && grantTokenOf(text.slice(prefix.length)) === token
    ? text.slice(prefix.length)
    : undefined;
}
