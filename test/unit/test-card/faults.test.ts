import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { sm2VerifyDigest } from "../../../src/crypto/sm2-digest.ts";
import { makeTestCard, sdfCardMissing, type TestCard } from "../../sdf-card/build.ts";
import { SdfCaller, sdr } from "../../sdf-card/caller.ts";

const pin = "12345678";
const digest = Buffer.alloc(32, 7);
const caller = join(import.meta.dirname, "doomed-caller.ts");

describe("the test card's faults", { skip: sdfCardMissing() }, () => {
  let card: TestCard;
  let sdf: SdfCaller;
  let session: bigint;
  let device: bigint;

  beforeEach(() => {
    card = makeTestCard(pin);
    card.admin("generate", "1");
    sdf = new SdfCaller(card.library);
    device = sdf.openDevice().device;
    session = sdf.openSession(device);
    assert.equal(sdf.takeRight(session, 1, pin), sdr.ok);
  });
  afterEach(() => card[Symbol.dispose]());

  const signs = (count: number): number[] => Array.from({ length: count }, () => sdf.sign(session, 1, digest).code);

  it("can be unplugged and plugged in again while it runs", () => {
    card.setFaults("unplugged=1");
    assert.deepEqual(signs(2), [sdr.commFail, sdr.commFail]);
    assert.equal(sdf.openDevice().code, sdr.unplugged);
    assert.equal(sdf.call("SDF_OpenSession", device, Buffer.alloc(8)), sdr.unplugged);
    card.setFaults();
    assert.deepEqual(signs(1), [sdr.ok]);
  });

  it("fails at the nth call once, or at each nth", () => {
    card.setFaults("commfail-at=2");
    assert.deepEqual(signs(4), [0, sdr.commFail, 0, 0]);
    card.setFaults("commfail-every=2");
    assert.deepEqual(signs(4), [0, sdr.commFail, 0, sdr.commFail]);
  });

  it("counts only the calls that are named", () => {
    card.setFaults("commfail-at=1", "on=SDF_InternalSign_ECC");
    const random = (): number => sdf.call("SDF_GenerateRandom", session, 8, Buffer.alloc(8));
    assert.equal(random(), sdr.ok);
    assert.deepEqual(signs(2), [sdr.commFail, sdr.ok]);
  });

  it("loses one session for good, and that one only", () => {
    const other = sdf.openSession(device);
    assert.equal(sdf.takeRight(other, 1, pin), sdr.ok);
    card.setFaults("die-at=2");
    assert.deepEqual(signs(4), [0, sdr.sessionLost, sdr.sessionLost, sdr.sessionLost]);
    assert.equal(sdf.sign(other, 1, digest).code, sdr.ok);
    assert.equal(sdf.call("SDF_CloseSession", session), sdr.ok);
    session = sdf.openSession(device);
    assert.deepEqual(signs(1), [sdr.noRight]);
  });

  it("gives a wrong signature where asked to", () => {
    card.setFaults("corrupt-at=2");
    const publicKey = sdf.publicKey(session, 1);
    const verdicts = [1, 2].map(() => sm2VerifyDigest(publicKey, digest, sdf.sign(session, 1, digest).signature));
    assert.deepEqual(verdicts, [false, true]);
  });

  it("opens no more sessions than it has, and 64 without the fault", () => {
    card.setFaults("max-sessions=2");
    assert.ok(sdf.openSession(device));
    assert.equal(sdf.call("SDF_OpenSession", device, Buffer.alloc(8)), sdr.openSession);
    card.setFaults();
    for (let i = 2; i < 64; i++) sdf.openSession(device);
    assert.equal(sdf.call("SDF_OpenSession", device, Buffer.alloc(8)), sdr.openSession);
  });

  it("takes longer for each call, or for the right alone", () => {
    const took = (run: () => unknown): number => {
      const from = performance.now();
      run();
      return performance.now() - from;
    };
    card.setFaults("latency-ms=40");
    assert.ok(took(() => signs(1)) >= 40);
    card.setFaults("right-ms=60");
    assert.ok(took(() => sdf.takeRight(session, 1, pin)) >= 60);
  });

  function doomed(plan: string, ...faults: string[]): SpawnSyncReturns<string> {
    card.setFaults(...faults);
    return spawnSync(process.execPath, [caller, card.library, plan], { encoding: "utf8", timeout: 60_000 });
  }

  it("crashes its process", () => {
    const process = doomed("sign", "crash-at=2", "on=SDF_InternalSign_ECC");
    assert.equal(process.signal, "SIGSEGV");
    assert.equal(process.stdout, "ready\n");
  });

  it("ends its process as a library that calls exit does", () => {
    const process = doomed("sign", "exit-at=2", "on=SDF_InternalSign_ECC");
    assert.equal(process.status, 3);
  });

  it("hangs at a call until its process is killed", async () => {
    card.setFaults("hang-at=1", "on=SDF_InternalSign_ECC");
    const child = spawn(process.execPath, [caller, card.library, "sign"], { stdio: ["ignore", "pipe", "inherit"] });
    let printed = "";
    child.stdout.on("data", (text) => {
      printed += text;
    });
    await once(child.stdout, "data");
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(child.exitCode, null);
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.equal(printed, "ready\n");
  });

  for (const plan of ["two-at-once", "open-beside"])
    it(`aborts its process under strict when ${plan.replaceAll("-", " ")}, and not without`, () => {
      const strict = doomed(plan, "strict=1", "latency-ms=400");
      assert.equal(strict.signal, "SIGABRT");
      assert.match(strict.stderr, /sdf-card: strict: SDF_\w+ (overlaps another call|is a second call on one session)/);
      assert.equal(doomed(plan, "latency-ms=100").stdout, "ready\ndone 0 0\n");
    });

  it("allows calls on two sessions at once under strict", () => {
    assert.equal(doomed("in-parallel", "strict=1", "latency-ms=100").stdout, "ready\ndone 0 0\n");
  });

  it("takes faults from the environment too, and stops at a word it doesn't know", () => {
    card.setFaults();
    const run = (faults: string): SpawnSyncReturns<string> =>
      spawnSync(process.execPath, [caller, card.library, "sign"], {
        encoding: "utf8",
        env: { ...process.env, SDF_CARD_FAULTS: faults },
      });
    assert.equal(run("on=SDF_InternalSign_ECC,commfail-at=1").stdout, `ready\ndone ${sdr.commFail} 0 0\n`);
    for (const word of ["latency=5", "hang-at", "unplugged=yes"]) {
      const stopped = run(word);
      assert.equal(stopped.signal, "SIGABRT");
      assert.match(stopped.stderr, /no such fault/);
    }
  });
});
