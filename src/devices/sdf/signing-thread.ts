/**
 * The thread in which one session of a card signs: a group of digests, and then the reading that shows whose signatures they are, in
 * one turn. The library computes in it, so that neither an answer nor the next call waits for the loop of the device's process.
 */
import { parentPort, workerData } from "node:worker_threads";
import { DeviceFault, type FaultFacts } from "../native/fault.ts";
import { computeSteadily } from "../native/scheduling-slice.ts";
import { faultOfCode, faultOfPrivateUse, keyChanged, keyNotListed, ownFault, profileMismatch } from "./errors.ts";
import { SdfLibrary } from "./library.ts";
import {
  callBytes,
  callMarks,
  digestBytes,
  readCall,
  type SignedGroup,
  type SigningGroup,
  type SigningThreadData,
  signatureBytes,
  threadReady,
} from "./signing-group.ts";
import { StructMismatch, structBytes, unpackPublicKey, unpackSignature } from "./structs.ts";

/** How long a key's identity, once read from the card, suffices to sign. That no other key has signed is read after each group. */
const identityReadMs = 1_000;
/** A group that takes longer is ended after the call that runs: its answers have waited long enough. */
const longestGroupMs = 20;
/** Room for whatever a library of another layout would write. */
const roomyBytes = 2_048;

interface ReadIdentity {
  readonly publicKey: Buffer;
  readonly readAtMs: number;
}

/** Signs with the keys of one session, on the thread that calls it. */
class GroupSigner {
  readonly #library: SdfLibrary;
  readonly #data: SigningThreadData;
  readonly #identities = new Map<number, ReadIdentity>();
  readonly #image = Buffer.alloc(roomyBytes);
  #ended = false;

  constructor(library: SdfLibrary, data: SigningThreadData) {
    this.#library = library;
    this.#data = data;
  }

  sign({ firstMark, calls: bytes }: SigningGroup): SignedGroup {
    const calls = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const count = calls.length / callBytes;
    const signatures = new Uint8Array(count * signatureBytes);
    const unsigned = new Array<FaultFacts | null | undefined>(count);
    const signed: number[] = [];
    const endsMs = performance.now() + longestGroupMs;
    for (let at = 0; at < count; at += 1) {
      const begins = !this.#ended && (at === 0 || performance.now() < endsMs) && this.#begins(firstMark + at);
      if (!begins) {
        unsigned[at] = null;
        continue;
      }
      try {
        signatures.set(this.#signOne(calls, at), at * signatureBytes);
        signed.push(at);
      } catch (error) {
        unsigned[at] = this.#heard(error);
      }
    }
    this.#confirm(calls, signed, (at, fault) => {
      signatures.fill(0, at * signatureBytes, (at + 1) * signatureBytes);
      unsigned[at] = fault;
    });
    return signed.length === count && !unsigned.some((fault) => fault !== undefined)
      ? { signatures }
      : { signatures, unsigned };
  }

  #begins(mark: number): boolean {
    const { waiting, begun } = callMarks;
    return Atomics.compareExchange(this.#data.marks, mark, waiting, begun) === waiting;
  }

  #signOne(calls: Buffer, at: number): Buffer {
    const { keyIndex, digest, publicKey } = readCall(calls, at);
    const known = this.#identities.get(keyIndex);
    const isKnown = known !== undefined && performance.now() - known.readAtMs <= identityReadMs;
    const shown = isKnown ? known.publicKey : this.#readIdentity(keyIndex);
    if (!shown.equals(publicKey)) throw keyChanged(keyIndex);
    const image = this.#image;
    image.fill(0, 0, structBytes.signature);
    const { session, taken } = this.#data;
    const code = this.#library.callNow("SDF_InternalSign_ECC", session, keyIndex, digest, digestBytes, image);
    if (code !== 0) throw faultOfPrivateUse("SDF_InternalSign_ECC", code, keyIndex, taken.includes(keyIndex));
    return unpackSignature(image.subarray(0, structBytes.signature));
  }

  /** Reads anew, after signatures were made, each public key that they are of: a key that was replaced before they were shows here. */
  #confirm(calls: Buffer, signed: readonly number[], refuse: (at: number, fault: FaultFacts) => void): void {
    const shown = new Map<number, Buffer>();
    const hadEnded = this.#ended;
    try {
      for (const at of signed) {
        const { keyIndex } = readCall(calls, at);
        if (!shown.has(keyIndex)) shown.set(keyIndex, this.#readIdentity(keyIndex));
      }
    } catch (error) {
      // One trouble, however many calls it costs: that which ended the session before, or this reading itself.
      const fault = this.#heard(error);
      for (const [order, at] of signed.entries()) refuse(at, { ...fault, follows: order > 0 || hadEnded });
      return;
    }
    for (const at of signed) {
      const { keyIndex, publicKey } = readCall(calls, at);
      if (shown.get(keyIndex)?.equals(publicKey) !== true) refuse(at, this.#heard(keyChanged(keyIndex)));
    }
  }

  #readIdentity(keyIndex: number): Buffer {
    if (!this.#data.keyIndices.includes(keyIndex)) throw keyNotListed(keyIndex);
    const image = this.#image;
    image.fill(0, 0, structBytes.publicKey);
    const code = this.#library.callNow("SDF_ExportSignPublicKey_ECC", this.#data.session, keyIndex, image);
    if (code !== 0) throw faultOfCode("SDF_ExportSignPublicKey_ECC", code, `key index ${keyIndex}`);
    const publicKey = unpackPublicKey(image.subarray(0, structBytes.publicKey));
    this.#identities.set(keyIndex, { publicKey, readAtMs: performance.now() });
    return publicKey;
  }

  /** What is told of an error; nothing is begun after one that ends the session. */
  #heard(error: unknown): FaultFacts {
    const fault = error instanceof StructMismatch ? profileMismatch(this.#data.profileName, error.message) : error;
    const facts =
      fault instanceof DeviceFault ? fault : ownFault("device", "PROGRAM_ERROR", "the signing thread failed");
    this.#ended ||= facts.evict;
    const { kind, code, message, evict, retryable, follows } = facts;
    return { kind, code, message, evict, retryable, follows };
  }
}

const data = workerData as SigningThreadData;
const signer = new GroupSigner(await SdfLibrary.loadedAt(data.addresses), data);
await computeSteadily();
parentPort?.on("message", (group: SigningGroup) => parentPort?.postMessage(signer.sign(group)));
parentPort?.postMessage(threadReady);
