import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, suite, test } from "node:test";
import { recordNames } from "../../../../src/enclave/ercc/records.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { OrganisationAuthority } from "../../../../src/enclave/ledger/embedded/organisation-authority.ts";
import { serializeIdentity } from "../../../../src/enclave/ledger/membership.ts";
import type { LedgerExchange } from "../../../../src/enclave/trusted-ledger/exchange.ts";
import { openTrustedLedger } from "../../../../src/enclave/trusted-ledger/open.ts";
import { ChannelWorld, chaincodeId, trustedLedgerKinds } from "./channel-world.ts";

for (const kind of trustedLedgerKinds)
  suite(`an enclave that believes ${kind}`, () => {
    let world: ChannelWorld;
    before(async () => {
      world = await ChannelWorld.create(kind);
    });
    after(async () => {
      await world[Symbol.asyncDispose]();
    });

    test("hears the records that the ledger has, and that there is none where there is none", async () => {
      const ledger = world.open();
      for (const name of [recordNames.policy(chaincodeId), recordNames.credentials(chaincodeId, world.enclaveId)]) {
        const value = await ledger.record(name);
        const [there] = await world.exchange({ kind: "record", name });
        assert.ok(there);
        assert.deepEqual(Buffer.from(value ?? []), Buffer.from(there));
      }
      assert.equal(await ledger.record(recordNames.chaincodeEk(chaincodeId)), undefined);
      assert.equal(await ledger.record(recordNames.credentials(chaincodeId, "AB".repeat(32))), undefined);
    });

    test("hears whether an enclave may endorse, until it is revoked", async () => {
      const ledger = world.open();
      assert.equal(await ledger.canEndorse(chaincodeId, world.enclaveId), true);
      assert.equal(await ledger.canEndorse(chaincodeId, "AB".repeat(32)), false);
      const other = await world.register();
      await eventually(async () => assert.equal(await ledger.canEndorse(chaincodeId, other), true));
      await world.submit("revokeEnclave", chaincodeId, other, "a test");
      await eventually(async () => assert.equal(await ledger.canEndorse(chaincodeId, other), false));
      assert.equal(await ledger.canEndorse(chaincodeId, world.enclaveId), true);
    });

    test("hears the hashes of the private chaincode's state: as it is now, and of nobody else's", async () => {
      const ledger = world.open();
      const keys = ["lot", "none", "\u0000responses\u0000tx\u0000"];
      const hashes = async (block?: bigint) =>
        (await ledger.stateHashes(keys, block)).map((hash) => hash && Buffer.from(hash).toString("hex"));
      const applied = await world.write(keys[2] ?? "", "applied");
      for (const value of ["one", "two"]) {
        const block = await world.write("lot", value);
        assert.ok(block > applied);
        // A ledger enclave is told what it has to know of; peers of a quorum have committed before the client is told.
        assert.deepEqual(await hashes(block), [sha256(value), undefined, sha256("applied")]);
      }
      const deleted = await world.write("lot");
      assert.deepEqual(await hashes(deleted), [undefined, undefined, sha256("applied")]);
    });

    test("hears who is a member of the channel", async () => {
      const ledger = world.open();
      const stranger = await OrganisationAuthority.create("Org1MSP");
      const issued = await stranger.authority.issue({ commonName: "mallory", units: ["client"] });
      const own = world.ledger.identity("Org2MSP", "client");
      for (const [identity, isMember] of [
        [own, true],
        [world.ledger.identity("Org1MSP", "admin"), true],
        [{ ...own, mspId: "Org1MSP" }, false],
        [{ ...own, mspId: "Org9MSP" }, false],
        [{ mspId: "Org1MSP", certificate: issued.certificate }, false],
      ] as const)
        assert.equal(await ledger.isMember(serializeIdentity(identity)), isMember);
      assert.equal(await ledger.isMember(Buffer.from("noise")), false);
    });

    test("does not believe a host that alters the hashes, or gives those of another question", async () => {
      const block = await world.write("altered", "value");
      const truth = sha256("value");
      for (const place of [0.2, 0.4, 0.6, 0.8]) {
        const lying: LedgerExchange = async (asked) => {
          const answers = await world.exchange(asked);
          return asked.kind === "creator" ? answers : answers.map((answer) => flipped(answer, place));
        };
        try {
          const [hash] = await world.open(lying).stateHashes(["altered"], block);
          assert.equal(hash && Buffer.from(hash).toString("hex"), truth);
        } catch (error) {
          assert.ok(error instanceof EnclaveError, String(error));
        }
      }
      const [, none] = await world.open().stateHashes(["altered", "other"], block);
      assert.equal(none, undefined);
    });

    test("hears of a change once it is on the ledger", async () => {
      const ledger = world.open();
      const id = await world.register();
      await eventually(async () => assert.ok(await ledger.record(recordNames.credentials(chaincodeId, id))));
    });

    test("does not believe a host that alters what it passes on", async () => {
      const name = recordNames.policy(chaincodeId);
      const truth = await world.open().record(name);
      assert.ok(truth);
      for (const question of ["endorse", "session", "record"] as const)
        for (const place of [0.3, 0.5, 0.9]) {
          const lying: LedgerExchange = async (asked) => {
            const answers = await world.exchange(asked);
            return asked.kind === question ? answers.map((answer) => flipped(answer, place)) : answers;
          };
          await assertTruthOrRefusal(world.open(lying).record(name), truth);
        }
    });

    test("does not believe answers to what was asked before", async () => {
      const kept = new Map<string, readonly Uint8Array[]>();
      const replaying: LedgerExchange = async (asked) => {
        const before = kept.get(asked.kind);
        if (before !== undefined) return before;
        const answers = await world.exchange(asked);
        kept.set(asked.kind, answers);
        return answers;
      };
      const name = recordNames.policy(chaincodeId);
      const first = world.open(replaying);
      // A session has several messages before its first answer, so one that repeats the first never begins.
      if (kind === "signed quorum reads") assert.ok(await first.record(name));
      await assert.rejects(first.record(name), EnclaveError);
      await assert.rejects(world.open(replaying).canEndorse(chaincodeId, world.enclaveId), EnclaveError);
    });

    test("does not take another channel or another registry for its own", async () => {
      const name = recordNames.policy(chaincodeId);
      await assert.rejects(world.open(world.exchange, { channelId: "other-channel" }).record(name), EnclaveError);
      const parameters = { ...world.parameters, erccName: "other-ercc" };
      await assert.rejects(openTrustedLedger(parameters, world.exchange, world.context()).record(name), EnclaveError);
    });

    test("is told that the ledger is not there, and not that a record is not", async () => {
      const name = recordNames.policy(chaincodeId);
      const silent: LedgerExchange = async (asked) => (asked.kind === "creator" ? world.exchange(asked) : []);
      await assert.rejects(world.open(silent).record(name), { code: "LEDGER_UNAVAILABLE" });
      const failing: LedgerExchange = () => Promise.reject(new EnclaveError("LEDGER_UNAVAILABLE", "a test"));
      await assert.rejects(world.open(failing).canEndorse(chaincodeId, world.enclaveId), {
        code: "LEDGER_UNAVAILABLE",
      });
    });

    test("refuses a name that would be another record's", async () => {
      const ledger = world.open();
      for (const attribute of ["", `${chaincodeId}\u0000${world.enclaveId}`])
        await assert.rejects(ledger.record({ type: "namespaces/credentials", attributes: [attribute] }), EnclaveError);
    });
  });

/** The ledger enclave hears of a block a moment after its transaction's client does. */
async function eventually(check: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1)
    try {
      await check();
      return;
    } catch (error) {
      if (attempt === 2400) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function flipped(bytes: Uint8Array, place: number): Uint8Array {
  const changed = Buffer.from(bytes);
  if (changed.length === 0) return changed;
  const at = Math.floor(changed.length * place);
  changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
  return changed;
}

async function assertTruthOrRefusal(reading: Promise<Uint8Array | undefined>, truth: Uint8Array): Promise<void> {
  let read: Uint8Array | undefined;
  try {
    read = await reading;
  } catch (error) {
    assert.ok(error instanceof EnclaveError, String(error));
    return;
  }
  assert.deepEqual(Buffer.from(read ?? []), Buffer.from(truth));
}
