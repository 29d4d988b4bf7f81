import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { findKeyState, requireGeneration } from "../../../../src/enclave/ercc/generations.ts";
import { parseRecord, recordNames } from "../../../../src/enclave/ercc/records.ts";
import { type RecordType, recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import {
  SignedCCKeyRegistrationMessageSchema,
  SignedExportMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import type { ChaincodeGeneration } from "../../../../src/enclave/protocol/chaincode-keys.ts";
import { enclaveIdOf } from "../../../../src/enclave/protocol/enclave-id.ts";
import { readExport } from "../../../../src/enclave/protocol/export.ts";
import { readRegistration } from "../../../../src/enclave/protocol/registration.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { Consortium, chaincodeId, generations, type TestEnclave } from "./consortium.ts";

const { first, otherFirst, second, otherSecond, third } = generations;
/** What any enclave may claim to hold, rightly or not. */
const claims = [first, otherFirst, second, otherSecond, third] as const;
const admin = { mspId: "Org1MSP", isAdmin: true };

const index = fc.nat({ max: 3 });
const claim = fc.constantFrom(...claims);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("register" as const), a: index, claim }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("export" as const), a: index, b: index, claim }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("propose" as const), a: index, claim, previous: claim }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("activate" as const, "abandon" as const), number: index }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("revoke" as const), a: index }) },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What the ledger has let happen, told from the transactions that it took. */
class Witness {
  /** By EK: the enclaves that made it or to which it was exported. */
  readonly holders = new Map<string, Set<string>>();
  /** By enclave: the EKs that were there when it was revoked. */
  readonly revoked = new Map<string, Set<string>>();

  give(ek: Uint8Array, id: string): void {
    const key = Buffer.from(ek).toString();
    this.holders.set(key, (this.holders.get(key) ?? new Set()).add(id));
  }

  revoke(id: string): void {
    this.revoked.set(id, new Set(this.holders.keys()));
  }
}

async function take({ consortium, enclaves }: World, one: Step, witness: Witness): Promise<void> {
  const pick = (number: number) => enclaves[number] as TestEnclave;
  switch (one.kind) {
    case "register": {
      const isFirst = (await findKeyState(consortium.ledger.begin(admin, 0), chaincodeId)) === undefined;
      await consortium.registerKeys(pick(one.a), one.claim);
      if (isFirst) witness.give(one.claim.ekPem, pick(one.a).id);
      return;
    }
    case "export":
      await consortium.putExport(pick(one.a), pick(one.b), one.claim);
      witness.give(one.claim.ekPem, pick(one.b).id);
      return;
    case "propose":
      if (one.claim.number !== one.previous.number + 1n) return;
      await consortium.propose(pick(one.a), one.claim, one.previous);
      witness.give(one.claim.ekPem, pick(one.a).id);
      return;
    case "activate":
    case "abandon":
      await consortium.call("Org1MSP", `${one.kind}Generation`, chaincodeId, `${one.number}`);
      return;
    case "revoke":
      await consortium.call(pick(one.a).mspId, "revokeEnclave", chaincodeId, pick(one.a).id, "lost");
      witness.revoke(pick(one.a).id);
  }
}

interface World {
  readonly consortium: Consortium;
  readonly enclaves: readonly TestEnclave[];
}

/** What has to hold whatever was taken. */
async function checkInvariants({ consortium }: World, witness: Witness): Promise<void> {
  const state = consortium.ledger.begin(admin, 0);
  const keyState = await findKeyState(state, chaincodeId);
  if (keyState === undefined) return;
  const active = await requireGeneration(state, chaincodeId, keyState.active);
  const chaincodeEk = (await state.get(recordNames.chaincodeEk(chaincodeId))) ?? Buffer.alloc(0);
  assert.equal(active.state, "active");
  assert.deepEqual(Buffer.from(chaincodeEk), Buffer.from(active.chaincodeEk));
  assert(keyState.rotateAbove <= keyState.active);
  assert(keyState.proposed === 0n || keyState.proposed === keyState.active + 1n);

  const mayBeHeldBy = (ek: Uint8Array, id: string) => witness.holders.get(Buffer.from(ek).toString())?.has(id) === true;
  for (const id of witness.revoked.keys()) {
    const isStopped: boolean = keyState.rotateAbove >= keyState.active;
    assert(isStopped || !mayBeHeldBy(chaincodeEk, id), "keys are in use that a revoked enclave may hold");
    if (keyState.proposed === 0n) continue;
    const proposed = await requireGeneration(state, chaincodeId, keyState.proposed);
    assert(!mayBeHeldBy(proposed.chaincodeEk, id), "keys are proposed that a revoked enclave may hold");
  }
  const hold = (id: string, ek: Uint8Array) => {
    const key = Buffer.from(ek).toString();
    assert(witness.holders.get(key)?.has(id), "keys are registered that were never given");
    const before = witness.revoked.get(id);
    assert(before === undefined || before.has(key), "a revoked enclave has got newer keys");
  };
  const records = async (type: RecordType) => {
    const found: { id: string; value: Uint8Array }[] = [];
    for await (const { attributes, value } of state.scan(type, [chaincodeId]))
      found.push({ id: attributes.at(-1) ?? "", value });
    return found;
  };
  for (const type of [recordTypes.provisioned, recordTypes.confirmed])
    for (const { id, value } of await records(type)) {
      const { generation, chaincodeEk: ek } = readRegistration(
        parseRecord(value, SignedCCKeyRegistrationMessageSchema),
      );
      hold(id, ek);
      assert(generation <= ((type === recordTypes.confirmed && keyState.proposed) || keyState.active));
    }
  for (const { id, value } of await records(recordTypes.exported)) {
    const exported = readExport(parseRecord(value, SignedExportMessageSchema));
    hold(id, exported.chaincodeEk);
    hold(enclaveIdOf(exported.senderEnclaveVk).text, exported.chaincodeEk);
  }
}

/** Generation 1, and most of what follows it, come about by themselves; the random steps are put between. */
function usual(a: number, b: number, newest: ChaincodeGeneration, previous: ChaincodeGeneration): Step[] {
  return [
    { kind: "propose", a, claim: newest, previous },
    { kind: "register", a, claim: newest },
    { kind: "export", a, b, claim: newest },
    { kind: "register", a: b, claim: newest },
    { kind: "activate", number: Number(newest.number) },
  ];
}

it("Whatever transactions are tried, keys are only ever registered by who was given them", async () => {
  const course: Step[] = [
    { kind: "register", a: 0, claim: first },
    { kind: "export", a: 0, b: 1, claim: first },
    { kind: "register", a: 1, claim: first },
    ...usual(0, 1, second, first),
    ...usual(1, 0, third, second),
  ];
  let taken = 0;
  const property = fc.asyncProperty(
    fc.array(fc.array(step, { maxLength: 4 }), { minLength: 13, maxLength: 13 }),
    async (between) => {
      const consortium = await Consortium.start();
      const world = {
        consortium,
        enclaves: [
          await consortium.newEnclave("Org1MSP"),
          await consortium.newEnclave("Org2MSP", { rsa: 1 }),
          await consortium.newEnclave("Org3MSP"),
          await consortium.newEnclave("Org1MSP", { rsa: 1 }),
        ],
      };
      const witness = new Witness();
      for (const one of course.flatMap((usualStep, at) => [...(between[at] ?? []), usualStep])) {
        const before = consortium.ledger.snapshot();
        try {
          await take(world, one, witness);
          taken += 1;
        } catch (error) {
          assert(error instanceof EnclaveError, String(error));
          assert.equal(consortium.ledger.snapshot(), before);
        }
        await checkInvariants(world, witness);
      }
    },
  );
  await fc.assert(property, { seed, numRuns: scaled(60) });
  assert(taken > 0);
});
