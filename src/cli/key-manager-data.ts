import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { encodeHexBytes } from "../client/fisco-json-rpc.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { initCustody, openCustody } from "../custody/open.ts";
import type { Caller, CustodyService } from "../custody/service.ts";
import { replaceFileDurably } from "../files/durable-file.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { readSecretFile } from "./unlock-secret.ts";

/** What lies in the folder of `key-manager --data`. `custody` is an ordinary data folder that `unlock.key` opens. */
export const keyManagerFiles = { unlock: "unlock.key", custody: "custody" } as const;

/** The service that an operator's calls over the FISCO door are made as. */
export const fiscoOperatorPrincipal = "fisco-operator";

/** `$XDG_STATE_HOME/strongroom/NAME`, by default under ~/.local/state. */
export function stateFolder(name: string): string {
  const home = process.env.XDG_STATE_HOME;
  return join(home?.startsWith("/") ? home : join(homedir(), ".local/state"), "strongroom", name);
}

/**
 * Opens the folder's custody, making it at the first use: a random unlock key in a file beside it (mode 0600) and the
 * service that an operator's calls are made as. The unlock key protects the registry and the audit chain from whoever can write the
 * store but not read the key file; a super key is never stored.
 *
 * @throws {CustodyError} `STORE_LOCKED`, `STORE_UNUSABLE`, `STATE_TAMPERED` and the like.
 */
export async function openKeyManagerData(folder: string): Promise<CustodyService> {
  const dataDir = join(folder, keyManagerFiles.custody);
  const unlockFile = join(folder, keyManagerFiles.unlock);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (!existsSync(unlockFile)) {
      if (existsSync(dataDir))
        throw new CommandFailure(exitCodes.other, `${unlockFile} is missing: without it ${dataDir} can't be opened`);
      using key = SecretBuffer.random(32);
      const text = key.expose(encodeHexBytes);
      replaceFileDurably(unlockFile, text, 0o600);
      text.fill(0);
    }
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new CommandFailure(exitCodes.other, `the data folder ${folder} cannot be made or written (${code})`);
  }
  using unlock = readSecretFile(unlockFile);
  if (!existsSync(dataDir)) await makeCustody(dataDir, unlock);
  return await openCustody({ dataDir, unlock });
}

/** Made aside and moved into place, so that a kill in between leaves nothing that is half a key manager. */
async function makeCustody(dataDir: string, unlock: SecretBuffer): Promise<void> {
  const aside = `${dataDir}.new`;
  rmSync(aside, { recursive: true, force: true });
  await initCustody({ dataDir: aside, unlock, slotKind: "key-file" });
  const custody = await openCustody({ dataDir: aside, unlock });
  try {
    const caller = localCaller(custody);
    await custody.principals.create(caller, { name: fiscoOperatorPrincipal, kind: "service", role: "operator" });
  } finally {
    await custody.close();
  }
  renameSync(aside, dataDir);
}

/** The data folder's own administrator, at this process. */
export function localCaller(custody: CustodyService): Caller {
  const requestId = crypto.randomUUID();
  return { principal: custody.identity.localAdministrator, door: "local", peer: `pid=${process.pid}`, requestId };
}
