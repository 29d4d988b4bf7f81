import { aliasArn, keyArn } from "../../custody/arn.ts";
import type { CustodyIdentity } from "../../custody/service.ts";
import { AwsError } from "./errors.ts";

/** An id as KMS makes them; multi-Region keys have `mrk-` and 32 digits. Lower case: ids are compared as they are. */
const keyIdPattern = /^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;
const aliasPattern = /^alias\/[a-zA-Z0-9/_-]{1,250}$/;
const arnPattern = /^arn:aws:kms:([a-z0-9-]+):([0-9]{12}):(.+)$/s;

/**
 * The key that a request names, by what its operation takes: an id or key ARN, or an alias name or ARN too.
 *
 * @returns What custody is asked for.
 * @throws {AwsError} `NotFoundException` for anything else, and for an ARN of another region.
 */
export function keyReference(identity: CustodyIdentity, name: string, takes: "key" | "key-or-alias"): string {
  const arn = arnPattern.exec(name);
  if (arn !== null) {
    const [, region = "", , resource = ""] = arn;
    if (region !== identity.region) throw new AwsError("NotFoundException", `Invalid arn ${region}`);
    const isKey = resource.startsWith("key/") && keyIdPattern.test(resource.slice("key/".length));
    if (isKey || (takes === "key-or-alias" && aliasPattern.test(resource))) return name;
  } else if (keyIdPattern.test(name) || (takes === "key-or-alias" && aliasPattern.test(name))) return name;
  throw new AwsError("NotFoundException", `Invalid keyId '${name}'`);
}

/** AWS's answer for a well-formed name of a key or alias that is not there. */
export function notFound(identity: CustodyIdentity, name: string, cause?: unknown): AwsError {
  const resource = arnPattern.exec(name)?.[3] ?? name;
  const isAlias = resource.startsWith("alias/");
  const arn = name.startsWith("arn:") ? name : isAlias ? aliasArn(identity, name) : keyArn(identity, name);
  const text = isAlias ? `Alias ${arn} is not found.` : `Key '${arn}' does not exist`;
  return new AwsError("NotFoundException", text, { cause });
}

/**
 * The name of an alias that is to be made, moved or deleted.
 *
 * @throws {AwsError} `ValidationException`, `NotAuthorizedException` for those that AWS keeps to itself.
 */
export function aliasNameOf(name: string): string {
  if (!name.startsWith("alias/"))
    throw new AwsError(
      "ValidationException",
      'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
    );
  if (name.startsWith("alias/aws/") || name === "alias/aws") throw new AwsError("NotAuthorizedException");
  if (!aliasPattern.test(name))
    throw new AwsError("ValidationException", `${name} contains invalid characters for an alias`);
  return name;
}
