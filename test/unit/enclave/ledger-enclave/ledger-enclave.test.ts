import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import type { EvidenceJudge } from "../../../../src/enclave/evidence/judge.ts";
import { LedgerEnclave } from "../../../../src/enclave/ledger-enclave/ledger-enclave.ts";
import { writeStart } from "../../../../src/enclave/ledger-enclave/settings.ts";
import type { TeeBackend } from "../../../../src/enclave/tee/backend.ts";
import { TestChannel } from "./test-channel.ts";

const channel = await TestChannel.create();
const settings = writeStart({ tee: { kind: "process", platform: "/nowhere" }, erccName: "ercc" });
const noJudge: EvidenceJudge = { judge: () => Promise.reject(new TypeError("a fake judge that nobody asks")) };
const last = Buffer.of(1);
const more = Buffer.of(0);

/** With a fake platform, which says that it is one. */
function newEnclave(disposed: () => void = () => undefined): LedgerEnclave {
  const none = () => Promise.reject(new EnclaveError("BAD_EVIDENCE", "a fake platform"));
  const backend: TeeBackend = {
    kind: "process",
    protectsFromRoot: false,
    measure: async () => "a fake measurement",
    quote: none,
    seal: none,
    unseal: none,
    [Symbol.asyncDispose]: async () => disposed(),
  };
  return new LedgerEnclave({ openBackend: async () => backend, judge: noJudge, toEvidence: none });
}

async function started(): Promise<LedgerEnclave> {
  const enclave = newEnclave();
  await enclave.call("start", [settings, channel.genesisBlock]);
  return enclave;
}

suite("the calls of a ledger enclave", () => {
  test("start it once, with the channel that its first block is of", async () => {
    const enclave = newEnclave();
    const [hash, measurement] = await enclave.call("start", [settings, channel.genesisBlock]);
    assert.deepEqual(hash, channel.channelHash);
    assert.equal(measurement?.toString(), "a fake measurement");
    await assert.rejects(enclave.call("start", [settings, channel.genesisBlock]), { code: "SETTINGS_INVALID" });
  });

  test("bring a block whole or in pieces", async () => {
    const enclave = await started();
    const one = channel.block(1n, channel.genesisBlock, [await channel.transaction(channel.defineErcc())]);
    const two = channel.block(2n, one, []);
    const at = async (isLast: Buffer, piece: Buffer) =>
      Buffer.from((await enclave.call("block", [isLast, piece]))[0] ?? []).readBigUInt64BE();
    assert.equal(await at(last, one), 1n);
    assert.equal(await at(more, two.subarray(0, 100)), 1n);
    assert.equal(await at(more, two.subarray(100, 101)), 1n);
    assert.equal(await at(last, two.subarray(101)), 2n);
  });

  test("give a block up that cannot be taken, and begin the next one anew", async () => {
    const enclave = await started();
    await assert.rejects(enclave.call("block", [last, Buffer.from("noise")]), { code: "MALFORMED" });
    const [number] = await enclave.call("block", [last, channel.block(1n, channel.genesisBlock, [])]);
    assert.equal(Buffer.from(number ?? []).readBigUInt64BE(), 1n);
  });

  test("are refused before the start, and where there is none of the name or form", async () => {
    const session = [Buffer.from("message")];
    for (const name of ["block", "session", "status"])
      await assert.rejects(newEnclave().call(name, session), { code: "LEDGER_UNAVAILABLE" });
    const enclave = await started();
    for (const [name, parts] of [
      ["unknown", []],
      ["session", []],
      ["session", [...session, ...session]],
      ["block", [last]],
      ["block", [Buffer.alloc(2), last]],
      ["block", [last, last, last]],
      ["start", [settings]],
    ] as const)
      await assert.rejects(enclave.call(name, parts), { code: "MALFORMED" }, name);
  });

  test("start nothing with wrong settings or another block", async () => {
    const second = channel.block(1n, channel.genesisBlock, []);
    await assert.rejects(newEnclave().call("start", [Buffer.from("{}"), channel.genesisBlock]), {
      code: "SETTINGS_INVALID",
    });
    await assert.rejects(newEnclave().call("start", [settings, second]), { code: "MALFORMED" });
  });

  test("always answer a session's message with one", async () => {
    const enclave = await started();
    for (const message of ["", "noise"]) {
      const [answer] = await enclave.call("session", [Buffer.from(message)]);
      assert.ok(answer && answer.length > 0);
    }
  });

  test("end its platform with it", async () => {
    let disposed = 0;
    const enclave = newEnclave(() => {
      disposed += 1;
    });
    await enclave.end();
    assert.equal(disposed, 0);
    await enclave.call("start", [settings, channel.genesisBlock]);
    await enclave.end();
    assert.equal(disposed, 1);
  });
});
