import type { Auction } from "./auction-state.ts";
import type {
  Caller,
  ChaincodeAnswer,
  ChaincodeCall,
  ConfidentialChaincode,
  ConfidentialState,
} from "./confidential-chaincode.ts";

const maxNameLength = 64;
const maxBids = 10_000;

/**
 * A sealed-bid auction: nobody, not even whoever runs the peers, learns a bid before the ledger has the auction closed by its
 * seller, and of the bids that lost nobody ever learns more than that they were lower. Transactions, and the answers of Fabric
 * Private Chaincode's own sample:
 *
 *     create NAME          OK | AUCTION_ALREADY_EXISTING
 *     submit NAME AMOUNT   OK | AUCTION_NOT_EXISTING | AUCTION_ALREADY_CLOSED     a bidder's later bid replaces the earlier
 *     close NAME           OK | AUCTION_NOT_EXISTING | AUCTION_ALREADY_CLOSED | NOT_THE_SELLER
 *     eval NAME            JSON {amount, mspId, certificateHash} | AUCTION_STILL_OPEN | AUCTION_NO_BIDS | AUCTION_DRAW | …
 */
export const auction: ConfidentialChaincode = {
  async invoke({ transaction, args, caller, state }: ChaincodeCall): Promise<ChaincodeAnswer> {
    const [name = "", amount] = args;
    const wanted = transaction === "submit" ? 2 : 1;
    if (args.length !== wanted || name === "" || name.length > maxNameLength) return refused("BAD_ARGUMENTS", 400);
    switch (transaction) {
      case "create":
        return create(state, name, caller);
      case "submit":
        return submit(state, name, caller, amount ?? "");
      case "close":
        return close(state, name, caller);
      case "eval":
        return evaluate(state, name);
      default:
        return refused("UNKNOWN_TRANSACTION", 400);
    }
  },
};

async function create(state: ConfidentialState, name: string, seller: Caller): Promise<ChaincodeAnswer> {
  if ((await read(state, name)) !== undefined) return refused("AUCTION_ALREADY_EXISTING");
  write(state, name, { seller: { ...seller }, open: true, bids: [] });
  return done("OK");
}

async function submit(
  state: ConfidentialState,
  name: string,
  bidder: Caller,
  amount: string,
): Promise<ChaincodeAnswer> {
  if (!/^[1-9][0-9]{0,17}$/.test(amount)) return refused("BAD_ARGUMENTS", 400);
  const found = await read(state, name);
  if (found === undefined) return refused("AUCTION_NOT_EXISTING");
  if (!found.open) return refused("AUCTION_ALREADY_CLOSED");
  const others = found.bids.filter((bid) => !isSame(bid.bidder, bidder));
  if (others.length >= maxBids) return refused("AUCTION_FULL");
  write(state, name, { ...found, bids: [...others, { bidder: { ...bidder }, amount }] });
  return done("OK");
}

async function close(state: ConfidentialState, name: string, caller: Caller): Promise<ChaincodeAnswer> {
  const found = await read(state, name);
  if (found === undefined) return refused("AUCTION_NOT_EXISTING");
  if (!isSame(found.seller, caller)) return refused("NOT_THE_SELLER", 403);
  if (!found.open) return refused("AUCTION_ALREADY_CLOSED");
  write(state, name, { ...found, open: false });
  return done("OK");
}

async function evaluate(state: ConfidentialState, name: string): Promise<ChaincodeAnswer> {
  const found = await read(state, name);
  if (found === undefined) return refused("AUCTION_NOT_EXISTING");
  if (found.open) return refused("AUCTION_STILL_OPEN");
  const [first, second] = found.bids.toSorted((a, b) => Number(BigInt(b.amount) - BigInt(a.amount)));
  if (first === undefined) return refused("AUCTION_NO_BIDS");
  if (second?.amount === first.amount) return refused("AUCTION_DRAW");
  return done(JSON.stringify({ amount: first.amount, ...first.bidder }));
}

async function read(state: ConfidentialState, name: string): Promise<Auction | undefined> {
  const value = await state.get(key(name));
  if (value === undefined) return undefined;
  // An enclave that only hands keys on does not load it: a tenth of its start.
  const { auctionSchema } = await import("./auction-state.ts");
  return auctionSchema.parse(JSON.parse(value.toString("utf8")));
}

function write(state: ConfidentialState, name: string, auction: Auction): void {
  state.put(key(name), Buffer.from(JSON.stringify(auction)));
}

function key(name: string): string {
  return `auction/${name}`;
}

function isSame(a: Caller, b: Caller): boolean {
  return a.mspId === b.mspId && a.certificateHash === b.certificateHash;
}

function done(text: string): ChaincodeAnswer {
  return { status: 200, message: "", payload: Buffer.from(text) };
}

function refused(text: string, status = 409): ChaincodeAnswer {
  return { status, message: text, payload: Buffer.alloc(0) };
}
