import * as z from "zod";

/** As auction.ts lets in. */
const maxBids = 10_000;

const callerSchema = z.strictObject({ mspId: z.string(), certificateHash: z.string() });

/** An auction as it lies, encrypted, in the state. */
export const auctionSchema = z.strictObject({
  seller: callerSchema,
  open: z.boolean(),
  bids: z.array(z.strictObject({ bidder: callerSchema, amount: z.string() })).max(maxBids),
});
export type Auction = z.infer<typeof auctionSchema>;
