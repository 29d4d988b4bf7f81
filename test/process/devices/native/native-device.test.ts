import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { DeviceError } from "../../../../src/devices/errors.ts";
import type { NativeDeviceEvent } from "../../../../src/devices/native/device-events.ts";
import type { NativeDeviceOptions } from "../../../../src/devices/native/native-calls.ts";
import { NativeDevice } from "../../../../src/devices/native/native-device.ts";
import { scaled } from "../../../run-settings.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-native-"));
after(() => rmSync(folder, { recursive: true }));

const program = new URL("./fake-program.ts", import.meta.url);
const canary = "PIN-canary-4711";

function open(options: Partial<NativeDeviceOptions> = {}): Promise<NativeDevice> {
  return NativeDevice.open({ program, config: {}, name: "the fake card", ...options });
}

function milliseconds(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** The failure's kind and code, for an error that must be a device's. */
function failure(kind: string, code: string) {
  return (error: unknown): boolean => {
    assert(error instanceof DeviceError, String(error));
    assert.equal(`${error.failure?.kind} ${error.failure?.code}`, `${kind} ${code}`, error.message);
    return true;
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie that nobody has waited for yet is dead.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (condition()) return;
    await delay(20);
  }
  assert.fail(`never: ${what}`);
}

test("calls come back with their answers, each in memory of its own", async () => {
  await using device = await open();
  const [first, second] = await device.call("echo", [Buffer.from("one"), Buffer.alloc(0), Buffer.alloc(70_000, 7)]);
  assert.equal(first?.toString(), "one");
  assert.equal(second?.length, 0);
  assert.notEqual(first?.buffer, second?.buffer);
  assert.equal(device.info.fake, true);
  assert.equal(device.health().state, "ready");
});

test("many calls over several sessions never overlap in one session, nor with opening one", async () => {
  // The program aborts its process if they do.
  await using device = await open({ pool: { minSessions: 1, maxSessions: 4, queueCalls: 20_000 } });
  const calls = Array.from({ length: scaled(20_000) }, async (_, index) => {
    const sent = Buffer.from(`call ${index}`);
    const answers =
      index % 50 === 0 ? await device.call("echo", [sent], { repeatable: true }) : await device.call("echo", [sent]);
    assert.deepEqual(answers, [sent]);
  });
  await Promise.all(calls);
  assert.equal(device.health().restarts, 0);
  assert(device.health().sessions > 1);
});

test("a wrong PIN is refused and tried exactly once", async () => {
  const openings = join(folder, "wrong-pin");
  using secret = SecretBuffer.take(Buffer.from("not the PIN"));
  await assert.rejects(open({ config: { pin: canary, openings }, pin: { secret } }), (error: unknown) => {
    assert(error instanceof DeviceError);
    assert.equal(error.code, "DEVICE_PIN_REFUSED");
    assert.match(error.message, /0x01000100/);
    assert.doesNotMatch(error.message, /not the PIN|canary/);
    return true;
  });
  await delay(300);
  assert.equal(readFileSync(openings, "utf8"), ".");
});

test("a PIN that stops being right locks the device and is not tried a second time", async () => {
  const openings = join(folder, "changed-pin");
  const events: NativeDeviceEvent[] = [];
  const pinFile = join(folder, "pin");
  writeFileSync(pinFile, `${canary}\n`, { mode: 0o600 });
  // The first process has another idea of the PIN than its successor: the fake reads it from this file.
  const right = join(folder, "right-pin");
  writeFileSync(right, canary);
  await using device = await open({
    config: { pinFile: right, openings },
    pin: { file: pinFile },
    pool: { reopenFirstMs: 10 },
    tell: (event) => events.push(event),
  });
  writeFileSync(right, "changed");
  await assert.rejects(device.call("exit", []), failure("device", "PROCESS_ENDED"));
  await until(() => device.health().state === "locked", "the device locks");
  await assert.rejects(device.call("echo", []), { code: "DEVICE_LOCKED" });
  await delay(200);
  assert.equal(readFileSync(openings, "utf8"), "..");
  assert.equal(events.filter(({ event }) => event === "locked").length, 1);
});

for (const [openFails, kind, code] of [
  ["comm", "comm", "0x01000003"],
  ["exit", "device", "PROCESS_ENDED"],
  ["throw", "device", "PROGRAM_ERROR"],
  ["hang", "timeout", "OPEN_DEADLINE"],
] as const)
  test(`a device whose opening goes wrong (${openFails}) is told as ${kind}, and its process is gone`, async () => {
    const events: NativeDeviceEvent[] = [];
    const tell = (event: NativeDeviceEvent): void => {
      events.push(event);
    };
    const opening = open({
      config: { openFails },
      tell,
      pool: { openDeadlineMs: openFails === "hang" ? 1_500 : 30_000 },
    });
    await assert.rejects(opening, (error: unknown) => {
      assert.doesNotMatch(String(error), /12345678/);
      return failure(kind, code)(error);
    });
    const [started] = events;
    assert(started?.event === "process-started");
    await until(() => !isAlive(started.pid), "the process ends");
  });

test("a device's process has its loop run soon after it wakes, where the kernel takes that and shows it", async () => {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const pids: number[] = [];
  await using _device = await open({
    tell: (event) => {
      if (event.event === "process-started") pids.push(event.pid);
    },
  });
  const shown = `/proc/${pids[0]}/sched`;
  const sliceNs = existsSync(shown) ? /^se\.slice +: +(\d+)$/m.exec(readFileSync(shown, "utf8"))?.[1] : undefined;
  if (sliceNs !== undefined && (major > 6 || (major === 6 && minor >= 12))) assert.equal(sliceNs, "100000");
});

test("a module that is no program is refused", async () => {
  const path = join(folder, "empty.mjs");
  writeFileSync(path, "export const other = 1;");
  await assert.rejects(open({ program: new URL(`file://${path}`) }), failure("device", "NO_PROGRAM"));
});

test("a module that is not there is refused", async () => {
  await assert.rejects(open({ program: new URL(`file://${folder}/none.mjs`) }), failure("device", "PROGRAM_ERROR"));
});

for (const operation of ["exit", "crash"])
  test(`a library that ends its process mid-call (${operation}) fails that call, which is not sent again`, async () => {
    const openings = join(folder, `ends-${operation}`);
    await using device = await open({ config: { openings }, pool: { reopenFirstMs: 10 } });
    await assert.rejects(device.call(operation, []), (error: unknown) => {
      assert.match(String(error), /whether the call was done is not known/);
      return failure("device", "PROCESS_ENDED")(error);
    });
    const answers = await device.call("echo", [Buffer.from("after")]);
    assert.equal(answers[0]?.toString(), "after");
    assert.equal(device.health().restarts, 1);
    assert.equal(readFileSync(openings, "utf8"), "..");
  });

test("a repeatable call that was with a process when it died is sent once more, then fails", async () => {
  await using device = await open({ pool: { reopenFirstMs: 10 } });
  await assert.rejects(device.call("exit", [], { repeatable: true }), failure("device", "PROCESS_ENDED"));
  await device.call("echo", []);
  assert.equal(device.health().restarts, 2);
});

test("a process that dies too often is not started again", async () => {
  const events: NativeDeviceEvent[] = [];
  await using device = await open({
    pool: { reopenFirstMs: 5, restarts: 2, breakerFailures: 100 },
    tell: (event) => events.push(event),
  });
  for (let times = 0; times < 3; times += 1)
    await assert.rejects(device.call("crash", []), failure("device", "PROCESS_ENDED"));
  await assert.rejects(device.call("echo", []), failure("device", "DOWN"));
  assert.equal(events.at(-1)?.event, "down");
  assert.equal(device.health().state, "down");
});

test("a call that hangs in a thread is told as timeout, and its process is killed and replaced", async () => {
  const events: NativeDeviceEvent[] = [];
  await using device = await open({
    pool: { minSessions: 1, maxSessions: 1, reopenFirstMs: 10, callDeadlineMs: 1_500 },
    tell: (event) => events.push(event),
  });
  const pid = Number(device.info.pid);
  await assert.rejects(device.call("hang", []), failure("timeout", "DEADLINE"));
  await device.call("echo", []);
  await until(() => !isAlive(pid), "the hung process ends");
  assert.notEqual(Number(device.info.pid), pid);
  assert(events.some(({ event }) => event === "session-abandoned"));
});

test("a library that holds the process's only thread is killed by its deadline, without stopping our event loop", async () => {
  const callDeadlineMs = 1_500;
  await using device = await open({ pool: { minSessions: 2, maxSessions: 2, reopenFirstMs: 10, callDeadlineMs } });
  const pid = Number(device.info.pid);
  const lag = monitorEventLoopDelay({ resolution: 5 });
  lag.enable();
  const hung = device.call("hang-thread", []);
  const behind = [1, 2, 3].map(() => device.call("sleep", [milliseconds(1)]));
  await assert.rejects(hung, failure("timeout", "DEADLINE"));
  await Promise.allSettled(behind);
  lag.disable();
  await device.call("echo", []);
  await until(() => !isAlive(pid), "the hung process ends");
  // What waits for the library stands still until the deadline; a busy machine holds one up for some tenths of a second.
  assert(lag.max / 1e6 < callDeadlineMs - 300, `the event loop stood still for ${lag.max / 1e6} ms`);
});

test("one hung call leaves the other sessions at work, and one more costs the process", async () => {
  await using device = await open({
    pool: { minSessions: 3, maxSessions: 3, callDeadlineMs: 3_000, abandonedSessions: 1, reopenFirstMs: 10 },
  });
  const pid = Number(device.info.pid);
  await assert.rejects(device.call("hang", []), failure("timeout", "DEADLINE"));
  await device.call("echo", []);
  assert.equal(Number(device.info.pid), pid);
  assert.deepEqual(
    { ...device.health(), detail: "", lastError: "" },
    {
      state: "degraded",
      detail: "",
      sessions: 2,
      queue: 0,
      abandoned: 1,
      restarts: 0,
      lastError: "",
    },
  );
  await assert.rejects(device.call("hang", []), failure("timeout", "DEADLINE"));
  await device.call("echo", []);
  assert.notEqual(Number(device.info.pid), pid);
});

test("a session that ends is closed and another takes its place, without a new process", async () => {
  await using device = await open({ pool: { maxSessions: 1, reopenFirstMs: 10 } });
  const pid = Number(device.info.pid);
  await assert.rejects(device.call("lose-session", []), failure("session", "0x01010106"));
  await device.call("echo", []);
  assert.equal(Number(device.info.pid), pid);
  assert.equal(device.health().restarts, 0);
});

test("what an unexpected error of the program says stays in its process", async () => {
  await using device = await open();
  await assert.rejects(device.call("leak", [Buffer.from("hunter2")]), (error: unknown) => {
    assert.doesNotMatch(JSON.stringify(error) + String(error), /hunter2/);
    return failure("device", "PROGRAM_ERROR")(error);
  });
});

test("an unknown operation is the program's to refuse, and costs no session", async () => {
  await using device = await open();
  await assert.rejects(device.call("no such thing", []), { code: "DEVICE_UNSUPPORTED" });
  assert.equal(device.health().sessions, 1);
});

test("closing while calls run lets them come back and refuses new ones", async () => {
  const device = await open({ pool: { maxSessions: 1 } });
  const pid = Number(device.info.pid);
  const running = device.call("sleep", [milliseconds(1_500)]);
  const waiting = [1, 2].map(() => assert.rejects(device.call("echo", []), failure("device", "CLOSING")));
  // What waits is in the queue or in the process by now, and was not started.
  await delay(50);
  const closing = device[Symbol.asyncDispose]();
  await assert.rejects(device.call("echo", []), failure("device", "CLOSING"));
  assert.deepEqual(await running, []);
  await Promise.all(waiting);
  await closing;
  assert.equal(isAlive(pid), false);
});

test("signals that a terminal or a service manager sends to all processes do not break off a call", async () => {
  await using device = await open();
  const call = device.call("sleep", [milliseconds(200)]);
  await delay(50);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.kill(Number(device.info.pid), signal);
  assert.deepEqual(await call, []);
  assert.equal(device.health().restarts, 0);
});

test("closing while a call hangs ends within its deadline", async () => {
  const device = await open({ pool: { maxSessions: 1, callDeadlineMs: 300 } });
  const pid = Number(device.info.pid);
  const hung = device.call("hang", []);
  hung.catch(() => undefined);
  await device[Symbol.asyncDispose]();
  await assert.rejects(hung, failure("timeout", "DEADLINE"));
  assert.equal(isAlive(pid), false);
});

test("a locked device has no process, and refuses calls until it is opened anew", async () => {
  using secret = SecretBuffer.take(Buffer.from(canary));
  await using device = await open({ config: { pin: canary }, pin: { secret } });
  const pid = Number(device.info.pid);
  await device.lock();
  assert.equal(isAlive(pid), false);
  await assert.rejects(device.call("echo", []), { code: "DEVICE_LOCKED" });
  assert.equal(device.health().state, "locked");
  assert.equal(secret.disposed, false);
});

test("the PIN is neither in the process's arguments nor in its environment, and it leaves no core", async () => {
  process.env.CREDENTIALS_DIRECTORY = folder;
  using secret = SecretBuffer.take(Buffer.from(canary));
  await using device = await open({ config: { pin: canary }, pin: { secret }, environment: { FAKE_SETTING: "on" } });
  const [told] = await device.call("environment", []);
  const text = told?.toString() ?? "";
  assert.doesNotMatch(text, /canary/);
  assert.match(text, /"FAKE_SETTING":"on"/);
  assert.doesNotMatch(text, /CREDENTIALS_DIRECTORY/);
  const pid = Number(device.info.pid);
  assert.doesNotMatch(readFileSync(`/proc/${pid}/cmdline`, "utf8"), /canary/);
  assert.match(readFileSync(`/proc/${pid}/limits`, "utf8"), /Max core file size +0 +0/);
});

test("a library sees nothing of this process's environment but what programs need, and its own settings", async () => {
  const secrets = ["AWS_SECRET_ACCESS_KEY", "LD_PRELOAD_CANARY", "NODE_EXTRA_CA_CERTS", "LCX_SECRET", "PATH_TO_SECRET"];
  for (const name of secrets) process.env[name] = canary;
  process.env.LC_ALL = "C.UTF-8";
  const { NODE_COMPILE_CACHE: given } = process.env;
  process.env.NODE_COMPILE_CACHE = join(folder, "compiled");
  try {
    await using device = await open({ environment: { FAKE_SETTING: "on" } });
    const [told] = await device.call("environment", []);
    const { env } = JSON.parse(told?.toString() ?? "") as { readonly env: Readonly<Record<string, string>> };
    const environ = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    assert.ok(environ.includes("FAKE_SETTING=on") && environ.includes("LC_ALL=C.UTF-8"), environ.join());
    assert.ok(environ.includes(`NODE_COMPILE_CACHE=${join(folder, "compiled")}`), environ.join());
    for (const variable of environ)
      assert.match(variable, /^(?:PATH|HOME|TZ|LANG|LC_[A-Z]+|NODE_COMPILE_CACHE|FAKE_SETTING|UV_THREADPOOL_SIZE)=/);
  } finally {
    if (given === undefined) delete process.env.NODE_COMPILE_CACHE;
    else process.env.NODE_COMPILE_CACHE = given;
    for (const name of [...secrets, "LC_ALL"]) delete process.env[name];
  }
});

test("a device's process dies with the process that started it, even while a library holds its thread", async () => {
  const script = join(folder, "owner.mjs");
  const module = new URL("../../../../src/devices/native/native-device.ts", import.meta.url).href;
  writeFileSync(
    script,
    `import { NativeDevice } from ${JSON.stringify(module)};
     const device = await NativeDevice.open({ program: new URL(${JSON.stringify(program.href)}), config: {} });
     device.call("hang-thread", []).catch(() => undefined);
     setTimeout(() => console.log(device.info.pid), 300);`,
  );
  const owner = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  const pid = await new Promise<number>((resolve) =>
    owner.stdout.once("data", (chunk) => resolve(Number(String(chunk)))),
  );
  assert.equal(isAlive(pid), true);
  owner.kill("SIGKILL");
  await until(() => !isAlive(pid), "the device's process ends");
});

test("very many calls leave memory and open files as they were, here and in the device's process", async () => {
  await using device = await open({ pool: { minSessions: 2, maxSessions: 2 } });
  const pid = Number(device.info.pid);
  const residentMiB = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
  const openFiles = (): number => readdirSync(`/proc/${pid}/fd`).length + readdirSync("/proc/self/fd").length;
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // What is in use, after a collection: how much of its free memory the runtime keeps is its own business.
  const inUseMiB = (): number => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return (heapUsed + arrayBuffers) / 2 ** 20;
  };
  const argument = Buffer.alloc(256);
  const loop = async (calls: number): Promise<void> => {
    for (let done = 0; done < calls; done += 1) await device.call("echo", [argument]);
  };
  const rounds = async (calls: number): Promise<void> => {
    await Promise.all(Array.from({ length: 8 }, () => loop(calls / 8)));
  };
  await rounds(20_000);
  const before = { child: residentMiB(), own: inUseMiB(), files: openFiles() };
  await rounds(scaled(400_000));
  const grown = { child: residentMiB() - before.child, own: inUseMiB() - before.own };
  assert(grown.child < 30 && grown.own < 5, JSON.stringify(grown));
  assert.equal(openFiles(), before.files);
  assert.equal(device.health().queue, 0);
});

test("a device that is locked while its process starts anew ends quietly, without its PIN being used", async () => {
  const openings = join(folder, "locked-at-restart");
  using secret = SecretBuffer.copyOf(Buffer.from(canary));
  const started = Promise.withResolvers<void>();
  let processes = 0;
  await using device = await open({
    config: { pin: canary, openings },
    pin: { secret },
    pool: { reopenFirstMs: 10 },
    tell: ({ event }) => {
      if (event !== "process-started") return;
      processes += 1;
      if (processes === 2) setImmediate(started.resolve);
    },
  });
  await assert.rejects(device.call("exit", []), failure("device", "PROCESS_ENDED"));
  await started.promise;
  await device.lock();
  assert.equal(readFileSync(openings, "utf8"), ".");
  assert.equal(device.health().state, "locked");
});

for (const [what, frame] of [
  ["that it has opened, a second time", Buffer.from("\x07\0\0\0\x02\x02\0\0\0{}", "latin1")],
  ["that it is ready, a second time", Buffer.of(1, 0, 0, 0, 1)],
  ["what no frame says", Buffer.of(1, 0, 0, 0, 99)],
  ["a frame above the bound", Buffer.of(0xff, 0xff, 0xff, 0xff, 7)],
  ["a fault that is cut", Buffer.of(3, 0, 0, 0, 8, 1, 0)],
] as const)
  test(`a library that says ${what} has its process killed, and its calls end`, async () => {
    await using device = await open({ pool: { reopenFirstMs: 10 } });
    await assert.rejects(device.call("forge", [frame]), failure("device", "PROCESS_ENDED"));
    assert.deepEqual(await device.call("echo", [Buffer.from("again")]), [Buffer.from("again")]);
  });

test("a process that cannot be started for want of file descriptors is a fault of the device, and does not end the server", () => {
  const nativeDevice = new URL("../../../../src/devices/native/native-device.ts", import.meta.url);
  const script = join(folder, "no-descriptors.mjs");
  writeFileSync(
    script,
    `import { closeSync, openSync } from "node:fs";
import { NativeDevice } from ${JSON.stringify(nativeDevice.href)};
const open = () => NativeDevice.open({ program: new URL(${JSON.stringify(program.href)}), config: {} });
const taken = [];
try {
  for (;;) taken.push(openSync("/dev/null", "r"));
} catch {}
const failure = await open().then(() => undefined, (error) => error);
for (const each of taken) closeSync(each);
await using device = await open();
process.stdout.write(JSON.stringify({ kind: failure.failure.kind, code: failure.failure.code }));
`,
  );
  const { stdout, stderr, status } = spawnSync(
    "bash",
    ["-c", `ulimit -n 256; exec "$0" "$1"`, process.execPath, script],
    {
      encoding: "utf8",
    },
  );
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { kind: "device", code: "NOT_STARTED" });
});
