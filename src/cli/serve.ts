import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import { checkpointSchema } from "../client/protocol.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { Checkpoint } from "../custody/service.ts";
import type { DeviceUsed } from "../devices/device-secret.ts";
import type { Forwarding } from "../server/audit-forward/forwarding.ts";
import type { HostPort, RunningServer, ServerOptions } from "../server/server.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { tell, withJson } from "./output.ts";
import { type AuditForwardOptions, forwardTargets, withAuditForwarding } from "./serve-audit.ts";
import { type DataUnlockOptions, readUnlock, withDataUnlock } from "./unlock-device.ts";
import { readSecretFile } from "./unlock-secret.ts";

interface ServeOptions extends DataUnlockOptions, AuditForwardOptions {
  readonly data: string;
  readonly native: string;
  readonly name: readonly string[];
  readonly fisco?: string;
  readonly fiscoSuperKeyFile?: string;
  readonly fiscoSuperKeyEnvelope?: string;
  readonly fiscoSuperKeyDevice?: string;
  readonly fiscoSm?: boolean;
  readonly fiscoAllow?: string;
  readonly aws?: string;
  readonly awsRate?: string;
  readonly console?: string;
  readonly metrics?: string;
  readonly checkpoint?: string;
  readonly json?: boolean;
}

export function command(): Command {
  const serve = new Command("serve")
    .description("Run the key manager of a data folder until it gets SIGTERM or SIGINT.")
    .requiredOption("--data <dir>", "data folder, made with strongroom init")
    .option(
      "--native <host:port>",
      "where nodes and tools reach it over HTTPS with client certificates",
      "127.0.0.1:8443",
    )
    .option(
      "--name <name>",
      "a further host name or address of this server, for its certificate (repeatable)",
      gather,
      [],
    )
    .option("--fisco <host:port>", "answer unmodified FISCO BCOS nodes here (plain HTTP, no authentication)")
    .option("--fisco-super-key-file <file>", "the superKey of those nodes (mode 0600 or 0400, owned by you)")
    .option("--fisco-super-key-envelope <file>", "the superKey in an envelope that --fisco-super-key-device opens")
    .option("--fisco-super-key-device <name>", "a device of the folder's devices.toml")
    .option("--fisco-sm", "those nodes use SM cryptography")
    .addOption(new Option("--fisco-allow <cidr,…>", "addresses that --fisco answers (default: loopback only)"))
    .option("--aws <host:port>", "answer AWS KMS clients here (HTTPS; on loopback addresses plain HTTP too)")
    .addOption(
      new Option(
        "--aws-rate <n[:burst]>",
        "requests a second that each principal of --aws may send (default: 2000:4000)",
      ),
    )
    .option("--console <host:port>", "serve the web console here (HTTPS; sign in with strongroom console code)")
    .option(
      "--metrics <host:port>",
      "serve /metrics, /healthz and /readyz here (no authentication: keep it on loopback)",
    )
    .option("--checkpoint <file>", "a checkpoint kept elsewhere: a store that is older or differs is not opened")
    .addHelpText(
      "after",
      `
The administration socket is DIR/admin.sock: other strongroom commands with --data DIR use it while this runs.
SIGTERM and SIGINT stop the server after the requests that have begun. With NOTIFY_SOCKET set, systemd is told.

Example:
  strongroom serve --data ./km --unlock-file ./unlock --native 127.0.0.1:8443 --metrics 127.0.0.1:9464`,
    );
  return withJson(withDataUnlock(withAuditForwarding(serve))).action(run);
}

async function run(options: ServeOptions): Promise<void> {
  // Everything that can be wrong with the arguments is found before the unlock secret is read.
  const native = { ...hostPort("--native", options.native), names: serverNames(options.name) };
  const fiscoAt = options.fisco === undefined ? undefined : hostPort("--fisco", options.fisco);
  const aws = awsOptions(options);
  const consoleAt = options.console === undefined ? undefined : hostPort("--console", options.console);
  const metricsAt = options.metrics === undefined ? undefined : hostPort("--metrics", options.metrics);
  const checkpoint = options.checkpoint === undefined ? undefined : readCheckpoint(options.checkpoint);
  const given = await superKeyOf(options);
  using superKey = given?.superKey;
  const targets = await forwardTargets(options);

  const stop = stopSignal();
  const [{ openCustody }, { startServer }, { Metrics }, { notifyServiceManager }, { noticeCounter }, { watchDevices }] =
    await Promise.all([
      import("../custody/open.ts"),
      import("../server/server.ts"),
      import("../server/observe.ts"),
      import("../server/service-manager.ts"),
      import("../server/notice-metric.ts"),
      import("../server/device-metrics.ts"),
    ]);
  const observer = new Metrics();
  const notices = noticeCounter(observer.registry);
  const threadLost = Promise.withResolvers<Error>();
  let custody: Awaited<ReturnType<typeof openCustody>>;
  {
    await using held = await readUnlock(options.data, options);
    custody = await openCustody({
      dataDir: options.data,
      unlock: held.unlock,
      devicesUsed: given?.openedBy === undefined ? [] : [given.openedBy],
      threaded: true,
      onThreadLost: threadLost.resolve,
      onNotice: (kind) => notices.inc({ kind }),
      onCommit: (records, seconds) => observer.auditCommit(records, seconds),
      ...(checkpoint === undefined ? {} : { checkpoint }),
    });
  }
  let server: RunningServer | undefined;
  let forwarding: Forwarding | undefined;
  try {
    if (targets.length > 0) {
      const { startForwarding } = await import("../server/audit-forward/forwarding.ts");
      const { registry } = observer;
      forwarding = await startForwarding(custody.audit.feed, { dataDir: options.data, targets, registry, log: tell });
    }
    watchDevices(observer.registry, () => custody.devices.observed());
    server = await startServer(custody, {
      dataDir: options.data,
      native,
      observer,
      log: tell,
      ...(consoleAt === undefined ? {} : { console: { ...consoleAt, names: native.names } }),
      ...(metricsAt === undefined ? {} : { metrics: metricsAt }),
      ...fiscoOptions(options, fiscoAt, superKey),
      ...aws,
    });
    announce(options, server);
    await notifyServiceManager(`READY=1\nSTATUS=listening on ${server.addresses.native ?? server.addresses.socket}`);
    const end = await Promise.race([stop, threadLost.promise]);
    if (typeof end !== "string") throw lostThread(end);
    tell(`${end}: closing`);
    await notifyServiceManager("STOPPING=1");
  } finally {
    await server?.close();
    await forwarding?.close();
    await custody.close();
  }
}

/** Ends the server, so that a service manager starts it again: going on, it would refuse every request. */
function lostThread(cause: Error): CommandFailure {
  return new CommandFailure(
    exitCodes.other,
    `a thread of the key manager failed, so it can't answer reliably any more: ${cause.message}`,
  );
}

/** @throws {CommandFailure} 2 unless there is one superKey with `--fisco`, and none without. */
async function superKeyOf(
  options: ServeOptions,
): Promise<{ readonly superKey: SecretBuffer; readonly openedBy?: DeviceUsed } | undefined> {
  const { fisco, fiscoSuperKeyFile: file, fiscoSuperKeyEnvelope: envelope, fiscoSuperKeyDevice: device } = options;
  if ((device === undefined) !== (envelope === undefined))
    throw new CommandFailure(exitCodes.usage, "--fisco-super-key-device and --fisco-super-key-envelope go together");
  if (file !== undefined && device !== undefined)
    throw new CommandFailure(exitCodes.usage, "give the superKey once: in a file, or in an envelope");
  if ((fisco === undefined) !== (file === undefined && device === undefined))
    throw new CommandFailure(exitCodes.usage, "--fisco and --fisco-super-key-file (or -device) go together");
  if (file !== undefined) return { superKey: readSecretFile(file) };
  if (device === undefined || envelope === undefined) return undefined;
  const { superKeyFromDevice } = await import("./super-key-device.ts");
  return await superKeyFromDevice({ device, envelope, devices: join(options.data, "devices.toml") });
}

function fiscoOptions(
  options: ServeOptions,
  at: HostPort | undefined,
  superKey: SecretBuffer | undefined,
): Pick<ServerOptions, "fisco"> {
  if (at === undefined || superKey === undefined) return {};
  const allow = options.fiscoAllow === undefined ? {} : { allow: options.fiscoAllow.split(",") };
  return { fisco: { ...at, mode: options.fiscoSm === true ? "sm" : "standard", superKey, ...allow } };
}

function awsOptions({ aws, awsRate, name }: ServeOptions): Pick<ServerOptions, "aws"> {
  if (aws === undefined) {
    if (awsRate !== undefined) throw new CommandFailure(exitCodes.usage, "--aws-rate goes with --aws");
    return {};
  }
  const rate = awsRate === undefined ? {} : { rate: ratePerSecond("--aws-rate", awsRate) };
  return { aws: { ...hostPort("--aws", aws), names: serverNames(name), ...rate } };
}

/** `N` or `N:BURST`; a burst that is not given is two seconds' worth. */
function ratePerSecond(option: string, text: string): { readonly perSecond: number; readonly burst: number } {
  const [, perSecond, burst] = /^([1-9]\d{0,6})(?::([1-9]\d{0,6}))?$/.exec(text) ?? [];
  if (perSecond === undefined)
    throw new CommandFailure(exitCodes.usage, `${option} takes N or N:BURST, got ${JSON.stringify(text)}`);
  return { perSecond: Number(perSecond), burst: burst === undefined ? 2 * Number(perSecond) : Number(burst) };
}

/** One line for each listener; with `--json` one line of JSON on standard output once all listen. */
function announce(options: ServeOptions, { addresses, caFingerprint }: RunningServer): void {
  tell(`administration socket: ${addresses.socket}`);
  if (addresses.native !== undefined) tell(`native: https://${addresses.native}`);
  if (addresses.fisco !== undefined) tell(`fisco: http://${addresses.fisco}`);
  if (addresses.aws !== undefined) tell(`aws: https://${addresses.aws}`);
  if (addresses.console !== undefined) tell(`console: https://${addresses.console}`);
  if (addresses.metrics !== undefined) tell(`metrics: http://${addresses.metrics}/metrics`);
  if (options.json)
    process.stdout.write(`${JSON.stringify({ ready: true, pid: process.pid, caFingerprint, ...addresses })}\n`);
}

/** Resolves with the first signal that asks to stop. A second one ends the process at once. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals) => {
      if (asked) process.exit(exitCodes.other);
      asked = true;
      resolve(signal);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    process.on("SIGHUP", () => {});
  });
}

/** `HOST:PORT`, IPv6 as `[::1]:8443`; the host must be given, so that nothing listens on every address by accident. */
function hostPort(option: string, text: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port > 65_535)
    throw new CommandFailure(exitCodes.usage, `${option} takes HOST:PORT, got ${JSON.stringify(text)}`);
  return { host, port };
}

function serverNames(names: readonly string[]): readonly string[] {
  const pattern = /^[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,252})$/;
  for (const name of names)
    if (!pattern.test(name))
      throw new CommandFailure(exitCodes.usage, `--name takes a host name or address, got ${JSON.stringify(name)}`);
  return names;
}

const maxCheckpointBytes = 4096;

function readCheckpoint(path: string): Checkpoint {
  let value: unknown;
  try {
    const bytes = readFileSync(path);
    if (bytes.length > maxCheckpointBytes) throw new Error("it is too large");
    value = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CommandFailure(exitCodes.usage, `the checkpoint ${path} cannot be read: ${reason}`);
  }
  const parsed = checkpointSchema.safeParse(value);
  if (!parsed.success)
    throw new CommandFailure(exitCodes.usage, `${path} is not a checkpoint as audit checkpoint prints it`);
  return parsed.data;
}

function gather(value: string, others: readonly string[]): string[] {
  return [...others, value];
}
