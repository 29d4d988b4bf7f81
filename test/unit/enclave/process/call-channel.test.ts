import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { describe, test } from "node:test";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { type Answerer, CallChannel } from "../../../../src/enclave/process/call-channel.ts";
import { encodeFrame } from "../../../../src/enclave/process/frames.ts";

const nothing: Answerer = () => Promise.resolve([]);

function channelPair(answers: { readonly host?: Answerer; readonly enclave?: Answerer }) {
  const [hostSide, enclaveSide] = duplexPair();
  const closures: string[] = [];
  const open = (socket: typeof hostSide, side: "host" | "enclave") =>
    new CallChannel(socket, {
      answer: answers[side] ?? nothing,
      closed: (error) => closures.push(`${side}: ${error?.name ?? "in order"}`),
      unexpected: () => "ENCLAVE_ENDED: an error of its own",
    });
  return { host: open(hostSide, "host"), enclave: open(enclaveSide, "enclave"), hostSide, closures };
}

describe("calls between an enclave and its host", () => {
  test("carry a name and parts, and the answer's parts back", async () => {
    const { host } = channelPair({ enclave: (name, parts) => Promise.resolve([Buffer.from(name), ...parts]) });
    const answer = await host.call("echo", Buffer.from("one"), Buffer.alloc(0));
    assert.deepEqual(answer.map(String), ["echo", "one", ""]);
  });

  test("go the other way while one is under way", async () => {
    const pair = channelPair({
      host: (name) => Promise.resolve([Buffer.from(`host's ${name}`)]),
      enclave: () => pair.enclave.call("store"),
    });
    assert.deepEqual((await pair.host.call("generate")).map(String), ["host's store"]);
  });

  test("that overlap get each its own answer, whichever comes first", async () => {
    const waiting: (() => void)[] = [];
    const { host } = channelPair({
      enclave: (name) => new Promise((resolve) => waiting.push(() => resolve([Buffer.from(name)]))),
    });
    const both = [host.call("first"), host.call("second")];
    while (waiting.length < 2) await new Promise(setImmediate);
    for (const answer of waiting.reverse()) answer();
    assert.deepEqual(
      (await Promise.all(both)).map(([name]) => String(name)),
      ["first", "second"],
    );
  });

  test("that are refused end with the refusal's code and message", async () => {
    const { host } = channelPair({
      enclave: () => Promise.reject(new EnclaveError("KEYS_EXIST", "keys are there already")),
    });
    await assert.rejects(host.call("generate"), { code: "KEYS_EXIST", message: "keys are there already" });
  });

  test("that meet an error without a code tell nothing of its text", async () => {
    const { host } = channelPair({ enclave: () => Promise.reject(new Error("a secret")) });
    await assert.rejects(host.call("generate"), { code: "ENCLAVE_ENDED", message: "an error of its own" });
  });

  test("end when the other side does", async () => {
    const { host, hostSide, closures } = channelPair({ enclave: () => new Promise(() => undefined) });
    const call = assert.rejects(host.call("generate"), { code: "ENCLAVE_ENDED" });
    hostSide.destroy();
    await call;
    await assert.rejects(host.call("status"), { code: "ENCLAVE_ENDED" });
    assert.ok(closures.includes("host: in order"));
  });

  test("of any number wait for one another, and break nothing: a client may send as many requests as it likes", async () => {
    const waiting: (() => void)[] = [];
    const { host, closures } = channelPair({
      enclave: (name) => new Promise((resolve) => waiting.push(() => resolve([Buffer.from(name)]))),
    });
    const names = Array.from({ length: 1000 }, (_, index) => `call ${index}`);
    const all = Promise.all(names.map((name) => host.call(name)));
    let isOver = false;
    void all.then(
      () => (isOver = true),
      () => (isOver = true),
    );
    while (!isOver) {
      for (const answer of waiting.splice(0)) answer();
      await new Promise(setImmediate);
    }
    assert.deepEqual(
      (await all).map(([name]) => String(name)),
      names,
    );
    assert.deepEqual(closures, []);
  });

  test("that wait for others end with the channel", async () => {
    const { host, hostSide } = channelPair({ enclave: () => new Promise(() => undefined) });
    const all = Array.from({ length: 300 }, () => assert.rejects(host.call("invoke"), { code: "ENCLAVE_ENDED" }));
    hostSide.destroy();
    await Promise.all(all);
  });

  describe("for clients", () => {
    function busyPair() {
      const answers = new Map<string, () => void>();
      const order: string[] = [];
      const [hostSide, enclaveSide] = duplexPair();
      const options = { closed: () => undefined, unexpected: () => "ENCLAVE_ENDED: an error of its own" };
      const host = new CallChannel(hostSide, {
        ...options,
        answer: nothing,
        isForClient: (name) => name.startsWith("client"),
      });
      new CallChannel(enclaveSide, {
        ...options,
        answer: (name) => {
          order.push(name);
          return new Promise((resolve) => answers.set(name, () => resolve([Buffer.from(name)])));
        },
      });
      const begun = async (name: string) => {
        while (!answers.has(name)) await new Promise(setImmediate);
      };
      const call = (name: string) => host.call(name).then(([answer]) => String(answer));
      const finish = async (name: string) => {
        await begun(name);
        answers.get(name)?.();
      };
      return { call, finish, begun, order, host, hostSide };
    }
    const names = (what: string, count: number) => Array.from({ length: count }, (_, index) => `${what} ${index}`);

    test("leave places for the operator's steps, however many are made and none is answered", async () => {
      const { call, finish, order, hostSide } = busyPair();
      const clients = names("client", 2000).map((name) => assert.rejects(call(name), { code: "ENCLAVE_ENDED" }));
      const steps = names("step", 32);
      const answered = Promise.all(steps.map(call));
      for (const name of steps) await finish(name);
      assert.deepEqual(await answered, steps);
      assert.equal(order.filter((name) => name.startsWith("client")).length, 223);
      hostSide.destroy();
      await Promise.all(clients);
    });

    test("begin after the steps that wait, each as it was made", async () => {
      const { call, finish, begun, order } = busyPair();
      const [clients, steps] = [names("client", 225), names("step", 34)];
      const all = Promise.all([...clients, ...steps].map(call));
      await begun("step 31");
      assert.equal(order.length, 255);
      await finish("client 0");
      await begun("step 32");
      await finish("client 1");
      await begun("step 33");
      await finish("client 2");
      await begun("client 223");
      assert.deepEqual(order.slice(255), ["step 32", "step 33", "client 223"]);
      for (const name of [...clients.slice(3), ...steps]) await finish(name);
      assert.deepEqual(await all, [...clients, ...steps]);
    });

    test("give their place back where their arguments are too long", async () => {
      const { call, finish, host } = busyPair();
      for (const name of names("client", 300))
        await assert.rejects(host.call(name, Buffer.alloc(8 * 1024 * 1024)), { code: "MALFORMED" });
      const answered = call("client after");
      await finish("client after");
      assert.equal(await answered, "client after");
    });
  });

  test("of arguments beyond a frame's limit are refused and leave the channel usable", async () => {
    const { host } = channelPair({});
    await assert.rejects(host.call("export", Buffer.alloc(8 * 1024 * 1024)), { code: "MALFORMED" });
    assert.deepEqual(await host.call("status"), []);
  });

  test("whose answer is beyond it are told so, and the side that answers is not at fault", async () => {
    const { host, enclave, closures } = channelPair({ host: () => Promise.resolve([Buffer.alloc(8 * 1024 * 1024)]) });
    await assert.rejects(enclave.call("ledger"), { code: "MALFORMED", message: "the answer to ledger is too long" });
    assert.deepEqual(await host.call("status"), []);
    assert.deepEqual(closures, []);
  });

  for (const [what, bytes] of [
    ["an answer to no call", encodeFrame({ kind: "answer", number: 9, parts: [] })],
    ["a fault to no call", encodeFrame({ kind: "fault", number: 9, parts: [] })],
    ["a call without a name", encodeFrame({ kind: "call", number: 9, parts: [] })],
    ["a name that is too long", encodeFrame({ kind: "call", number: 9, parts: [Buffer.alloc(65, "a")] })],
    ["noise", Buffer.alloc(40, 0xff)],
  ] as const)
    test(`close the channel at ${what}`, async () => {
      const { hostSide, closures } = channelPair({});
      hostSide.write(bytes);
      while (closures.length === 0) await new Promise(setImmediate);
      assert.equal(closures[0], "enclave: FrameError");
    });
});
