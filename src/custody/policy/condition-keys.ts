import { nameOfPrincipal } from "./arn.ts";
import type { AuthorizationRequest, KeyResource, Tags } from "./request.ts";

/** A value that a request offers to a condition. */
export type Fact = string | number | boolean;
/** What operators may be used on a key. `date` facts are whole Unix seconds. */
export type FactFamily = "string" | "arn" | "bool" | "number" | "date" | "ip";

export interface ConditionKey {
  readonly families: readonly FactFamily[];
  /** A multi-valued key needs `ForAllValues:` or `ForAnyValue:`. */
  readonly multiValued: boolean;
  /** The values in this request; none when the key is absent from it. */
  readonly read: (request: AuthorizationRequest) => readonly Fact[];
}

/**
 * Finds a condition key by its name in a policy; undefined for a key that is not evaluated here.
 *
 * Names are not case-sensitive, the part after `kms:EncryptionContext:` or `aws:RequestTag/` included (AWS KMS Developer
 * Guide, "Case sensitivity of the encryption context condition"). Only ASCII letters fold: no other letter may
 * come to equal one. Where a request holds several names that differ by case alone, all their values are offered.
 */
export function findConditionKey(name: string): ConditionKey | undefined {
  const folded = foldAscii(name);
  for (const [prefix, read] of namedFacts) {
    if (!folded.startsWith(prefix)) continue;
    const wanted = folded.slice(prefix.length);
    return wanted === ""
      ? undefined
      : { families: ["string"], multiValued: false, read: (request) => valuesNamed(read(request), wanted) };
  }
  return plainKeys.get(folded);
}

/** ASCII capitals to small letters; everything else stays. */
export function foldAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

const namedFacts: readonly (readonly [string, (request: AuthorizationRequest) => Tags | undefined])[] = [
  ["kms:encryptioncontext:", (request) => request.context],
  ["aws:requesttag/", (request) => request.requestTags],
  ["aws:resourcetag/", (request) => request.resource?.tags],
  ["aws:principaltag/", (request) => request.principal.tags],
];

function valuesNamed(values: Tags | undefined, wanted: string): readonly Fact[] {
  if (values === undefined) return none;
  const found: Fact[] = [];
  for (const [name, value] of Object.entries(values)) {
    if (name.length === wanted.length && foldAscii(name) === wanted) found.push(value);
  }
  return found;
}

const none: readonly Fact[] = [];

type Read<T> = (request: AuthorizationRequest) => T | undefined;

function single(families: readonly FactFamily[], read: Read<Fact>): ConditionKey {
  return {
    families,
    multiValued: false,
    read: (request) => {
      const fact = read(request);
      return fact === undefined ? none : [fact];
    },
  };
}

function multiple(read: Read<readonly string[]>): ConditionKey {
  return { families: ["string"], multiValued: true, read: (request) => read(request) ?? none };
}

function keyOf(request: AuthorizationRequest): KeyResource | undefined {
  return request.resource?.kind === "key" ? request.resource : undefined;
}

function namesOf(values: Tags | undefined): readonly string[] | undefined {
  return values === undefined ? undefined : Object.keys(values);
}

const unixSeconds: Read<number> = (request) => Math.floor(request.now.getTime() / 1000);

/** Of a `kms:CreateGrant`: the name in the grantee's ARN. */
const granteeName: Read<string> = (request) =>
  request.grant === undefined ? undefined : nameOfPrincipal(request.grant.grantee);

const userName: Read<string> = (request) => nameOfPrincipal(request.principal.arn);

const plainKeys: ReadonlyMap<string, ConditionKey> = new Map(
  Object.entries({
    "kms:EncryptionContextKeys": multiple((request) => namesOf(request.context)),
    "kms:CallerAccount": single(["string"], (request) => request.principal.account),
    "kms:GrantOperations": multiple((request) => request.grant?.operations),
    "kms:GranteePrincipal": single(["string", "arn"], (request) => request.grant?.grantee),
    "kms:RetiringPrincipal": single(["string", "arn"], (request) => request.grant?.retiring),
    "kms:GrantConstraintType": single(["string"], (request) => request.grant?.constraintType),
    "kms:GrantIsForAWSResource": single(["bool"], (request) =>
      request.grant === undefined ? undefined : request.grant.isForAwsResource === true,
    ),
    "kms:RequestAlias": single(["string"], (request) => request.requestAlias),
    "kms:ResourceAliases": multiple((request) => keyOf(request)?.aliases),
    "kms:ViaService": single(["string"], (request) => request.viaService),
    "kms:KeySpec": single(["string"], (request) => (keyOf(request) ?? request.newKey)?.spec),
    "kms:KeyUsage": single(["string"], (request) => (keyOf(request) ?? request.newKey)?.usage),
    "kms:KeyOrigin": single(["string"], (request) => (keyOf(request) ?? request.newKey)?.origin),
    "kms:ReEncryptOnSameKey": single(["bool"], (request) => request.reEncryptOnSameKey),
    "kms:ScheduleKeyDeletionPendingWindowInDays": single(["number"], (request) => request.pendingWindowDays),
    "kms:BypassPolicyLockoutSafetyCheck": single(["bool"], (request) => request.bypassLockoutCheck),
    "aws:SourceIp": single(["ip"], (request) => request.sourceIp),
    "aws:CurrentTime": single(["date"], unixSeconds),
    "aws:EpochTime": single(["date", "number"], unixSeconds),
    "aws:PrincipalArn": single(["string", "arn"], (request) => request.principal.arn),
    "aws:PrincipalAccount": single(["string"], (request) => request.principal.account),
    "aws:PrincipalType": single(["string"], (request) => request.principal.type),
    "aws:username": single(["string"], userName),
    "aws:SecureTransport": single(["bool"], (request) => request.secureTransport),
    "aws:TagKeys": multiple((request) => request.tagKeys ?? namesOf(request.requestTags)),
  }).map(([name, key]) => [foldAscii(name), key]),
);

/** What may stand as `${…}` in a condition's value, by folded name. */
export const policyVariables: ReadonlyMap<string, Read<string>> = new Map([
  ["aws:username", userName],
  ["aws:principalarn", (request: AuthorizationRequest) => request.principal.arn],
  ["aws:principalaccount", (request: AuthorizationRequest) => request.principal.account],
  ["aws:principaltype", (request: AuthorizationRequest) => request.principal.type],
  ["strongroom:granteename", (request: AuthorizationRequest) => granteeName(request)],
]);
