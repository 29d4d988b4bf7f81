import { z } from "zod";
import { libraryVariable, maxLibraryVariableCharacters, maxLibraryVariables } from "../native/library-environment.ts";

/** What a device is called: in commands, in keys' records and in the audit chain. */
export const deviceNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

const name = z.string().regex(deviceNamePattern, "takes 1 to 63 letters, digits, dots, dashes and underscores");
const path = z
  .string()
  .min(1)
  .max(1024)
  .refine((text) => !text.includes("\0"), "holds a zero byte");
const library = path.refine((text) => text.startsWith("/"), "must be an absolute path");
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "takes 64 lower-case hex digits");
const credential = z.string().regex(/^[A-Za-z0-9._-]{1,128}$/, "takes the name of a systemd credential");

/**
 * Limits of the pool of sessions and of a call. Times are milliseconds: a caller of the native door waits 4 s for one server, so that
 * by default what the device says comes before.
 */
const pool = {
  sessions_min: z.int().min(1).max(64).default(1),
  sessions_max: z.int().min(1).max(64).default(4),
  acquire_timeout_ms: z.int().min(1).max(600_000).default(1000),
  call_timeout_ms: z.int().min(1).max(600_000).default(2500),
  queue: z.int().min(1).max(65_536).default(256),
};

/** For libraries that find their own configuration by it. What would run other code in the process is refused. */
const environment = z
  .record(
    z.string().regex(libraryVariable, "takes names such as VENDOR_CONFIG"),
    z.string().max(maxLibraryVariableCharacters),
  )
  .refine((all) => Object.keys(all).length <= maxLibraryVariables, `holds more than ${maxLibraryVariables} variables`)
  .default({});

/** The PIN's two sources; neither: the library asks for none. */
const pin = { pin_file: path.exactOptional(), pin_credential: credential.exactOptional() };

const indices = z.array(z.int().min(1).max(65_535)).max(64).default([]);

const sdf = z
  .strictObject({
    name,
    kind: z.literal("sdf"),
    library,
    library_sha256: sha256.exactOptional(),
    profile: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,31}$/)
      .default("gmt0018"),
    key_indices: indices,
    kek_indices: indices,
    ...pin,
    environment,
    ...pool,
  })
  .superRefine((entry, context) => {
    for (const field of ["key_indices", "kek_indices"] as const)
      if (new Set(entry[field]).size !== entry[field].length)
        context.addIssue({ code: "custom", path: [field], message: "names an index twice" });
  });

const pkcs11 = z.strictObject({
  name,
  kind: z.literal("pkcs11"),
  library,
  library_sha256: sha256.exactOptional(),
  token_label: z.string().min(1).max(32).exactOptional(),
  token_serial: z.string().min(1).max(16).exactOptional(),
  slot: z.int().min(0).max(0xffff_ffff).exactOptional(),
  wrap: z.enum(["auto", "aes-gcm", "aes-kw"]).exactOptional(),
  threads: z.boolean().exactOptional(),
  use_final_try: z.boolean().exactOptional(),
  ...pin,
  environment,
  ...pool,
});

const awsKms = z.strictObject({
  name,
  kind: z.literal("aws-kms"),
  region: z.string().max(63),
  access_key_id: z.string().max(128),
  secret_file: path.exactOptional(),
  secret_credential: credential.exactOptional(),
  master_key: z.string().max(512),
  endpoint: z.string().max(512).exactOptional(),
  ca_file: path.exactOptional(),
});

const set = z.strictObject({
  name,
  kind: z.literal("set").default("set"),
  members: z.array(name).min(2).max(8),
});

export const entrySchemas = { sdf, pkcs11, "aws-kms": awsKms, set } as const;

/** A GM/T 0018 card. */
export type SdfEntry = Readonly<z.output<typeof sdf>>;
/** A PKCS#11 token. */
export type Pkcs11Entry = Readonly<z.output<typeof pkcs11>>;
/** A key in a KMS, for opening a key manager that is still locked. */
export type AwsKmsEntry = Readonly<z.output<typeof awsKms>>;
/** Devices that hold the same keys: the first that answers is used. */
export type SetEntry = Readonly<z.output<typeof set>>;
export type DeviceEntry = SdfEntry | Pkcs11Entry | AwsKmsEntry | SetEntry;
export type NativeEntry = SdfEntry | Pkcs11Entry;
