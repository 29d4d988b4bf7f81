/** The six parts of an Amazon Resource Name; the resource may hold further colons. */
export type ArnParts = readonly [
  arn: string,
  partition: string,
  service: string,
  region: string,
  account: string,
  resource: string,
];

/** Splits at the first five colons; undefined when there are fewer or the text does not begin with `arn:`. */
export function splitArn(text: string): ArnParts | undefined {
  if (!text.startsWith("arn:")) return undefined;
  const parts = text.split(":");
  if (parts.length < 6) return undefined;
  const [arn = "", partition = "", service = "", region = "", account = "", ...resource] = parts;
  return [arn, partition, service, region, account, resource.join(":")];
}

export function isAccountId(text: string): boolean {
  return /^[0-9]{12}$/.test(text);
}

/** The account of an `arn:…:iam::ACCOUNT:root`, the ARN that stands for an account as a whole; else undefined. */
export function accountOfRootArn(arn: string): string | undefined {
  if (!arn.endsWith(":root")) return undefined;
  const parts = splitArn(arn);
  if (parts === undefined) return undefined;
  const [, , service, region, account, resource] = parts;
  return service === "iam" && region === "" && resource === "root" && isAccountId(account) ? account : undefined;
}

/** Name of a principal: what stands after the last `/` of its ARN. An account's root has none. */
export function nameOfPrincipal(arn: string): string | undefined {
  const slash = arn.lastIndexOf("/");
  return slash < 0 || slash === arn.length - 1 ? undefined : arn.slice(slash + 1);
}
