import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { auction } from "../../../../src/enclave/chaincode/auction.ts";
import type { Caller, ConfidentialState } from "../../../../src/enclave/chaincode/confidential-chaincode.ts";

const caller = (mspId: string): Caller => ({ mspId, certificateHash: mspId.padEnd(64, "0") });
const [seller, alice, bob, carol] = [caller("Org1MSP"), caller("Org2MSP"), caller("Org3MSP"), caller("Org4MSP")];

class PlainState implements ConfidentialState {
  readonly values = new Map<string, Buffer>();

  get(key: string): Promise<Buffer | undefined> {
    return Promise.resolve(this.values.get(key));
  }

  put(key: string, value: Uint8Array): void {
    this.values.set(key, Buffer.from(value));
  }

  delete(key: string): void {
    this.values.delete(key);
  }
}

/** Calls it as `who`; a refused call must have written nothing. */
function auctionHouse() {
  const state = new PlainState();
  return async (who: Caller, transaction: string, ...args: string[]): Promise<string> => {
    const before = new Map(state.values);
    const answer = await auction.invoke({ transaction, args, caller: who, state });
    if (answer.status !== 200) assert.deepEqual(state.values, before, "a refused call wrote");
    return answer.status === 200 ? Buffer.from(answer.payload).toString() : `${answer.status} ${answer.message}`;
  };
}

describe("the sealed-bid auction", () => {
  it("gives the highest bid once its seller has closed it", async () => {
    const call = auctionHouse();
    assert.equal(await call(seller, "create", "van Gogh"), "OK");
    assert.equal(await call(alice, "submit", "van Gogh", "900"), "OK");
    assert.equal(await call(bob, "submit", "van Gogh", "1000"), "OK");
    assert.equal(await call(carol, "submit", "van Gogh", "99"), "OK");
    assert.equal(await call(seller, "close", "van Gogh"), "OK");
    assert.deepEqual(JSON.parse(await call(alice, "eval", "van Gogh")), { amount: "1000", ...bob });
  });

  it("says nothing of its bids while it is open", async () => {
    const call = auctionHouse();
    await call(seller, "create", "a");
    await call(alice, "submit", "a", "5");
    for (const who of [seller, alice, bob]) assert.equal(await call(who, "eval", "a"), "409 AUCTION_STILL_OPEN");
  });

  it("takes a bidder's later bid in place of the earlier, lower or higher", async () => {
    const call = auctionHouse();
    await call(seller, "create", "a");
    await call(alice, "submit", "a", "500");
    await call(bob, "submit", "a", "300");
    await call(alice, "submit", "a", "100");
    await call(seller, "close", "a");
    assert.deepEqual(JSON.parse(await call(seller, "eval", "a")), { amount: "300", ...bob });
  });

  it("keeps two auctions apart", async () => {
    const call = auctionHouse();
    await call(seller, "create", "a");
    await call(alice, "create", "b");
    await call(bob, "submit", "a", "7");
    await call(alice, "close", "b");
    assert.equal(await call(bob, "eval", "b"), "409 AUCTION_NO_BIDS");
    assert.equal(await call(bob, "eval", "a"), "409 AUCTION_STILL_OPEN");
  });

  it("has no winner among equal highest bids", async () => {
    const call = auctionHouse();
    await call(seller, "create", "a");
    for (const who of [alice, bob]) await call(who, "submit", "a", "10");
    await call(carol, "submit", "a", "9");
    await call(seller, "close", "a");
    assert.equal(await call(seller, "eval", "a"), "409 AUCTION_DRAW");
  });

  it("lets only its seller close it, once", async () => {
    const call = auctionHouse();
    await call(seller, "create", "a");
    assert.equal(await call(alice, "close", "a"), "403 NOT_THE_SELLER");
    assert.equal(await call({ ...seller, certificateHash: "F".repeat(64) }, "close", "a"), "403 NOT_THE_SELLER");
    assert.equal(await call(seller, "close", "a"), "OK");
    assert.equal(await call(seller, "close", "a"), "409 AUCTION_ALREADY_CLOSED");
    assert.equal(await call(alice, "submit", "a", "1"), "409 AUCTION_ALREADY_CLOSED");
  });

  it("refuses what there is none of, or already is", async () => {
    const call = auctionHouse();
    for (const [transaction, ...args] of [
      ["submit", "a", "1"],
      ["close", "a"],
      ["eval", "a"],
    ] as const)
      assert.equal(await call(alice, transaction, ...args), "409 AUCTION_NOT_EXISTING");
    await call(seller, "create", "a");
    assert.equal(await call(alice, "create", "a"), "409 AUCTION_ALREADY_EXISTING");
  });

  for (const amount of ["", "0", "-1", "01", "1.5", "1e3", " 1", "1000000000000000000", "١"])
    it(`refuses the bid ${JSON.stringify(amount)}`, async () => {
      const call = auctionHouse();
      await call(seller, "create", "a");
      assert.equal(await call(alice, "submit", "a", amount), "400 BAD_ARGUMENTS");
    });

  it("refuses too few and too many arguments, names that are empty or too long, and other transactions", async () => {
    const call = auctionHouse();
    for (const args of [[], [""], ["a", "b"], ["a".repeat(65)]])
      assert.equal(await call(seller, "create", ...args), "400 BAD_ARGUMENTS");
    assert.equal(await call(seller, "submit", "a"), "400 BAD_ARGUMENTS");
    assert.equal(await call(seller, "constructor", "a"), "400 UNKNOWN_TRANSACTION");
  });
});
