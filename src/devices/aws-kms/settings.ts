import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { AwsKmsError } from "./errors.ts";

/** How a KMS is reached and which master key is meant: all of an integration but its secret. */
export interface AwsKmsSettings {
  /** Such as `eu-west-1`; part of every signature. */
  readonly region: string;
  /** Access key id. */
  readonly apiKey: string;
  /** Key id, key ARN, alias name or alias ARN. */
  readonly masterKey: string;
  /** `https://HOST[:PORT]`, or `http://` on loopback. Left out: AWS's own endpoint of the region. */
  readonly endpoint?: string;
  /** PEM of the certificate that a private endpoint chains to. Left out: the authorities that Node brings. */
  readonly caPem?: string;
}

/** Which master key is meant where none is named. `integration`: settings in the form that Kaleido's document has. */
export const defaultMasterKeys = { integration: "alias/kaleido", own: "alias/strongroom" } as const;

/** What a KMS calls a master key in its answers, whatever the request called it. */
const keyArnPattern = /^arn:aws[a-z-]{0,16}:kms:[a-z0-9-]{1,63}:\d{12}:key\/([A-Za-z0-9-]{1,128})$/;

export const maxCaPemCharacters = 8192;
/** Of a secret access key. AWS's have 40. */
const secretBytes = { least: 16, most: 128 } as const;

const forms = {
  region: [/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "lower-case letters, digits and dashes, such as eu-west-1"],
  apiKey: [/^[A-Za-z0-9_]{16,128}$/, "16 to 128 letters and digits"],
  masterKey: [
    /^(?:[A-Za-z0-9-]{1,128}|alias\/[A-Za-z0-9/_-]{1,250}|arn:aws[a-z-]{0,16}:kms:[a-z0-9-]{1,63}:\d{12}:(?:key\/[A-Za-z0-9-]{1,128}|alias\/[A-Za-z0-9/_-]{1,250}))$/,
    "a key id, a key ARN, alias/NAME or an alias ARN",
  ],
} as const;

/** What each setting is called where it was read from. */
export type SettingNames = Readonly<Record<keyof AwsKmsSettings, string>>;

const namesOfIntegration: SettingNames = {
  region: "region of an integration",
  apiKey: "apiKey of an integration",
  masterKey: "masterKey of an integration",
  endpoint: "endpoint of an integration",
  caPem: "the endpoint's CA of an integration",
};

/**
 * Checks settings and gives back those that are known, in their one form.
 *
 * @param names - What the message calls them.
 * @throws {AwsKmsError} `KMS_SETTINGS_INVALID`, naming the setting.
 */
export function checkSettings(settings: AwsKmsSettings, names: SettingNames = namesOfIntegration): AwsKmsSettings {
  for (const name of ["region", "apiKey", "masterKey"] as const) {
    const [pattern, says] = forms[name];
    if (typeof settings[name] !== "string" || !pattern.test(settings[name])) throw invalid(names[name], says);
  }
  const { region, apiKey, masterKey, endpoint, caPem } = settings;
  return {
    region,
    apiKey,
    masterKey,
    ...(endpoint === undefined ? {} : { endpoint: checkEndpoint(endpoint, names.endpoint) }),
    ...(caPem === undefined ? {} : { caPem: checkCaPem(caPem, names.caPem) }),
  };
}

/**
 * Whether `answered` is a key ARN, and that of the key that was asked for by id or ARN. What an alias points at is for the
 * KMS to say.
 */
export function isKeyAskedFor(answered: unknown, asked: string): answered is string {
  const id = typeof answered === "string" ? keyArnPattern.exec(answered)?.[1] : undefined;
  if (id === undefined) return false;
  if (asked.startsWith("arn:")) return asked.includes(":alias/") || asked === answered;
  return asked.startsWith("alias/") || asked === id;
}

/** A secret access key: 16 to 128 printable characters. @throws {AwsKmsError} `KMS_SETTINGS_INVALID`. */
export function checkSecret(secret: SecretBuffer): void {
  const { least, most } = secretBytes;
  const { byteLength } = secret;
  const printable = secret.expose((bytes) => bytes.every((byte) => byte > 0x20 && byte < 0x7f));
  if (byteLength < least || byteLength > most || !printable)
    throw invalid("the secret access key of an integration", `${least} to ${most} printable characters on one line`);
}

/** Where requests go. AWS's China regions have a domain of their own. */
export function endpointOf({ endpoint, region }: AwsKmsSettings): string {
  if (endpoint !== undefined) return endpoint;
  return `https://kms.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}

function checkEndpoint(text: string, name: string): string {
  // The parser drops line ends and blanks, and whoever writes the text to a file would not.
  const url = /^[\x21-\x7e]{1,512}$/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  const bare = url !== undefined && url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "";
  if (url === undefined || !bare || url.password !== "" || !/^https?:$/.test(url.protocol))
    throw invalid(name, "https://HOST or https://HOST:PORT, without a path");
  if (url.protocol === "http:" && !isLoopback(url.hostname))
    throw invalid(name, "https: plain http is for loopback addresses only");
  return url.origin;
}

function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function checkCaPem(pem: string, name: string): string {
  try {
    // TLS would trust each certificate of a bundle: one alone, so that what is checked and told is what is trusted.
    if (pem.length > maxCaPemCharacters || pem.split("-----BEGIN").length !== 2) throw new Error("not one certificate");
    new X509Certificate(pem);
    return pem;
  } catch {
    throw invalid(name, `one certificate in PEM, at most ${maxCaPemCharacters} characters`);
  }
}

function invalid(name: string, says: string): AwsKmsError {
  return new AwsKmsError("KMS_SETTINGS_INVALID", `${name} is not ${says}`);
}
