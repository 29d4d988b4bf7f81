import { resolve } from "node:path";
import type { Command } from "commander";
import type { Member } from "../../enclave/operator/member.ts";
import type { KeyManagerSettings } from "../../enclave/tee/key-manager/settings.ts";
import { CommandFailure, exitCodes } from "../failure.ts";

/** Which key manager's word an enclave needs to open. */
export interface KeyManagerOptions {
  readonly keyManager?: readonly string[];
  readonly identity?: string;
  readonly masterKey?: string;
}

export function withKeyManager(command: Command): Command {
  return command
    .option("--key-manager <url...>", "https://HOST:PORT without whose word the enclave does not open")
    .option("--identity <dir>", "the host's identity there, as node enroll --into makes it")
    .option("--master-key <key>", "the master key there that wraps enclaves' keys: id, alias/NAME or ARN");
}

/** Names the key manager of the enclave that is to be created. @throws CommandFailure named in part, or nowhere to be used */
export async function chooseKeyManager(
  { keyManagers, mspId }: Member,
  options: KeyManagerOptions & { readonly enclave: string },
): Promise<void> {
  const given = await keyManagerSettings(options);
  if (keyManagers === undefined && given !== undefined)
    throw new CommandFailure(exitCodes.usage, `the host of the enclaves of ${mspId} is not named here`);
  keyManagers?.choose(options.enclave, given);
}

/** Undefined where none is named. @throws CommandFailure named in part, or the folder holds no identity; EnclaveError SETTINGS_INVALID */
export async function keyManagerSettings(options: KeyManagerOptions): Promise<KeyManagerSettings | undefined> {
  const { keyManager: servers, identity, masterKey } = options;
  if (servers === undefined && identity === undefined && masterKey === undefined) return undefined;
  if (servers === undefined || identity === undefined || masterKey === undefined)
    throw new CommandFailure(
      exitCodes.usage,
      "--key-manager, --identity and --master-key go together",
      "make an identity with: strongroom node enroll --into DIR",
    );
  const { readKeyManagerSettings } = await import("../../enclave/tee/key-manager/settings.ts");
  const settings = readKeyManagerSettings({ servers, identity: resolve(identity), masterKey });
  // Before anything is made by it: nobody is reached yet.
  const { connectAs } = await import("../../client/identity-folder.ts");
  const refusal: Parameters<typeof connectAs>[2] = (message, { hint }) =>
    new CommandFailure(exitCodes.usage, message, hint);
  connectAs(settings.identity, settings.servers, refusal)[Symbol.dispose]();
  return settings;
}
