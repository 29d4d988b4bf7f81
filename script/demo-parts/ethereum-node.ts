/**
 * A real Ethereum node (EthereumJS) on a private proof-of-authority chain, listening on 127.0.0.1 only.
 *
 *   node ethereum-node.ts --datadir D --genesis F --port P --rpc-port Q
 *     (--node-key-fd N | --node-key FILE) (--account-key-fd N | --account-key FILE)
 *     [--level-key-fd N | --level-key FILE] [--suite intl|sm] [--miner ADDRESS] [--bootnode ENODE] [--verbose]
 *
 * Node and account keys are 64 hexadecimal digits; the level key is 32 raw bytes, and with it all three databases are
 * encrypted. Without it they are plain LevelDB. `--miner ADDRESS` makes the node seal blocks; ADDRESS must be the
 * account key's own.
 *
 * Prints one line of JSON on stdout when it is ready: `{"enode":…,"rpcPort":…,"height":…,"encrypted":…}`; progress goes
 * to stderr. SIGTERM and SIGINT close the stores and exit 0. Exit codes: 1 failure, 2 usage, 5 a key that does not
 * open the stores.
 */
import { once } from "node:events";
import { parseArgs } from "node:util";
import type { RunningClient } from "./ethereum-client.ts";
import { type KeySource, readHexKey, readRawKey } from "./handed-key.ts";
import { openNodeStores, StoreKeyRefused } from "./node-stores.ts";

const exitCodes = { failure: 1, usage: 2, integrity: 5 } as const;

class UsageError extends Error {}

interface Settings {
  readonly dataFolder: string;
  readonly genesisPath: string;
  readonly port: number;
  readonly rpcPort: number;
  readonly nodeKey: KeySource;
  readonly accountKey: KeySource;
  readonly levelKey: KeySource | undefined;
  readonly suite: "intl" | "sm";
  readonly miner: string | undefined;
  readonly bootnode: string | undefined;
  readonly verbose: boolean;
}

function readSettings(): Settings {
  const text = { type: "string" } as const;
  const values = parsed(() =>
    parseArgs({
      options: {
        datadir: text,
        genesis: text,
        port: text,
        "rpc-port": text,
        "node-key": text,
        "node-key-fd": text,
        "account-key": text,
        "account-key-fd": text,
        "level-key": text,
        "level-key-fd": text,
        suite: text,
        miner: text,
        bootnode: text,
        verbose: { type: "boolean" },
      },
    }),
  ).values;
  const { suite = "intl", miner, bootnode } = values;
  if (suite !== "intl" && suite !== "sm") throw new UsageError(`--suite is intl or sm, got ${suite}`);
  return {
    dataFolder: required("--datadir", values.datadir),
    genesisPath: required("--genesis", values.genesis),
    port: numberIn("--port", required("--port", values.port), 1, 65_535),
    rpcPort: numberIn("--rpc-port", required("--rpc-port", values["rpc-port"]), 1, 65_535),
    nodeKey: required("--node-key", keySource("--node-key", values["node-key"], values["node-key-fd"])),
    accountKey: required("--account-key", keySource("--account-key", values["account-key"], values["account-key-fd"])),
    levelKey: keySource("--level-key", values["level-key"], values["level-key-fd"]),
    suite,
    miner,
    bootnode,
    verbose: values.verbose ?? false,
  };
}

function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : "bad arguments");
  }
}

function required<T>(option: string, value: T | undefined): T {
  if (value === undefined) throw new UsageError(`${option} is missing`);
  return value;
}

function numberIn(option: string, value: string, least: number, most: number): number {
  const number = /^[0-9]{1,5}$/.test(value) ? Number(value) : -1;
  if (number < least || number > most)
    throw new UsageError(`${option} is a number from ${least} to ${most}, got ${value}`);
  return number;
}

function keySource(option: string, path: string | undefined, fd: string | undefined): KeySource | undefined {
  if (path !== undefined && fd !== undefined) throw new UsageError(`give ${option} or ${option}-fd, not both`);
  if (fd !== undefined) return { fd: numberIn(`${option}-fd`, fd, 0, 1023) };
  return path === undefined ? undefined : { path };
}

function progress(message: string): void {
  process.stderr.write(`ethereum-node: ${message}\n`);
}

/** Keys are read first and wiped last; nothing is opened before all of them have the right form. */
async function main(): Promise<void> {
  const settings = readSettings();
  const asked = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => asked.abort());

  const keys: Buffer[] = [];
  try {
    const nodeKey = readHexKey(settings.nodeKey, "node key");
    keys.push(nodeKey);
    const accountKey = readHexKey(settings.accountKey, "account key");
    keys.push(accountKey);
    const levelKey = settings.levelKey === undefined ? undefined : readRawKey(settings.levelKey, "level key");
    if (levelKey !== undefined) keys.push(levelKey);

    // Imported after the keys were read: the client takes seconds to load, and a key handed over should not lie waiting.
    const { addressOf } = await import("./transaction.ts");
    if (settings.miner !== undefined && settings.miner.toLowerCase() !== addressOf(accountKey))
      throw new UsageError(`--miner ${settings.miner} is not the account key's address, ${addressOf(accountKey)}`);
    const { startClient } = await import("./ethereum-client.ts");
    const stores = await openNodeStores(settings.dataFolder, levelKey, settings.suite);
    levelKey?.fill(0);
    const client: RunningClient = await startClient({
      ...settings,
      stores,
      nodeKey,
      accountKey,
      mine: settings.miner !== undefined,
      log: (level, message) => {
        if (settings.verbose || level === "warn" || level === "error") progress(`${level}: ${message}`);
      },
    });
    const { enode, height } = client;
    process.stdout.write(
      `${JSON.stringify({ enode, rpcPort: settings.rpcPort, height, encrypted: levelKey !== undefined })}\n`,
    );
    progress(`up at height ${height}${settings.miner === undefined ? "" : ", sealing blocks"}`);
    if (!asked.signal.aborted) await once(asked.signal, "abort");
    progress("stopping");
    await client.close();
    progress("stopped");
  } finally {
    for (const key of keys) key.fill(0);
  }
}

main().then(
  // EthereumJS leaves timers behind that would keep a closed node's process alive.
  () => process.exit(0),
  (error: unknown) => {
    progress(error instanceof Error ? error.message : String(error));
    if (error instanceof UsageError) process.exit(exitCodes.usage);
    process.exit(error instanceof StoreKeyRefused ? exitCodes.integrity : exitCodes.failure);
  },
);
