import type { TLSSocket } from "node:tls";
import { NetError } from "./errors.ts";
import { encodeFrame, type Frame, FrameReader, frameTypes, maxFrameBodyBytes } from "./frame.ts";
import {
  channelBindingBytes,
  channelBindingLabel,
  type HandshakeIdentity,
  type HandshakeRole,
  handshake,
  maxHandshakeBodyBytes,
} from "./handshake.ts";
import { type Rate, RateLimit } from "./rate-limit.ts";

/** What a link allows its peer. Times in milliseconds. */
export interface LinkLimits {
  readonly handshakeMs: number;
  readonly pingMs: number;
  /** A peer from which nothing came for this long is gone. */
  readonly silenceMs: number;
  readonly messages: Rate;
  readonly bytes: Rate;
  /** What may wait to be sent to a peer that reads slowly. */
  readonly maxUnsentBytes: number;
}

export const linkDefaults: LinkLimits = {
  handshakeMs: 10_000,
  pingMs: 3_000,
  silenceMs: 12_000,
  messages: { perSecond: 4_000, burst: 20_000 },
  bytes: { perSecond: 32 << 20, burst: 64 << 20 },
  maxUnsentBytes: 32 << 20,
};

export interface LinkEvents {
  message(body: Buffer): void;
  /** Once, with the reason; `undefined` after {@link Link.close}. */
  closed(reason: NetError | undefined): void;
}

/** What may wait behind the handshake's frames: a listener's first messages come right after its proof. */
const maxEarlyBytes = 1 << 20;

/** One proved connection to one node. Frames other than messages and heartbeats end it, as does every limit. */
export class Link {
  readonly nodeId: string;
  readonly role: HandshakeRole;
  readonly #socket: TLSSocket;
  readonly #limits: LinkLimits;
  readonly #messages: RateLimit;
  readonly #bytes: RateLimit;
  readonly #pinger: NodeJS.Timeout;
  readonly #early: Buffer[] = [];
  #events: LinkEvents | undefined;
  #reason: NetError | undefined;
  #heardAtMs: number;
  #closed = false;

  private constructor(nodeId: string, role: HandshakeRole, socket: TLSSocket, limits: LinkLimits) {
    this.nodeId = nodeId;
    this.role = role;
    this.#socket = socket;
    this.#limits = limits;
    this.#heardAtMs = performance.now();
    this.#messages = new RateLimit(limits.messages, this.#heardAtMs);
    this.#bytes = new RateLimit(limits.bytes, this.#heardAtMs);
    this.#pinger = setInterval(() => this.#ping(), limits.pingMs);
  }

  /**
   * Proves both sides over a TLS 1.3 connection that is secured already. The socket is destroyed when that fails.
   *
   * @throws {NetError} `HANDSHAKE_REFUSED`, `HANDSHAKE_TIMEOUT`, `FRAME_INVALID`, `LINK_CLOSED`; what signing throws.
   */
  static async prove(
    socket: TLSSocket,
    role: HandshakeRole,
    identity: HandshakeIdentity,
    limits: LinkLimits = linkDefaults,
  ): Promise<Link> {
    const inbox = new Inbox(socket);
    const timer = setTimeout(() => inbox.fail(new NetError("HANDSHAKE_TIMEOUT")), limits.handshakeMs);
    try {
      if (socket.getProtocol() !== "TLSv1.3") throw new NetError("HANDSHAKE_REFUSED", "the connection is not TLS 1.3");
      const binding = socket.exportKeyingMaterial(channelBindingBytes, channelBindingLabel, Buffer.alloc(0));
      const proved = handshake(role, identity, binding, {
        sendHello: (body) => void socket.write(encodeFrame(frameTypes.hello, body)),
        sendProof: (body) => void socket.write(encodeFrame(frameTypes.proof, body)),
        readHello: () => inbox.read(frameTypes.hello),
        readProof: () => inbox.read(frameTypes.proof),
      });
      const nodeId = await Promise.race([proved, inbox.failed]);
      const link = new Link(nodeId, role, socket, limits);
      inbox.handOver(
        (frame) => link.#take(frame),
        (error) => link.#end(error),
      );
      return link;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Names who gets the messages. Those that came before wait until then. */
  listen(events: LinkEvents): void {
    this.#events = events;
    for (const body of this.#early.splice(0)) events.message(body);
    if (this.#closed) events.closed(this.#reason);
  }

  /** Sends one message; false when the link is closed, or ends because the peer does not read. */
  send(...body: readonly Uint8Array[]): boolean {
    if (this.#closed) return false;
    if (this.#socket.writableLength > this.#limits.maxUnsentBytes) {
      this.#end(new NetError("PEER_SLOW"));
      return false;
    }
    this.#socket.write(encodeFrame(frameTypes.message, ...body));
    return true;
  }

  close(): void {
    this.#end(undefined);
  }

  #take({ type, body }: Frame): void {
    if (this.#closed) return;
    const nowMs = performance.now();
    this.#heardAtMs = nowMs;
    if (!this.#messages.take(1, nowMs) || !this.#bytes.take(body.length, nowMs))
      this.#end(new NetError("PEER_FLOODING"));
    else if (type === frameTypes.ping) this.#socket.write(encodeFrame(frameTypes.pong));
    else if (type === frameTypes.message)
      if (this.#events === undefined) this.#early.push(body);
      else this.#events.message(body);
    else if (type !== frameTypes.pong)
      this.#end(new NetError("FRAME_INVALID", "a handshake frame came after the handshake"));
  }

  #ping(): void {
    if (performance.now() - this.#heardAtMs > this.#limits.silenceMs) this.#end(new NetError("PEER_SILENT"));
    else this.#socket.write(encodeFrame(frameTypes.ping));
  }

  #end(reason: NetError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reason = reason;
    clearInterval(this.#pinger);
    this.#socket.destroy();
    this.#events?.closed(reason);
  }
}

/** Frames off one socket: read one by one during the handshake, handed over to the link after it. */
class Inbox {
  readonly #reader = new FrameReader(maxHandshakeBodyBytes);
  readonly #waiting: Frame[] = [];
  #wake: (() => void) | undefined;
  #take: ((frame: Frame) => void) | undefined;
  #end: ((error: NetError) => void) | undefined;
  #error: NetError | undefined;
  readonly failed: Promise<never>;
  #reject: (error: NetError) => void = () => {};

  constructor(socket: TLSSocket) {
    this.failed = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.failed.catch(() => {});
    socket.on("data", (chunk: Buffer) => this.#push(chunk));
    socket.on("error", (cause) =>
      this.fail(new NetError("LINK_CLOSED", `the connection failed: ${cause.message}`, cause)),
    );
    socket.on("close", () => this.fail(new NetError("LINK_CLOSED")));
  }

  /** The next frame, which must be of this type. */
  async read(type: Frame["type"]): Promise<Buffer> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      const frame = this.#waiting.shift();
      if (frame !== undefined) {
        if (frame.type === type) return frame.body;
        throw new NetError("HANDSHAKE_REFUSED", "the peer's frames are not in the handshake's order");
      }
      this.#push(Buffer.alloc(0));
      if (this.#waiting.length > 0 || this.#error !== undefined) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** From now on every frame goes to `take`, with a link's limit. */
  handOver(take: (frame: Frame) => void, end: (error: NetError) => void): void {
    this.#reader.allow(maxFrameBodyBytes);
    this.#take = take;
    this.#end = end;
    for (const frame of this.#waiting.splice(0)) take(frame);
    if (this.#error === undefined) this.#push(Buffer.alloc(0));
    else end(this.#error);
  }

  fail(error: NetError): void {
    this.#error ??= error;
    this.#reject(this.#error);
    this.#wake?.();
    this.#end?.(this.#error);
  }

  #push(chunk: Buffer): void {
    if (this.#error !== undefined) return;
    try {
      this.#reader.push(chunk);
      if (this.#take === undefined && this.#reader.heldBytes > maxEarlyBytes)
        throw new NetError("FRAME_INVALID", "the peer sent more than a handshake before it had proved itself");
      // Before the peer has proved itself only the handshake's two frames are cut off; the rest waits for its own limit.
      while (this.#take !== undefined || this.#waiting.length < 1) {
        const frame = this.#reader.next();
        if (frame === undefined) break;
        if (this.#take === undefined) this.#waiting.push(frame);
        else this.#take(frame);
      }
      this.#wake?.();
    } catch (error) {
      this.fail(error instanceof NetError ? error : new NetError("FRAME_INVALID", undefined, error));
    }
  }
}
