import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { SealedEnclaveSchema } from "../../../../src/enclave/messages/generated/fpc/sealed_pb.ts";
import { decodeStrict } from "../../../../src/enclave/messages/strict.ts";
import { World } from "../../../unit/enclave/process/world.ts";
import { DrivenStub, isRunning } from "./driven-stub.ts";
import { testEntry } from "./entries.ts";

/** Each is long enough that it is nowhere by chance: 16 bytes of SEK, more of all else. */
function needlesIn(keysFile: string): ReadonlyMap<string, Buffer> {
  const needles = new Map<string, Buffer>();
  for (const line of readFileSync(keysFile, "utf8").trim().split("\n")) {
    const state = decodeStrict(SealedEnclaveSchema, Buffer.from(line, "base64"));
    const add = (name: string, pem: Uint8Array) => {
      const text = Buffer.from(pem).toString();
      // Of SEC1 the private number comes first and the public point after it; of PKCS#1 the private ones are in the middle.
      const lines = text.split("\n");
      needles.set(`${name} as PEM`, Buffer.from(lines[text.includes(" EC ") ? 1 : Math.floor(lines.length / 2)] ?? ""));
      const jwk = createPrivateKey(text).export({ format: "jwk" });
      for (const part of ["d", "p", "q"] as const) {
        const value = jwk[part];
        if (value === undefined) continue;
        const bytes = Buffer.from(value, "base64url");
        needles.set(`${name}.${part}`, bytes.subarray(0, 32));
        // As OpenSSL holds numbers on this processor.
        needles.set(`${name}.${part} reversed`, Buffer.from(bytes).reverse().subarray(0, 32));
      }
    };
    add("Enclave_SK", state.enclaveSk);
    add("Enclave_DK", state.enclaveDk);
    for (const { stateEncryptionKey, chaincodeDk } of state.generations) {
      needles.set("SEK", Buffer.from(stateEncryptionKey));
      add("Chaincode_DK", chaincodeDk);
    }
  }
  return needles;
}

/** Names of the needles that lie in a process's memory. */
function foundInMemory(pid: number, needles: ReadonlyMap<string, Buffer>): Set<string> {
  const found = new Set<string>();
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const chunk = Buffer.alloc(4 << 20);
  const overlap = 64;
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, "latin1").split("\n")) {
      const range = /^([0-9a-f]+)-([0-9a-f]+) r.*?(\[vvar|\[vsyscall)?/.exec(line);
      if (!range?.[1] || !range[2] || /\[v(?:var|syscall)/.test(line)) continue;
      const end = BigInt(`0x${range[2]}`);
      for (let at = BigInt(`0x${range[1]}`); at < end; at += BigInt(chunk.length - overlap)) {
        const wanted = Number(end - at > BigInt(chunk.length) ? BigInt(chunk.length) : end - at);
        let read = 0;
        try {
          read = readSync(memory, chunk, 0, wanted, at);
        } catch {
          // Pages that are there by name only.
        }
        for (const [name, needle] of needles) if (chunk.subarray(0, read).includes(needle)) found.add(name);
      }
    }
  } finally {
    closeSync(memory);
  }
  return found;
}

describe("the keys of an enclave", () => {
  let world: World;
  let driven: DrivenStub;
  let folder: string;
  let needles: ReadonlyMap<string, Buffer>;

  before(async () => {
    world = await World.start();
    folder = join(world.folder, "stub");
    const keysFile = join(world.folder, "keys");
    const entry = testEntry(world, "Org1MSP", { keysFile }).href;
    const { ccParams, hostParams, channelHash, trustedLedger } = world.creation("Org1MSP");
    const parts = [ccParams, hostParams, channelHash, trustedLedger].map((part) =>
      Buffer.from(part).toString("base64"),
    );
    const ran = await DrivenStub.run(world, { folder, entry, action: "createAndGenerate", parts });
    driven = ran.stub;
    assert.equal(ran.end.end, "done");
    needles = needlesIn(keysFile);
  });
  after(async () => {
    await driven.kill();
    world[Symbol.dispose]();
  });

  test("are in no byte of the stub's memory", () => {
    assert.ok(needles.size >= 17, [...needles.keys()].join());
    assert.deepEqual([...foundInMemory(driven.pid, needles)], []);
  });

  test("are found by the same search in the enclave's own", () => {
    const found = foundInMemory(driven.enclavePid, needles);
    for (const name of ["SEK", "Chaincode_DK as PEM", "Enclave_SK as PEM", "Enclave_DK as PEM"])
      assert.ok(found.has(name), `${name} is not where it has to be`);
  });

  test("are in no file that the stub keeps", () => {
    const names = readdirSync(folder);
    for (const name of ["blob", "credentials", "trusted-ledger"]) assert.ok(names.includes(name), `${name} is missing`);
    for (const name of names)
      for (const [needle, bytes] of needles)
        assert.equal(readFileSync(join(folder, name)).includes(bytes), false, `${needle} is in ${name}`);
  });

  test("are in a process that leaves no core, has no environment of its host's and cannot be looked into", () => {
    const { enclavePid: pid } = driven;
    const limits = readFileSync(`/proc/${pid}/limits`, "utf8");
    assert.match(limits, /^Max core file size +0 +0 /m);
    const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").filter(Boolean);
    assert.deepEqual(
      environment.map((one) => one.split("=")[0]),
      ["PATH"],
    );
    const [, command] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    assert.equal(command, "--disable-sigusr1");
  });

  test("end with the stub, however that ends", async () => {
    const { enclavePid } = driven;
    await driven.kill();
    assert.equal(isRunning(enclavePid), false);
  });
});
