import type { NativeDeviceOptions } from "../native/native-calls.ts";
import { poolSettings } from "../native/pool-settings.ts";
import { type Pkcs11Settings, pkcs11ConfigSchema } from "./config.ts";

/** What runs in the token's process: a source in a checkout, compiled in the package. */
const program = new URL(import.meta.url.endsWith(".ts") ? "./program.ts" : "./program.js", import.meta.url);

/** How a token is opened: all but what is the same for every token. */
export interface Pkcs11Options extends Omit<NativeDeviceOptions, "program" | "config"> {
  readonly settings: Pkcs11Settings;
}

/**
 * The options of the native device that runs a token; a {@link Pkcs11Device} is then made of it, or of a failover set.
 *
 *     const device = new Pkcs11Device(await NativeDevice.open(pkcs11NativeOptions({ settings, pin })));
 *
 * @throws {ZodError} For settings that are not valid; {RangeError} for the pool's.
 */
export function pkcs11NativeOptions({ settings, ...options }: Pkcs11Options): NativeDeviceOptions {
  const severalSessions = poolSettings(options.pool).maxSessions > 1;
  const config = pkcs11ConfigSchema.parse({ threads: severalSessions, ...settings });
  return { ...options, program, config };
}
