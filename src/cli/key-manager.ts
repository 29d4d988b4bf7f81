import { parseArgs } from "node:util";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { principalArn } from "../custody/arn.ts";
import type { LegacyMode } from "../custody/contract/legacy.ts";
import type { CustodyService } from "../custody/service.ts";
import { startFiscoDoor } from "../server/fisco/door.ts";
import { loopbackOnly } from "../server/fisco/peers.ts";
import { runDropIn, type Tell } from "./drop-in.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { cipherDataKeyArgument, isLoopback, passphraseArgument, portArgument } from "./fisco-arguments.ts";
import { fiscoOperatorPrincipal, localCaller, openKeyManagerData, stateFolder } from "./key-manager-data.ts";
import { type SuperKeyDeviceOptions, superKeyFromDevice } from "./super-key-device.ts";

const usage = `Usage: key-manager [-g] PORT SUPERKEY [options]

Runs a FISCO BCOS key manager: JSON-RPC over plain HTTP, as nodes and their scripts speak it.

  -g                        SM mode: SM3 and SM4 (chains with sm_crypto); by default Keccak-256 and AES-256
  --super-key-file FILE     read the super key from FILE (mode 0600) instead of the command line, where others see it
  --super-key-device NAME   have this device open the super key's envelope; with the next two
  --super-key-envelope FILE the envelope, made with strongroom device envelope
  --devices FILE            the devices.toml that names the device (mode 0600)
  --host HOST               address to listen on (default 127.0.0.1)
  --allow CIDR,…            addresses that are answered (default 127.0.0.0/8,::1); others are closed and counted
  --data DIR                registry of cipherDataKeys and audit chain (default ~/.local/state/strongroom/key-manager)
  --register HEX            let this cipherDataKey, made elsewhere under the super key, be decrypted (may be repeated)
  -h, --help                this text

decDataKey opens only what this key manager made or an operator registered. docs/fisco.md tells what differs and why.

Exit codes: 0 done, 1 other failure, 2 usage, 3 refused, 5 integrity failure.

Example:
  key-manager 8150 --super-key-file ./super.key --host 10.0.0.5 --allow 10.0.0.0/24`;

await runDropIn("key-manager", async (args, tell) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      g: { type: "boolean", short: "g" },
      host: { type: "string", default: "127.0.0.1" },
      allow: { type: "string" },
      "super-key-file": { type: "string" },
      "super-key-device": { type: "string" },
      "super-key-envelope": { type: "string" },
      devices: { type: "string" },
      data: { type: "string" },
      register: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return void process.stdout.write(`${usage}\n`);
  const mode: LegacyMode = values.g ? "sm" : "standard";
  if (positionals.length < 1 || positionals.length > 2)
    throw new CommandFailure(exitCodes.usage, "takes PORT and SUPERKEY", "key-manager --help shows every option");
  const port = portArgument(positionals[0]);
  process.title = `key-manager${values.g ? " -g" : ""} ${port}`;
  const registered = values.register.map(cipherDataKeyArgument);
  const fromDevice = superKeyDeviceOf(values, positionals[1]);
  using superKey =
    fromDevice === undefined
      ? passphraseArgument("super key", positionals[1], values["super-key-file"])
      : (await superKeyFromDevice(fromDevice)).superKey;
  if (superKey.byteLength === 0) throw new CommandFailure(exitCodes.usage, "an empty super key is refused");
  if (positionals[1] !== undefined)
    tell(
      "warning: the super key was on the command line, where other users and the shell's history see it; use --super-key-file or --super-key-device",
    );
  if (!isLoopback(values.host))
    tell(
      `warning: ${values.host} is reached over plain HTTP: data keys cross the network in clear; prefer a node's sidecar`,
    );
  const custody = await openKeyManagerData(values.data ?? stateFolder("key-manager"));
  try {
    for (const cipherDataKey of registered)
      await custody.legacy.register(localCaller(custody), { mode, superKey, cipherDataKey });
    const allow = values.allow === undefined ? loopbackOnly : values.allow.split(",").map((block) => block.trim());
    await serve(custody, { mode, superKey, host: values.host, port, allow }, tell);
  } finally {
    await custody.close();
  }
});

interface SuperKeyValues {
  readonly "super-key-file"?: string | undefined;
  readonly "super-key-device"?: string | undefined;
  readonly "super-key-envelope"?: string | undefined;
  readonly devices?: string | undefined;
}

/** Undefined when no device is named. @throws {CommandFailure} 2 unless its options go together. */
function superKeyDeviceOf(values: SuperKeyValues, argument: string | undefined): SuperKeyDeviceOptions | undefined {
  const { "super-key-device": device, "super-key-envelope": envelope, devices } = values;
  if (device === undefined && envelope === undefined && devices === undefined) return undefined;
  if (device === undefined || envelope === undefined || devices === undefined)
    throw new CommandFailure(exitCodes.usage, "--super-key-device, --super-key-envelope and --devices go together");
  if (argument !== undefined || values["super-key-file"] !== undefined)
    throw new CommandFailure(exitCodes.usage, "give the super key once: as an argument, in a file, or by a device");
  return { device, envelope, devices };
}

interface ServeOptions {
  readonly mode: LegacyMode;
  readonly superKey: SecretBuffer;
  readonly host: string;
  readonly port: number;
  readonly allow: readonly string[];
}

/** Until a signal comes. */
async function serve(custody: CustodyService, options: ServeOptions, tell: Tell): Promise<void> {
  const door = await startFiscoDoor(custody, {
    ...options,
    operatorCalls: true,
    operatorPrincipal: principalArn(custody.identity, "service", fiscoOperatorPrincipal),
    onFault: (error) => tell(`error: ${error instanceof Error ? error.message : String(error)}`),
  }).catch((error: unknown) => {
    throw startFailure(error, options);
  });
  // The line that the original's manual tells to wait for.
  process.stdout.write(`[${Date.now()}][TRACE][Load]key-manager started,port=${door.address.port}\n`);
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  await door.close();
}

function startFailure(error: unknown, { host, port }: ServeOptions): unknown {
  if (error instanceof RangeError) return new CommandFailure(exitCodes.usage, `--allow: ${error.message}`);
  if (!(error instanceof Error) || !("code" in error)) return error;
  const reasons = new Map([
    ["EADDRINUSE", "another program listens there"],
    ["EACCES", "ports below 1024 need privileges"],
    ["EADDRNOTAVAIL", "this machine has no such address"],
  ]);
  const reason = reasons.get(String(error.code)) ?? String(error.code);
  return new CommandFailure(exitCodes.other, `cannot listen on ${host}:${port}: ${reason}`);
}
