import type { IncomingMessage } from "node:http";
import { joinAndWipe, wipeAll } from "../crypto/chunks.ts";

/** The connection ended before the request did: nobody is there to answer. */
export class CallerGone extends Error {
  override readonly name = "CallerGone";
}

/** The body is longer than the door takes; what came of it is wiped. */
export class BodyTooLarge extends Error {
  override readonly name = "BodyTooLarge";
}

const noBody: Promise<Buffer> = Promise.resolve(Buffer.alloc(0));

/**
 * The whole body; empty without one. It may hold a secret: the caller wipes it then, and no other copy is left here.
 *
 * @throws {BodyTooLarge} Over `maxBytes`: as soon as that is known, without reading the rest.
 * @throws {CallerGone}
 */
export function readRequestBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const announced = request.headers["content-length"];
  if (announced === undefined && request.headers["transfer-encoding"] === undefined) return noBody;
  if (Number(announced) > maxBytes) return Promise.reject(new BodyTooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    let ended = false;
    request.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length <= maxBytes) return;
      request.pause();
      wipeAll(chunks);
      reject(new BodyTooLarge());
    });
    request.on("end", () => {
      ended = true;
      resolve(bodyOf(chunks, length));
    });
    // Also after an error: an incoming message always closes.
    request.on("close", () => {
      if (ended) return;
      wipeAll(chunks);
      reject(new CallerGone());
    });
  });
}

/** Most requests come in one chunk; more are joined and wiped. */
function bodyOf(chunks: readonly Buffer[], length: number): Buffer {
  const [only] = chunks;
  return only !== undefined && chunks.length === 1 ? only : joinAndWipe(chunks, length);
}
