import type { Duplex } from "node:stream";
import type { KeyHolder } from "./key-holder.ts";
import {
  encodeAnswer,
  longestEnvelopeBytes,
  longestKeyBytes,
  type Question,
  questionHeadBytes,
  readQuestion,
} from "./sealfs/server/holder-messages.ts";

const mostPendingBytes = 16 * (questionHeadBytes + longestEnvelopeBytes);

/** Answers what the server of a volume asks about envelopes, one question after the other, until the server has gone. */
export function answerForKeyHolder(channel: Duplex, unwrap: NonNullable<KeyHolder["unwrap"]>): void {
  let pending = Buffer.alloc(0);
  let isAnswering = false;
  const next = (): void => {
    if (isAnswering || channel.destroyed) return;
    let read: ReturnType<typeof readQuestion>;
    try {
      read = readQuestion(pending);
    } catch {
      channel.destroy();
      return;
    }
    if (read === undefined) return;
    pending = pending.subarray(read.length);
    isAnswering = true;
    void answerTo(read.question, unwrap).then((answer) => {
      isAnswering = false;
      if (channel.destroyed) answer.fill(0);
      else channel.write(answer, () => answer.fill(0));
      next();
    });
  };
  channel.on("error", () => {});
  channel.on("data", (bytes: Buffer) => {
    pending = Buffer.concat([pending, bytes]);
    if (pending.length > mostPendingBytes) channel.destroy();
    else next();
  });
}

async function answerTo(
  { number, publicKey, envelope }: Question,
  unwrap: NonNullable<KeyHolder["unwrap"]>,
): Promise<Buffer> {
  try {
    using key = await unwrap(envelope, publicKey);
    if (key.byteLength > longestKeyBytes) return encodeAnswer(number, "refused");
    return key.expose((bytes) => encodeAnswer(number, "opened", bytes));
  } catch (error) {
    const { code } = (error ?? {}) as { readonly code?: unknown };
    return encodeAnswer(number, typeof code === "string" && code.endsWith("REFUSED") ? "refused" : "unavailable");
  }
}
