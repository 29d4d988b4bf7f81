import { existsSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import type { Command } from "commander";
import { KeyManagerClient } from "../client/client.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { CustodyService } from "../custody/service.ts";
import { identityFiles } from "../node/key-manager.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { tell } from "./output.ts";
import { type DataUnlockOptions, type HeldUnlock, readUnlock, withDataUnlock } from "./unlock-device.ts";
import { NoUnlockSecret } from "./unlock-secret.ts";

/** Which key manager an administrative command speaks to, and as whom. */
export interface ConnectionOptions extends DataUnlockOptions {
  /** Data folder on this machine: through its server's socket, or (no server running) opened by the command itself. */
  readonly data?: string;
  /** Another machine's key manager, over HTTPS. */
  readonly server?: readonly string[];
  /** Identity folder, as `node enroll --into` makes it. */
  readonly identity?: string;
}

/** Adds the options that name the key manager. */
export function withConnection(command: Command): Command {
  return withDataUnlock(command.option("--data <dir>", "data folder of a key manager on this machine"))
    .option("--server <url...>", "https://HOST:PORT of a key manager elsewhere (needs --identity)")
    .option("--identity <dir>", "identity folder, as node enroll --into makes it");
}

/**
 * Runs one administrative command against a key manager: over HTTPS with an identity, over the socket of the server that
 * runs on the data folder, or on the data folder itself when no server runs.
 *
 * @throws {CommandFailure} 2 when it isn't clear which key manager is meant.
 */
export async function withClient<T>(
  options: ConnectionOptions,
  use: (client: KeyManagerClient) => Promise<T>,
): Promise<T> {
  if (options.server !== undefined) {
    using client = overTls(options.server, options.identity);
    return await use(client);
  }
  if (options.data === undefined)
    throw new CommandFailure(
      exitCodes.usage,
      "no key manager was named",
      "use --data DIR, or --server URL with --identity DIR",
    );
  const { dataFiles } = await import("../custody/data-files.ts");
  const socket = join(options.data, dataFiles.socket);
  if (await answers(socket)) {
    using client = KeyManagerClient.overSocket(socket);
    return await use(client);
  }
  return await onFolder(options.data, options, use);
}

function overTls(servers: readonly string[], identity: string | undefined): KeyManagerClient {
  if (identity === undefined)
    throw new CommandFailure(exitCodes.usage, "--server needs --identity: the folder with your certificate and key");
  const read = (name: string) => {
    try {
      return readFileSync(join(identity, name));
    } catch (cause) {
      throw new CommandFailure(
        exitCodes.usage,
        `${join(identity, name)} cannot be read: ${(cause as NodeJS.ErrnoException).code}`,
        "an identity folder is made by strongroom node enroll --into DIR",
      );
    }
  };
  using privateKeyPem = SecretBuffer.take(read(identityFiles.privateKey));
  return KeyManagerClient.overTls({
    servers,
    caPem: read(identityFiles.ca).toString(),
    identity: { certificatePem: read(identityFiles.certificate).toString(), privateKeyPem },
  });
}

/** Opens the data folder in this process and speaks to it as any other client would. */
async function onFolder<T>(
  data: string,
  options: DataUnlockOptions,
  use: (client: KeyManagerClient) => Promise<T>,
): Promise<T> {
  const { startServer } = await import("../server/server.ts");
  const custody = await openFolder(data, options);
  try {
    const server = await startServer(custody, { dataDir: data, log: tell });
    try {
      using client = KeyManagerClient.overSocket(server.addresses.socket);
      return await use(client);
    } finally {
      await server.close();
    }
  } finally {
    await custody.close();
  }
}

/** The unlock secret is wiped, or the device closed, once the folder is open. */
async function openFolder(data: string, options: DataUnlockOptions): Promise<CustodyService> {
  const { openCustody } = await import("../custody/open.ts");
  // Before an unlock secret is asked for.
  if (!existsSync(data)) throw new CommandFailure(exitCodes.other, `there is no data folder ${data}`);
  await using held = await unlockOf(data, options);
  return await openCustody({ dataDir: data, unlock: held.unlock });
}

async function unlockOf(data: string, options: DataUnlockOptions): Promise<HeldUnlock> {
  try {
    return await readUnlock(data, options);
  } catch (cause) {
    if (!(cause instanceof NoUnlockSecret)) throw cause;
    // Who gave none took it for granted that a server runs.
    throw new CommandFailure(
      exitCodes.usage,
      `no key manager is running on ${data}, and without an unlock secret this command can't open it itself`,
      `start strongroom serve --data ${data}, or wait until it says that it listens; else ${cause.hint}`,
    );
  }
}

/** Whether a server listens on the socket. A socket left behind by a killed server refuses. */
function answers(socket: string): Promise<boolean> {
  if (!existsSync(socket)) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    const connection = createConnection(socket);
    connection.once("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      else reject(new CommandFailure(exitCodes.other, `the server's socket ${socket} cannot be used: ${error.code}`));
    });
  });
}
