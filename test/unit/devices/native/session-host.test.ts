import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceFault } from "../../../../src/devices/native/fault.ts";
import type { DeviceSession, GroupCall, GroupOutcome, OpenedDevice } from "../../../../src/devices/native/program.ts";
import { type HostReplies, SessionHost } from "../../../../src/devices/native/session-host.ts";
import { settle } from "./fake-ground.ts";

/** A pretended device whose calls and openings end when a test says so. */
class FakeDevice implements OpenedDevice {
  readonly info = { fake: true };
  readonly running = new Map<string, PromiseWithResolvers<readonly Buffer[]>>();
  readonly log: string[] = [];
  openFault: Error | undefined;
  opening: Promise<void> = Promise.resolve();
  /** Groups that were given and not told of, the oldest first. */
  readonly groups: (PromiseWithResolvers<readonly GroupOutcome[]> & { readonly calls: readonly GroupCall[] })[] = [];
  /** Operations that have begun, whatever group they are of. */
  readonly begun = new Set<string>();

  async openSession(): Promise<DeviceSession> {
    this.log.push("open");
    await this.opening;
    if (this.openFault !== undefined) throw this.openFault;
    return {
      call: (operation) => {
        this.log.push(operation);
        if (operation === "throws at once") throw new Error("with a secret");
        if (operation === "answers at once") return [Buffer.from("now")];
        const outcome = Promise.withResolvers<readonly Buffer[]>();
        this.running.set(operation, outcome);
        return outcome.promise;
      },
      runsInGroups: (operation) => operation.startsWith("g"),
      runGroup: (calls) => {
        const names = calls.map(({ operation }) => operation);
        this.log.push(`group ${names.join()}`);
        if (names.includes("g throws")) throw new Error("with a secret");
        const group = { ...Promise.withResolvers<readonly GroupOutcome[]>(), calls };
        this.groups.push(group);
        return { outcomes: group.promise, revoke: (at) => !this.begun.has(names[at] ?? "") };
      },
      close: () => {
        this.log.push("close session");
        return Promise.reject(new Error("it was gone already"));
      },
    };
  }

  close(): Promise<void> {
    this.log.push("close device");
    return Promise.resolve();
  }
}

function host(): { device: FakeDevice; host: SessionHost; replies: string[] } {
  const device = new FakeDevice();
  const replies: string[] = [];
  const say = (what: string) => (one: number, fault?: unknown) =>
    replies.push(
      fault instanceof DeviceFault ? `${what} ${one} ${fault.code}${fault.follows ? ", again" : ""}` : `${what} ${one}`,
    );
  const listener: HostReplies = {
    alone: () => replies.push("alone"),
    sessionOpened: say("opened"),
    sessionFailed: say("open failed"),
    sessionClosed: say("closed"),
    answered: (id, answers) => replies.push(`answered ${id} ${answers.join()}`),
    faulted: say("faulted"),
    revoked: say("revoked"),
  };
  return { device, host: new SessionHost(device, listener), replies };
}

async function withSessions(count: number) {
  const all = host();
  for (let slot = 1; slot <= count; slot += 1) all.host.openSession(slot);
  await settle();
  all.replies.length = 0;
  all.device.log.length = 0;
  return all;
}

test("sessions are opened one after the other, each alone", async () => {
  const { host: sessions, replies } = host();
  sessions.openSession(1);
  sessions.openSession(2);
  assert.deepEqual(replies, ["alone"]);
  await settle();
  assert.deepEqual(replies, ["alone", "opened 1", "alone", "opened 2"]);
});

test("a session runs one call at a time, in order", async () => {
  const { host: sessions, device, replies } = await withSessions(1);
  sessions.call(7, 1, "a", []);
  sessions.call(8, 1, "b", []);
  assert.deepEqual(device.log, ["a"]);
  device.running.get("a")?.resolve([Buffer.from("x")]);
  await settle();
  assert.deepEqual(device.log, ["a", "b"]);
  assert.deepEqual(replies, ["answered 7 x"]);
});

test("no session opens while a call runs, and no call starts while one waits to open", async () => {
  const { host: sessions, device, replies } = await withSessions(2);
  sessions.call(1, 1, "a", []);
  sessions.openSession(3);
  sessions.call(2, 2, "b", []);
  await settle();
  assert.deepEqual(device.log, ["a"]);
  assert.deepEqual(replies, []);
  device.running.get("a")?.resolve([]);
  await settle();
  assert.deepEqual(device.log, ["a", "open", "b"]);
  assert.deepEqual(replies, ["answered 1 ", "alone", "opened 3"]);
});

test("arguments are wiped when their call has ended, and answers once they are told", async () => {
  const { host: sessions, device } = await withSessions(1);
  const argument = Buffer.from("secret");
  const answer = Buffer.from("secret");
  sessions.call(1, 1, "a", [argument]);
  assert.equal(argument.toString(), "secret");
  device.running.get("a")?.resolve([answer]);
  await settle();
  assert.deepEqual([argument, answer], [Buffer.alloc(6), Buffer.alloc(6)]);
});

test("a fault that evicts ends the session: what waits in it is revoked, and so is what comes later", async () => {
  const { host: sessions, device, replies } = await withSessions(1);
  const waiting = Buffer.from("secret");
  sessions.call(1, 1, "a", []);
  sessions.call(2, 1, "b", [waiting]);
  device.running.get("a")?.reject(new DeviceFault({ kind: "session", code: "0x1", message: "gone" }));
  await settle();
  sessions.call(3, 1, "c", []);
  assert.deepEqual(replies, ["faulted 1 0x1", "revoked 2", "revoked 3"]);
  assert.deepEqual(device.log, ["a"]);
  assert.deepEqual(waiting, Buffer.alloc(6));
});

test("a call that has started is not revoked, one that waits is", async () => {
  const { host: sessions, replies } = await withSessions(1);
  sessions.call(1, 1, "a", []);
  sessions.call(2, 1, "b", []);
  sessions.revoke(1);
  sessions.revoke(2);
  sessions.revoke(99);
  assert.deepEqual(replies, ["revoked 2"]);
});

test("a call to a session that is not there is revoked", async () => {
  const { host: sessions, replies } = await withSessions(1);
  sessions.call(1, 4, "a", []);
  assert.deepEqual(replies, ["revoked 1"]);
});

test("an error that is no fault ends the session and is told without its message, even one thrown at once", async () => {
  const { host: sessions, device, replies } = await withSessions(2);
  sessions.call(1, 1, "throws at once", []);
  sessions.call(2, 1, "never", []);
  sessions.call(3, 2, "a", []);
  device.running.get("a")?.reject(new Error("with a secret"));
  await settle();
  assert.deepEqual(replies, ["faulted 1 PROGRAM_ERROR", "revoked 2", "faulted 3 PROGRAM_ERROR"]);
});

test("a session that does not open is told with its fault, and the others go on", async () => {
  const { host: sessions, device, replies } = await withSessions(1);
  device.openFault = new DeviceFault({ kind: "auth", code: "0x01000100", message: "wrong PIN" });
  sessions.openSession(2);
  sessions.call(1, 1, "a", []);
  await settle();
  assert.deepEqual(replies, ["alone", "open failed 2 0x01000100"]);
  assert.deepEqual(device.log, ["open", "a"]);
});

test("closing a session that closes badly, or is not there, is told as closed", async () => {
  const { host: sessions, replies } = await withSessions(1);
  sessions.closeSession(1);
  sessions.closeSession(9);
  await settle();
  assert.deepEqual(replies, ["alone", "closed 9", "closed 1"]);
});

test("closing everything waits for what runs, revokes what waits, and closes the device last", async () => {
  const { host: sessions, device, replies } = await withSessions(2);
  sessions.call(1, 1, "a", []);
  sessions.call(2, 1, "b", []);
  const closing = sessions.close();
  await settle();
  assert.deepEqual(device.log, ["a"]);
  device.running.get("a")?.resolve([]);
  await closing;
  assert.deepEqual(replies, ["revoked 2", "answered 1 ", "alone"]);
  assert.deepEqual(device.log, ["a", "close session", "close session", "close device"]);
});

test("calls that are answered at once are run one after the other, and a fault among them is told", async () => {
  const { host: sessions, replies } = await withSessions(1);
  for (const [id, operation] of ["answers at once", "answers at once", "throws at once"].entries())
    sessions.call(id, 1, operation, []);
  sessions.call(9, 1, "a", []);
  await settle();
  assert.deepEqual(replies, ["answered 0 now", "answered 1 now", "faulted 2 PROGRAM_ERROR", "revoked 9"]);
});

const gone = (follows = false) => new DeviceFault({ kind: "session", code: "0x1", message: "gone", follows });
const done = (calls: readonly GroupCall[]) => calls.map(({ operation }) => [Buffer.from(operation)]);

/** Sends calls that run in groups, and lets the oldest group end. */
async function grouped(count: number, given?: Awaited<ReturnType<typeof withSessions>>) {
  const all = given ?? (await withSessions(1));
  for (let id = 0; id < count; id += 1) all.host.call(id, 1, `g${id}`, []);
  await settle();
  const end = async (outcomes: (calls: readonly GroupCall[]) => readonly GroupOutcome[] = done) => {
    const group = all.device.groups.shift();
    group?.resolve(outcomes(group.calls));
    await settle();
  };
  return { ...all, end };
}

test("calls that arrive together run in groups of up to eight, two of which a session is given at most", async () => {
  const { device, replies, end } = await grouped(19);
  assert.deepEqual(device.log, ["group g0,g1,g2,g3,g4,g5,g6,g7", "group g8,g9,g10,g11,g12,g13,g14,g15"]);
  assert.deepEqual(replies, []);
  await end();
  assert.equal(device.log[2], "group g16,g17,g18");
  assert.equal(replies.join(), Array.from({ length: 8 }, (_, id) => `answered ${id} g${id}`).join());
});

test("a call that arrives alone is a group of its own at once", async () => {
  const { device, replies, end } = await grouped(1);
  assert.deepEqual(device.log, ["group g0"]);
  await end();
  assert.deepEqual(replies, ["answered 0 g0"]);
});

test("groups and other calls of a session run in the order in which they came, and not beside each other", async () => {
  const { host: sessions, device, replies, end } = await grouped(2);
  sessions.call(7, 1, "a", []);
  sessions.call(8, 1, "g8", []);
  await settle();
  assert.deepEqual(device.log, ["group g0,g1"]);
  await end();
  assert.deepEqual(device.log, ["group g0,g1", "a"]);
  device.running.get("a")?.resolve([]);
  await settle();
  assert.equal(device.log[2], "group g8");
  await end();
  assert.deepEqual(replies, ["answered 0 g0", "answered 1 g1", "answered 7 ", "answered 8 g8"]);
});

test("a call of a group that has a fault is told with it; the others are answered, and their answers wiped", async () => {
  const { replies, end } = await grouped(3);
  const answers: Buffer[] = [];
  await end((calls) => {
    answers.push(...done(calls).flat());
    const changed = new DeviceFault({ kind: "integrity", code: "KEY_CHANGED", message: "another key" });
    return answers.map((answer, at) => (at === 1 ? changed : [answer]));
  });
  assert.deepEqual(replies, ["answered 0 g0", "faulted 1 KEY_CHANGED", "answered 2 g2"]);
  assert.deepEqual(answers[0], Buffer.alloc(2));
});

test("what a group has not run is run by the next, before what came later", async () => {
  const { host: sessions, device, replies, end } = await grouped(3);
  sessions.call(3, 1, "g3", []);
  await settle();
  await end((calls) => done(calls).map((answer, at) => (at === 0 ? answer : undefined)));
  assert.deepEqual(device.log, ["group g0,g1,g2", "group g3", "group g1,g2"]);
  await end();
  await end();
  assert.deepEqual(replies, ["answered 0 g0", "answered 3 g3", "answered 1 g1", "answered 2 g2"]);
});

test("a fault that evicts revokes what its group has not run, and what waits behind it", async () => {
  const { host: sessions, replies, end } = await grouped(3);
  for (const id of [3, 4]) sessions.call(id, 1, `g${id}`, []);
  await settle();
  await end(() => [gone(), gone(true), undefined]);
  assert.deepEqual(replies, ["faulted 0 0x1", "revoked 3", "revoked 4", "faulted 1 0x1, again", "revoked 2"]);
  await end(() => [undefined, undefined]);
  assert.equal(replies.length, 5);
});

test("a group that is lost, is told of wrongly, or does not start costs all its calls, as one trouble", async () => {
  const lost = await grouped(2);
  lost.device.groups.shift()?.reject(gone());
  await settle();
  assert.deepEqual(lost.replies, ["faulted 0 0x1", "faulted 1 0x1, again"]);

  const short = await grouped(2);
  await short.end(() => [[Buffer.from("x")]]);
  assert.deepEqual(short.replies, ["faulted 0 PROGRAM_ERROR", "faulted 1 PROGRAM_ERROR, again"]);

  const { host: sessions, replies } = await withSessions(1);
  sessions.call(1, 1, "g throws", []);
  sessions.call(2, 1, "g2", []);
  await settle();
  assert.deepEqual(replies, ["faulted 1 PROGRAM_ERROR", "faulted 2 PROGRAM_ERROR, again"]);
});

test("a call of a group is revoked until it has begun, and told of once", async () => {
  const { host: sessions, device, replies, end } = await grouped(3);
  device.begun.add("g0");
  for (const id of [0, 1, 1]) sessions.revoke(id);
  assert.deepEqual(replies, ["revoked 1"]);
  await end((calls) => done(calls).map((answer, at) => (at === 1 ? undefined : answer)));
  assert.deepEqual(replies, ["revoked 1", "answered 0 g0", "answered 2 g2"]);
});

test("no session is opened or closed while a group runs or waits behind another; what has not begun is revoked", async () => {
  const { host: sessions, device, replies, end } = await grouped(10, await withSessions(2));
  for (let id = 0; id < 8; id += 1) device.begun.add(`g${id}`);
  sessions.closeSession(1);
  sessions.closeSession(2);
  await settle();
  assert.deepEqual(replies, ["revoked 8", "revoked 9"]);
  await end();
  assert.equal(device.log.includes("close session"), false);
  await end(() => [undefined, undefined]);
  assert.deepEqual(device.log.slice(2), ["close session", "close session"]);
  assert.deepEqual(replies.slice(-4), ["alone", "closed 1", "alone", "closed 2"].slice(-4));
});
