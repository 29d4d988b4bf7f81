import { accountOfRootArn, isAccountId, splitArn } from "./arn.ts";
import { malformed, quoted, unsupported } from "./errors.ts";
import { asObject, asTexts } from "./json-shape.ts";
import type { RequestPrincipal } from "./request.ts";

const maxPrincipalLength = 2048;

/** The principals that a Principal or NotPrincipal element names. */
export interface PrincipalSet {
  /** `"*"`: every authenticated principal. */
  readonly everyone: boolean;
  /** ARNs of single principals. */
  readonly arns: ReadonlySet<string>;
  /** Accounts named as a whole: by `arn:aws:iam::ACCOUNT:root` or by their twelve digits. */
  readonly accounts: ReadonlySet<string>;
}

/**
 * Reads a Principal element: `"*"`, or `{"AWS": …}` with `"*"`, account ids and ARNs. Wildcards inside an ARN are
 * refused, as by AWS; so are Service, Federated and CanonicalUser principals, which do not exist here.
 *
 * @throws {PolicyError} `POLICY_MALFORMED` or `POLICY_UNSUPPORTED`.
 */
export function parsePrincipals(element: unknown, path: string): PrincipalSet {
  if (element === "*") return { everyone: true, arns: new Set(), accounts: new Set() };
  if (typeof element === "string") throw malformed(path, `a principal stands in {"AWS": …}, or is "*"`);
  const members = asObject(element, path);
  const names: [string, string][] = [];
  for (const [type, value] of members) {
    const typePath = `${path}[${quoted(type)}]`;
    if (type !== "AWS") throw unsupported(typePath, `principals of type ${quoted(type)} do not exist here, only "AWS"`);
    asTexts(value, typePath, maxPrincipalLength).forEach((name, index) => {
      names.push([name, Array.isArray(value) ? `${typePath}[${index}]` : typePath]);
    });
  }
  if (names.length === 0) throw malformed(path, "no principal is named");
  return collect(names);
}

function collect(names: readonly (readonly [name: string, path: string])[]): PrincipalSet {
  const arns = new Set<string>();
  const accounts = new Set<string>();
  let everyone = false;
  for (const [name, path] of names) {
    const account = isAccountId(name) ? name : accountOfRootArn(name);
    if (name === "*") everyone = true;
    else if (account !== undefined) accounts.add(account);
    else if (isPrincipalArn(name)) arns.add(name);
    else
      throw malformed(path, `${quoted(name)} is not "*", an account id or the ARN of one principal without wildcards`);
  }
  return { everyone, arns, accounts };
}

/** True for the ARN of one principal: six parts, an account, a resource, no wildcard. */
export function isPrincipalArn(text: string): boolean {
  const parts = splitArn(text);
  if (parts === undefined || text.length > maxPrincipalLength || !/^[\x21-\x7e]+$/.test(text) || /[*?]/.test(text))
    return false;
  const [, partition, service, , account, resource] = parts;
  return partition !== "" && service !== "" && isAccountId(account) && resource !== "";
}

/** Named as itself: by `"*"`, by its ARN, or, for an account's root, by its account. */
export function namesPrincipal(set: PrincipalSet, principal: RequestPrincipal): boolean {
  return set.everyone || set.arns.has(principal.arn) || (set.accounts.size > 0 && isNamedRoot(set, principal));
}

function isNamedRoot(set: PrincipalSet, principal: RequestPrincipal): boolean {
  const account = accountOfRootArn(principal.arn);
  return account !== undefined && set.accounts.has(account);
}
