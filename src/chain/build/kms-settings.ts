import { AwsKmsError } from "../../devices/aws-kms/errors.ts";
import { type AwsKmsSettings, checkSettings, type SettingNames } from "../../devices/aws-kms/settings.ts";
import type { ConfigSections } from "./config-section.ts";
import { ChainBuildError } from "./errors.ts";

/** How a KMS of AWS's protocol is reached, all but which key: AWS itself, another Strongroom, or what speaks the same. */
export interface KmsAccess {
  readonly region: string;
  /** `https://HOST[:PORT]`, or `http://` on loopback; none: AWS's own endpoint of the region. */
  readonly url?: string;
  readonly accessKeyId: string;
  /** File with the secret access key, private. */
  readonly secretFile: string;
  /** PEM of the one certificate that the endpoint chains to; none: the authorities that Node brings. */
  readonly caFile?: string;
}

/** `[security]` of a node whose signing key is in a KMS. Paths are absolute. */
export interface KmsSettings extends KmsAccess {
  /** Key id, key ARN, alias name or alias ARN. */
  readonly key: string;
}

/** The value of `kms_type` for a key that signs inside a KMS. FISCO BCOS's CLOUDKMS is another thing: it decrypts node.pem. */
export const kmsType = "AWS";

const entries = ["kms_url", "kms_region", "kms_key", "kms_access_key_id", "kms_secret_file", "kms_ca_file"] as const;

/** Of `[security]`, for the reader's list of known keys. */
export const kmsEntries: readonly string[] = ["kms_type", ...entries];

const namesInConfig: SettingNames = {
  region: "[security] kms_region",
  apiKey: "[security] kms_access_key_id",
  masterKey: "[security] kms_key",
  endpoint: "[security] kms_url",
  caPem: "[security] kms_ca_file",
};

/**
 * Of parsed entries. Neither the secret nor the certificate is read.
 *
 * @param at - A path of config.ini as an absolute one.
 * @throws {ChainBuildError} `CONFIG_INVALID`.
 */
export function kmsSettings(sections: ConfigSections, name: string, at: (path: string) => string): KmsSettings {
  if (sections.flag("security.enable_hsm", false))
    throw sections.refuse("security.enable_hsm", `is true, but kms_type=${kmsType}: the key is in one place`);
  for (const entry of ["hsm_lib_path", "hsm_profile", "key_index", "key_id", "password_file"])
    if (sections.text(`security.${entry}`) !== undefined)
      throw sections.refuse(`security.${entry}`, `is of a cipher machine, but kms_type=${kmsType}`);
  const url = sections.text("security.kms_url");
  const caFile = sections.text("security.kms_ca_file");
  const access = {
    region: sections.required("security.kms_region"),
    accessKeyId: sections.required("security.kms_access_key_id"),
    secretFile: at(sections.required("security.kms_secret_file")),
    ...(url === undefined ? {} : { url }),
    ...(caFile === undefined ? {} : { caFile: at(caFile) }),
  };
  const key = sections.required("security.kms_key");
  try {
    checkSettings(awsSettings(access, key), namesInConfig);
  } catch (cause) {
    if (!(cause instanceof AwsKmsError)) throw cause;
    throw new ChainBuildError("CONFIG_INVALID", `${name}: ${cause.message}`, { cause });
  }
  return { ...access, key };
}

/** Refuses entries of a KMS where none is named: half of a setting must not look like all of it. */
export function refuseStrayKmsSettings(sections: ConfigSections): void {
  for (const entry of entries)
    if (sections.text(`security.${entry}`) !== undefined)
      throw sections.refuse(`security.${entry}`, `is there, but kms_type is not ${kmsType}`);
}

/** In the words of the client. */
export function awsSettings({ region, accessKeyId, url }: KmsAccess, key: string, caPem?: string): AwsKmsSettings {
  return {
    region,
    apiKey: accessKeyId,
    masterKey: key,
    ...(url === undefined ? {} : { endpoint: url }),
    ...(caPem === undefined ? {} : { caPem }),
  };
}
