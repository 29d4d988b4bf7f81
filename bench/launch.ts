/**
 * What `strongroom node launch` adds before a program runs: the time from starting the command to the program's first
 * instruction, against starting the same program bare. The key manager is a real one on this machine's loopback.
 *
 *   node bench/launch.ts [rounds]
 *
 * Per kind of volume, in milliseconds: the median and the least of the rounds; the volume tool's own time (opening the
 * volume, in a process that has everything loaded) is taken off. The start of an empty Node program, measured in the same
 * run, tells how busy the machine was. Target: a median of less than 150 ms added.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { releaseDataKey } from "../src/node/data-key.ts";
import { connectKeyManager } from "../src/node/key-manager.ts";
import { loadManifest } from "../src/node/manifest-reader.ts";
import { volumeDriver } from "../src/volume/drivers.ts";

const rounds = Number(process.argv[2] ?? 15);
const targetMs = 150;
const strongroom = join(import.meta.dirname, "../bin/strongroom");
const work = mkdtempSync(join(tmpdir(), "strongroom-bench-launch-"));
const data = join(work, "km");
/** Prints when it runs, in microseconds of Unix time, with a shell's start and nothing else before it. */
const program = ["/bin/sh", "-c", 'echo "$EPOCHREALTIME"'];
const witness = existsSync("/bin/bash") ? ["/bin/bash", ...program.slice(1)] : undefined;

function run(...args: readonly string[]): string {
  return execFileSync(strongroom, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function startKeyManager(port: number): Promise<ChildProcess> {
  const unlock = join(work, "unlock");
  writeFileSync(unlock, randomBytes(32).toString("hex"), { mode: 0o600 });
  run("init", "--data", data, "--unlock-file", unlock);
  const args = ["serve", "--data", data, "--unlock-file", unlock, "--native", `127.0.0.1:${port}`];
  const server = spawn(strongroom, args, { stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  server.stderr?.on("data", (chunk) => (told += String(chunk)));
  for (const until = Date.now() + 20_000; !told.includes("native:"); ) {
    if (Date.now() > until || server.exitCode !== null) throw new Error(`the key manager did not start: ${told}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  run("key", "create", "--data", data, "--alias", "alias/bench");
  return server;
}

function makeNode(name: string, port: number, volume: string | undefined, argv: readonly string[]): string {
  const folder = join(work, name);
  const token = join(work, `${name}.token`);
  run("node", "token", name, "--key", "alias/bench", "--data", data, "--out", token);
  const kind = volume === undefined ? [] : ["--volume", volume];
  const server = `https://127.0.0.1:${port}`;
  const init = ["--kind", "generic", "--network", "bench", "--server", server, "--key", "alias/bench", "--dir", folder];
  run("node", "init", name, ...init, ...kind, "--", ...argv, "{key:nodekey}");
  run("node", "enroll", folder, "--token-file", token);
  mkdirSync(join(work, `${name}-keys`));
  const key = join(work, `${name}-keys`, "nodekey");
  writeFileSync(key, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
  run("node", "seal", folder, key);
  if (volume !== undefined) run("volume", "create", folder);
  return folder;
}

/** Milliseconds from just before the start to the program's own clock reading. */
function startTimesMs(command: string, args: readonly string[]): number[] {
  const times: number[] = [];
  for (let round = 0; round < rounds + 2; round++) {
    const beganMs = Date.now();
    const { stdout, stderr, status } = spawnSync(command, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`);
    times.push(Number(stdout.trim()) * 1000 - beganMs);
  }
  // The first two fill caches: the compile cache, the server's connection set-up.
  return times.slice(2);
}

/** The volume tool's own time: opening and nothing else, with every module loaded. */
async function openTimesMs(folder: string, volume: string | undefined): Promise<number[]> {
  if (volume === undefined) return [0];
  const loaded = loadManifest(folder);
  const kind = loaded.manifest.volume?.kind;
  if (kind === undefined) return [0];
  const keyManager = await connectKeyManager(loaded);
  using dataKey = await releaseDataKey(loaded, keyManager);
  keyManager.close();
  const times: number[] = [];
  for (let round = 0; round < rounds + 1; round++) {
    const beganMs = performance.now();
    const opened = await (await volumeDriver(kind)).open({ folder: join(folder, "volume") }, dataKey);
    times.push(performance.now() - beganMs);
    await opened.close();
  }
  return times.slice(1);
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}

if (witness === undefined)
  throw new Error("this bench needs bash, whose EPOCHREALTIME tells the time without a program");
const hasGocryptfs = existsSync("/dev/fuse") && spawnSync("gocryptfs", ["-version"]).status === 0;
const port = await freePort();
const server = await startKeyManager(port);
try {
  const bareTimes = startTimesMs(witness[0] ?? "", witness.slice(1));
  const bareMs = median(bareTimes);
  console.log(`bare start of the program: ${bareMs.toFixed(1)} ms (median of ${rounds})`);
  const empty = ["--input-type=module", "-e", "console.log(Date.now() / 1000)"];
  console.log(`an empty Node program: ${median(startTimesMs(process.execPath, empty)).toFixed(1)} ms`);
  const kinds: readonly (string | undefined)[] = [undefined, "level", "native", ...(hasGocryptfs ? ["gocryptfs"] : [])];
  let worstMs = 0;
  for (const volume of kinds) {
    const folder = makeNode(`bench-${volume ?? "none"}`, port, volume, witness);
    const launchTimes = startTimesMs(strongroom, ["node", "launch", folder]);
    const launchMs = median(launchTimes);
    const toolMs = median(await openTimesMs(folder, volume));
    const addedMs = launchMs - bareMs - toolMs;
    worstMs = Math.max(worstMs, addedMs);
    console.log(
      `volume ${(volume ?? "none").padEnd(9)}  launch ${launchMs.toFixed(1)} ms  volume tool ${toolMs.toFixed(1)} ms  ` +
        `added ${addedMs.toFixed(1)} ms  (least ${(Math.min(...launchTimes) - bareMs - toolMs).toFixed(1)} ms)`,
    );
  }
  console.log(
    `worst added ${worstMs.toFixed(1)} ms, target below ${targetMs} ms: ${worstMs < targetMs ? "met" : "MISSED"}`,
  );
  if (worstMs >= targetMs) process.exitCode = 1;
} finally {
  server.kill("SIGTERM");
  await new Promise((resolve) => server.once("close", resolve));
  rmSync(work, { recursive: true, force: true });
}
