import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { InstanceInTest, skip } from "./served-instance.ts";

/** The inodes of the sockets that a process has. */
function socketsOf(pid: number): ReadonlySet<string> {
  const targets = readdirSync(`/proc/${pid}/fd`).map((name) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${name}`);
    } catch {
      return "";
    }
  });
  return new Set(targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
}

/** The inodes of the TCP and UDP sockets of a process's network. */
function internetSockets(pid: number | "self"): readonly string[] {
  return ["tcp", "tcp6", "udp", "udp6"].flatMap((name) =>
    readFileSync(`/proc/${pid}/net/${name}`, "utf8")
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/)[9] ?? ""),
  );
}

async function influxdOf(instance: InstanceInTest): Promise<number> {
  const { output } = await instance.run(["status", "--config", instance.config, "--json"]);
  return JSON.parse(output).served.influxd.pid;
}

describe("influxd beside the proxy", { skip }, () => {
  let instance: InstanceInTest;
  const folderOf = () => join(instance.data, "instance.influxd");
  before(async () => {
    instance = await InstanceInTest.make();
    await instance.start();
  });
  after(() => instance.remove());

  it("has no port of the machine's network", async () => {
    const pid = await influxdOf(instance);
    assert.notEqual(readlinkSync(`/proc/${pid}/ns/net`), readlinkSync("/proc/self/ns/net"));
    const its = socketsOf(pid);
    assert.ok(its.size > 0);
    assert.deepEqual(
      internetSockets("self").filter((inode) => its.has(inode)),
      [],
    );
    // The search can find: its ports are in its own network.
    assert.ok(internetSockets(pid).some((inode) => its.has(inode)));
  });

  it("serves HTTP on a socket that is its owner's alone", () => {
    const { mode } = statSync(folderOf());
    assert.equal(mode & 0o777, 0o700);
    assert.deepEqual(readdirSync(folderOf()), ["influxd.socket"]);
    assert.equal(statSync(join(folderOf(), "influxd.socket")).mode & 0o777, 0o600);
  });

  it("is reached by whoever enters its network, as for a backup of influxd's own", {
    skip: !existsSync("/usr/sbin/ip") && "ip is not there",
  }, async () => {
    await instance.query("CREATE DATABASE there");
    assert.equal(await instance.write("there", "m v=1"), 204);
    const pid = String(await influxdOf(instance));
    const folder = mkdtempSync(join(tmpdir(), "strongroom-influxd-backup-"));
    try {
      const enter = (...command: string[]) =>
        spawnSync("nsenter", ["--net", "--target", pid, ...command], { encoding: "utf8" });
      assert.equal(enter("ip", "link", "set", "lo", "up").status, 0);
      const made = enter("influxd", "backup", "-portable", "-database", "there", folder);
      assert.equal(made.status, 0, made.stdout + made.stderr);
      assert.ok(readdirSync(folder).some((name) => name.endsWith(".manifest")));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("starts over what a killed server has left, and leaves nothing when it is stopped", async () => {
    await instance.end("SIGKILL");
    await instance.start();
    assert.equal(await instance.write("there", "m v=2"), 204);
    assert.equal(await instance.end(), 0);
    assert.ok(!existsSync(folderOf()));
  });
});

describe("an influxd for which no network can be made", {
  skip: process.getuid?.() !== 0 && "needs root to give rights up",
}, () => {
  it("listens on loopback", () => {
    const module = new URL("../../../../src/database/instance/influxd-network.ts", import.meta.url).href;
    const folder = mkdtempSync(join(tmpdir(), "strongroom-network-"));
    const text = `const { openInfluxdNetwork } = await import(${JSON.stringify(module)});
      const network = await openInfluxdNetwork(${JSON.stringify(join(folder, "none"))});
      console.log(network.kind, network.command.length);`;
    const given = [
      "--bounding-set",
      "-all",
      "--inh-caps",
      "-all",
      process.execPath,
      "--input-type=module",
      "--eval",
      text,
    ];
    try {
      assert.equal(spawnSync("/usr/bin/setpriv", given, { encoding: "utf8" }).stdout.trim(), "loopback 0");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
