import { closeSync, constants, openSync } from "node:fs";
import { checkCoreDumps, temporaryFolderFor } from "../volume/launch-safety.ts";
import { hardenThisProcess } from "../volume/process-hardening.ts";
import { checkSwap } from "../volume/swap.ts";
import { thisMachine } from "../volume/system-files.ts";
import type { OpenVolume } from "../volume/volume.ts";
import { Backoff } from "./backoff.ts";
import { releaseDataKey } from "./data-key.ts";
import { NodeError } from "./errors.ts";
import type { Handover } from "./handover.ts";
import { connectKeyManager, type KeyManager, verdictOf } from "./key-manager.ts";
import { lockNode } from "./launch-lock.ts";
import { pauseUnlessStopped, watchLease } from "./lease.ts";
import { isFisco, type Manifest } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import { refuseOtherUser } from "./node-user.ts";
import type { OpenedNode } from "./opened-node.ts";
import { checkProgram, Program, type ProgramEnd } from "./program.ts";
import { SignalRelay } from "./signal-relay.ts";
import { checkKeysAreSealed, substitute, volumeKeyNames } from "./substitutions.ts";

export interface LaunchOptions {
  /** @defaultValue A client with the node's own identity. */
  readonly keyManager?: KeyManager;
  /** Go on although swap is unencrypted or core dumps are possible; each is told. */
  readonly allowUnsafe?: boolean;
  /** Overrides the manifest's `lease.seconds`. */
  readonly leaseSeconds?: number;
  readonly tell: (message: string) => void;
}

type Command = NonNullable<Manifest["command"]>;

/**
 * Starts a node and stays with it: asks the key manager for the data key, checks it, opens and compares every sealed key,
 * opens the volume, starts the program with its keys handed over, wipes them once read, passes signals on, and locks the
 * volume at the end. After a crash it starts again as the manifest says, but only when the key manager agrees again.
 * A node without protection (`node.protection`) is only started and watched over.
 *
 * Refused, unreachable or wrong: every file is as it was and nothing was started.
 *
 * @returns The program's exit code; 128 and the signal's number when a signal ended it.
 * @throws {NodeError} `REFUSED`, `LEASE_LOST`, `DATA_KEY_MISMATCH`, `IDENTITY_MISMATCH`, `SEALED_FILE_DAMAGED`,
 *   `COMMAND_UNUSABLE` …; errors of the client and of the volume pass through.
 */
export async function launchNode(loaded: LoadedManifest, options: LaunchOptions): Promise<number> {
  const { command, restart, node } = loaded.manifest;
  if (command === undefined)
    throw new NodeError("COMMAND_UNUSABLE", `${loaded.file} has no [command], so there is nothing to start`);
  refuseOtherUser(loaded);
  checkKeysAreSealed(loaded.manifest);
  const folder = loaded.at(command.folder.includes("{") ? "." : command.folder);
  if (!command.argv[0]?.includes("{")) checkProgram(command.argv[0] ?? "", folder);
  if (node.protection === "none") options.tell(`${node.name} is not protected: its keys are plain files`);
  else await refuseUnsafeMachine(options);
  using _lock = await lockNode(loaded);
  const keyManager =
    options.keyManager ?? (node.protection === "none" ? noKeyManager : await connectKeyManager(loaded));
  using signals = new SignalRelay();
  const longestMs = restart.maxBackoffSeconds * 1000;
  const backoff = new Backoff(restart.backoffSeconds * 1000, longestMs);
  let startedBefore = false;
  try {
    for (;;) {
      const startedAtMs = Date.now();
      let end: ProgramEnd;
      try {
        end = await runOnce(loaded, command, keyManager, signals, options);
      } catch (error) {
        // The first start tells its failure; a restart waits for a key manager that is only out of reach.
        const waits = startedBefore && verdictOf(error) === "unreachable";
        const asksAgain = restart.afterRefusal && restart.policy !== "never" && isRefusal(error);
        if (!waits && !asksAgain) throw error;
        end = { exitCode: waits ? 4 : 3, description: `does not run: ${(error as Error).message}` };
      }
      startedBefore = true;
      const again = restart.policy === "always" || (restart.policy === "on-failure" && end.exitCode !== 0);
      if (!again || signals.stopping.aborted) return end.exitCode;
      if (Date.now() - startedAtMs > longestMs) backoff.reset();
      const pauseMs = backoff.next();
      options.tell(`the node ${end.description}; it is started again in ${(pauseMs / 1000).toFixed(1)} s`);
      await pauseUnlessStopped(pauseMs, signals.stopping);
      if (signals.stopping.aborted) return end.exitCode;
    }
  } finally {
    if (options.keyManager === undefined) keyManager.close();
  }
}

/** What stands in for the key manager of a node that has none. */
const noKeyManager: KeyManager = {
  generateDataKey: () => Promise.reject(new NodeError("DATA_KEY_MISSING")),
  unwrap: () => Promise.reject(new NodeError("DATA_KEY_MISSING")),
  close() {},
};

/** The key manager's "no", to a start or to a lease. */
function isRefusal(error: unknown): boolean {
  return verdictOf(error) === "refused" || (error instanceof NodeError && error.code === "LEASE_LOST");
}

async function refuseUnsafeMachine({ allowUnsafe = false, tell }: LaunchOptions): Promise<void> {
  const hardening = await hardenThisProcess();
  const findings = [...hardening, checkSwap(thisMachine), checkCoreDumps()].filter((finding) => !finding.ok);
  for (const { check, detail, remedy } of findings) {
    const message = `${check}: ${detail}`;
    if (!allowUnsafe)
      throw new NodeError("LAUNCH_UNSAFE", `keys would not be safe in memory on this machine: ${message}`, {
        hint: `${remedy ?? "mend it"}, or start with --allow-unsafe`,
      });
    tell(`warning: ${message}`);
  }
}

/** One start, from asking for the key to locking the volume. */
async function runOnce(
  loaded: LoadedManifest,
  command: Command,
  ownKeyManager: KeyManager,
  signals: SignalRelay,
  options: LaunchOptions,
): Promise<ProgramEnd> {
  const { node } = loaded.manifest;
  await using cleanup = new AsyncDisposableStack();
  const keyManager = await underLease(loaded, ownKeyManager, cleanup, options);
  const opened =
    node.protection === "none" ? { keys: [] } : await openedNode(loaded, keyManager, ownKeyManager, cleanup, options);
  const temporary = temporaryFolderFor(opened.volume ?? {});
  cleanup.defer(() => temporary.remove());
  const { Handover: handovers } = await import("./handover.ts");
  const handover = await handovers.ready(opened.keys);
  cleanup.defer(() => handover.wipe());
  const fill = (text: string) =>
    substitute(text, {
      key: (name) => handover.path(name),
      fd: (name) => handover.fd(volumeKeyNames.includes(name) ? "volume" : name),
      keystore: handover.keystore,
      data: opened.volume?.dataPath,
      logs: opened.volume?.logPath,
      dir: loaded.folder,
    });
  const environment = nodeEnvironment(command, temporary.path, fill);
  handover.addTo(environment);
  for (const { key } of opened.keys) key.value[Symbol.dispose]();
  const output = command.log === undefined ? "inherit" : openLog(loaded.at(fill(command.log)));
  if (output !== "inherit") cleanup.defer(() => closeSync(output));
  await startSidecar(loaded, keyManager, cleanup, options);

  if (signals.stopping.aborted) return { exitCode: 143, description: "was stopped before it was started" };
  const program = Program.start({
    argv: command.argv.map(fill),
    folder: loaded.at(fill(command.folder)),
    environment,
    output,
    descriptors: handover.descriptors,
  });
  cleanup.defer(() => program.killAll());
  signals.passTo(program);
  return await superviseUntilEnd(loaded, command, keyManager, program, handover, opened.volume, options);
}

/** Asks before it loads what opens: loading takes a fifth of a launch's time, and the answer is on its way meanwhile. */
async function openedNode(
  loaded: LoadedManifest,
  keyManager: KeyManager,
  ownKeyManager: KeyManager,
  cleanup: AsyncDisposableStack,
  { tell }: LaunchOptions,
): Promise<OpenedNode> {
  const answer = releaseDataKey(loaded, keyManager);
  answer.catch(() => {});
  const { openNode } = await import("./opened-node.ts");
  return openNode(loaded, answer, cleanup, tell, ownKeyManager);
}

/** The key manager as it is asked by this launch: told of the lease, if there is one, and at the very end of its end. */
async function underLease(
  { manifest }: LoadedManifest,
  keyManager: KeyManager,
  cleanup: AsyncDisposableStack,
  { leaseSeconds = manifest.lease.seconds }: LaunchOptions,
): Promise<KeyManager> {
  if (leaseSeconds === 0 || manifest.node.protection === "none") return keyManager;
  const { HeldLease } = await import("./held-lease.ts");
  const held = new HeldLease(keyManager, leaseSeconds);
  cleanup.defer(() => held.release());
  return held;
}

async function superviseUntilEnd(
  loaded: LoadedManifest,
  command: Command,
  keyManager: KeyManager,
  program: Program,
  handover: Handover,
  volume: OpenVolume | undefined,
  { tell, leaseSeconds = loaded.manifest.lease.seconds }: LaunchOptions,
): Promise<ProgramEnd> {
  const over = new AbortController();
  const watches: Promise<never>[] = [];
  if (leaseSeconds > 0) {
    const everyMs = leaseSeconds * 1000;
    const graceMs = loaded.manifest.lease.graceSeconds * 1000;
    const ask = () => releaseDataKey(loaded, keyManager);
    watches.push(
      watchLease({ everyMs, graceMs, ask, tell, stopped: over.signal }).then(() => new Promise<never>(() => {})),
    );
  }
  if (volume !== undefined) watches.push(volume.lost.then((reason) => Promise.reject(reason)));
  const wiped = handover.wipeOnceRead(command.wipeSettleSeconds * 1000, command.wipeAfterSeconds * 1000, over.signal);
  try {
    return await Promise.race([program.ended, ...watches]);
  } catch (error) {
    tell(`${(error as Error).message}; stopping the node`);
    await program.stop(command.stopSeconds * 1000);
    throw error;
  } finally {
    over.abort();
    await wiped;
  }
}

/** Our environment without what is ours, temporary files off the disk, and what the manifest adds. */
function nodeEnvironment(
  command: Command,
  temporaryPath: string,
  fill: (text: string) => string,
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && !name.startsWith("STRONGROOM_") && name !== "NODE_COMPILE_CACHE")
      environment[name] = value;
  for (const name of ["TMPDIR", "TMP", "TEMP"]) environment[name] = temporaryPath;
  for (const [name, value] of Object.entries(command.environment)) environment[name] = fill(value);
  return environment;
}

function openLog(path: string): number {
  return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW, 0o600);
}

/** A FISCO node asks for its key itself: its sidecar answers while the node starts. */
async function startSidecar(
  loaded: LoadedManifest,
  keyManager: KeyManager,
  cleanup: AsyncDisposableStack,
  { tell }: LaunchOptions,
): Promise<void> {
  const { node, sidecar } = loaded.manifest;
  if (!isFisco(node.kind) || sidecar.port === 0 || node.protection === "none") return;
  const { Sidecar } = await import("./sidecar.ts");
  const running = await Sidecar.start(loaded, keyManager, tell);
  cleanup.defer(() => running.close());
}
