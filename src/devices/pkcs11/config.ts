import { isAbsolute } from "node:path";
import { z } from "zod";

/**
 * How a PKCS#11 token is reached. No secrets: the PIN comes by itself.
 *
 * A token is named by what stays: its label, its serial number, or both. A slot's number may change with every start.
 */
export const pkcs11ConfigSchema = z.strictObject({
  /** Absolute path of the vendor's module, a shared library. */
  library: z.string().max(4096).refine(isAbsolute, "must be an absolute path"),
  /** SHA-256 that the module must have when it is loaded. */
  librarySha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  tokenLabel: z.string().min(1).max(32).optional(),
  tokenSerial: z.string().min(1).max(16).optional(),
  /** The slot's number in the module, where tokens have the same label and serial number. */
  slot: z.int().min(0).optional(),
  /**
   * What wraps box secrets. `auto`: AES-GCM where the token's self-test proves it, else AES key wrap.
   *
   * @defaultValue `auto`
   */
  wrap: z.enum(["auto", "aes-gcm", "aes-kw"]).default("auto"),
  /**
   * Whether calls run in threads of the device's process, so that several sessions work at once. False is the faster for one
   * session, or a module that works by itself one call after the other.
   *
   * @defaultValue true for more than one session
   */
  threads: z.boolean().default(true),
  /**
   * Whether to log in when the token says that one more wrong PIN locks it.
   *
   * @defaultValue false
   */
  useFinalTry: z.boolean().default(false),
});

/** As written in a configuration; settings that have a default may be left out. */
export type Pkcs11Settings = z.input<typeof pkcs11ConfigSchema>;
export type Pkcs11Config = z.output<typeof pkcs11ConfigSchema>;
