import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceFault } from "../../../../src/devices/native/fault.ts";
import type { DeviceSession, HeldCall, OpenedDevice } from "../../../../src/devices/native/program.ts";
import { type HostReplies, SessionHost } from "../../../../src/devices/native/session-host.ts";
import { settle } from "./fake-ground.ts";

/** A pretended device whose calls and openings end when a test says so. */
class FakeDevice implements OpenedDevice {
  readonly info = { fake: true };
  readonly running = new Map<string, PromiseWithResolvers<readonly Buffer[]>>();
  readonly log: string[] = [];
  openFault: Error | undefined;
  opening: Promise<void> = Promise.resolve();
  confirming = (held: readonly HeldCall[]): Promise<readonly (DeviceFault | undefined)[]> =>
    Promise.resolve(held.map(() => undefined));

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
      mustConfirm: (operation) => operation.startsWith("held"),
      confirm: (held) => {
        this.log.push(`confirm ${held.map(({ operation }) => operation).join()}`);
        return this.confirming(held);
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

/** Sends calls that must be confirmed, and lets the library end them. */
async function held(count: number, given?: Awaited<ReturnType<typeof withSessions>>) {
  const all = given ?? (await withSessions(1));
  const names = Array.from({ length: count }, (_, index) => `held ${index}`);
  for (const [id, name] of names.entries()) all.host.call(id, 1, name, []);
  const end = async (name: string) => {
    all.device.running.get(name)?.resolve([Buffer.from("x")]);
    await settle();
  };
  return { ...all, names, end };
}

test("an answer that must be confirmed leaves after its confirmation, which began when its call had ended", async () => {
  const { device, replies, end } = await held(1);
  const confirming = Promise.withResolvers<readonly undefined[]>();
  device.confirming = () => confirming.promise;
  await end("held 0");
  assert.deepEqual(device.log, ["held 0", "confirm held 0"]);
  assert.deepEqual(replies, []);
  confirming.resolve([undefined]);
  await settle();
  assert.deepEqual(replies, ["answered 0 x"]);
});

test("while more calls wait, up to eight answers are confirmed together; the last are not left for calls to come", async () => {
  const { device, names, end } = await held(11);
  for (const name of names) await end(name);
  assert.deepEqual(
    device.log.filter((line) => line.startsWith("confirm")),
    ["confirm held 0,held 1,held 2,held 3,held 4,held 5,held 6,held 7", "confirm held 8,held 9", "confirm held 10"],
  );
});

test("an answer that is not confirmed is wiped, and its caller gets the fault; the others go out", async () => {
  const { device, replies, names, end } = await held(4);
  const answers: Buffer[] = [];
  device.confirming = (calls) => {
    answers.push(...calls.flatMap((call) => call.answers));
    const changed = new DeviceFault({ kind: "integrity", code: "KEY_CHANGED", message: "another key" });
    return Promise.resolve(calls.map((_, index) => (index === 1 ? changed : undefined)));
  };
  for (const name of names) await end(name);
  assert.deepEqual(replies, ["answered 0 x", "faulted 1 KEY_CHANGED", "answered 2 x", "answered 3 x"]);
  for (const answer of answers) assert.deepEqual(answer, Buffer.alloc(1));
});

test("nothing leaves unconfirmed when confirming fails, or does not speak of each call", async () => {
  for (const confirming of [
    () => Promise.reject(new DeviceFault({ kind: "session", code: "0x1", message: "gone" })),
    () => Promise.resolve([]),
  ]) {
    const { device, replies, names, end } = await held(3);
    device.confirming = confirming;
    for (const name of names) await end(name);
    assert.ok(replies.length > 0 && replies.every((reply) => !reply.startsWith("answered")), replies.join());
  }
});

test("what is lost with one trouble counts as one", async () => {
  const gone = () => new DeviceFault({ kind: "session", code: "0x1", message: "gone" });
  const byConfirming = await held(4);
  byConfirming.device.confirming = () => Promise.reject(gone());
  for (const name of byConfirming.names) await byConfirming.end(name);
  assert.deepEqual(byConfirming.replies, [
    "faulted 0 0x1",
    "revoked 3",
    "faulted 1 0x1, again",
    "faulted 2 0x1, again",
  ]);

  const byCall = await held(4);
  byCall.device.confirming = () => Promise.reject(gone());
  await byCall.end("held 0");
  await byCall.end("held 1");
  byCall.device.running.get("held 2")?.reject(gone());
  await settle();
  assert.deepEqual(byCall.replies, ["faulted 2 0x1", "revoked 3", "faulted 0 0x1, again", "faulted 1 0x1, again"]);
});

test("no session is opened or closed between a call and its confirmation", async () => {
  const given = await withSessions(2);
  const { host: sessions, device, replies, end } = await held(3, given);
  await end("held 0");
  sessions.closeSession(2);
  await end("held 1");
  assert.deepEqual(device.log, ["held 0", "held 1", "confirm held 0,held 1", "close session", "held 2"]);
  assert.deepEqual(replies, ["answered 0 x", "answered 1 x", "alone", "closed 2"]);
});
