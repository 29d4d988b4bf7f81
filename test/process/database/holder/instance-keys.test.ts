import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { sealContainer } from "../../../../src/database/gm/private-key-v2.ts";
import { reservePort } from "../../../reserved-ports.ts";
import type { Outcome } from "../../program-on-terminal.ts";
import { fctools, fileOf, folder, run } from "../fctools/programs.ts";
import { skip } from "../proxy/running-influxd.ts";

const program = join(import.meta.dirname, "../../../../bin/strongroom");
const startMs = 120_000;
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A master key with the files that hold it. */
interface MasterKeyFiles {
  readonly publicKey: string;
  readonly privateKeyFile: string;
  readonly pincodeFile: string;
}

async function newMasterKey(pincode: string): Promise<MasterKeyFiles> {
  const pair = generateKeyPair("sm2");
  const text = await sealContainer(
    { ...pair, pincode: SecretBuffer.take(Buffer.from(pincode)) },
    { cost: 16_384, blockSize: 8, parallelization: 1 },
  );
  return { publicKey: pair.publicKey.toString("hex"), privateKeyFile: fileOf(text), pincodeFile: fileOf(pincode) };
}

function settingsOf(name: string, port: number, { publicKey, privateKeyFile, pincodeFile }: MasterKeyFiles): string {
  return fileOf(`[database]
data = "${join(folder, name)}"
listen = "127.0.0.1:${port}"

[security.encryption]
provider = "gm-soft"
public-key = "${publicKey}"
path = "${privateKeyFile}"
pincode-file = "${pincodeFile}"
`);
}

async function serve(config: string, port: number): Promise<ChildProcess> {
  const child = spawn(program, ["db", "serve", "--config", config], { stdio: ["ignore", "ignore", "pipe"] });
  running.add(child);
  let told = "";
  child.stderr?.setEncoding("utf8").on("data", (piece) => {
    told += piece;
  });
  for (const untilMs = Date.now() + startMs; Date.now() < untilMs; await sleep(100)) {
    if (child.exitCode !== null) break;
    if (
      await fetch(`http://127.0.0.1:${port}/ping`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return child;
  }
  child.kill("SIGKILL");
  throw new Error(`the instance did not start: ${told}`);
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
  running.delete(child);
}

async function query(port: number, q: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/query`, { method: "POST", body: new URLSearchParams({ q }) });
  return answer.text();
}

async function mustHoldThePoint(port: number): Promise<void> {
  assert.match(await query(port, "SELECT * FROM enc..cpu"), /"values":\[\["[^"]+","a",42\]\]/);
}

function succeeds({ code, stderr }: Outcome): void {
  assert.equal(code, 0, stderr);
}

const refuses = ({ code, stderr }: Outcome, exitCode: number, message: RegExp): void => {
  assert.equal(code, exitCode, stderr);
  assert.match(stderr, message);
};

describe("the master key of an instance, by its commands", { skip }, () => {
  it("changes while it serves and while it is stopped; a backup comes back under the key of then", async () => {
    const [first, second, third] = [
      await newMasterKey("the first pincode"),
      await newMasterKey("the second pincode"),
      await newMasterKey("the third pincode"),
    ];
    const port = await reservePort();
    const config = settingsOf("instance", port, first);
    let instance = await serve(config, port);
    assert.doesNotMatch(await query(port, "CREATE DATABASE enc WITH ENCRYPTION ON"), /error/);
    const write = await fetch(`http://127.0.0.1:${port}/write?db=enc`, { method: "POST", body: "cpu,host=a value=42" });
    assert.equal(write.status, 204);

    const rotate = (key: MasterKeyFiles, pincodeFile = key.pincodeFile) =>
      run(program, [
        ...["db", "rotate-master", "--config", config, "--json", "--update-config"],
        ...["--new-public-key", key.publicKey, "--new-private-key-file", key.privateKeyFile],
        ...["--new-pincode-file", pincodeFile],
      ]);
    const before = readFileSync(config, "utf8");
    refuses(await rotate(second, first.pincodeFile), 3, /wrong pincode/);
    refuses(await rotate(first), 2, /in force/);
    assert.equal(readFileSync(config, "utf8"), before);
    succeeds(await rotate(second));
    await mustHoldThePoint(port);
    assert.equal(readFileSync(config, "utf8").includes(second.publicKey), true);

    const backup = join(folder, "backup.srdb");
    refuses(await run(program, ["db", "backup", "--config", config, backup]), 1, /is in use/);
    await end(instance, "SIGKILL");
    instance = await serve(config, port);
    await mustHoldThePoint(port);
    await end(instance, "SIGTERM");

    refuses(await rotate(third), 1, /no running instance/);
    succeeds(await run(program, ["db", "backup", "--config", config, backup]));
    refuses(await run(program, ["db", "backup", "--config", config, backup]), 2, /is there already/);
    const elsewhere = settingsOf("restored", port, second);
    refuses(
      await run(program, ["db", "restore", "--config", settingsOf("restored", port, first), backup]),
      3,
      /another master key/,
    );
    succeeds(await run(program, ["db", "restore", "--config", elsewhere, backup]));
    const { publicKey, privateKeyFile, pincodeFile } = second;
    const current = ["--pubkey", publicKey, "--prikey-file", privateKeyFile, "--pincode-file", pincodeFile];
    const target = ["--expubkey", third.publicKey, join(folder, "restored")];
    succeeds(await run(fctools, ["envelop", ...current, ...target]));
    const changed = settingsOf("restored", port, third);
    instance = await serve(changed, port);
    await mustHoldThePoint(port);
    await end(instance, "SIGTERM");
    writeFileSync(backup, readFileSync(backup).subarray(0, 5000));
    refuses(await run(program, ["db", "restore", "--config", settingsOf("cut", port, second), backup]), 5, /cut/);
  });
});
