import { randomBytes } from "node:crypto";
import { NetError } from "./errors.ts";

/** Who opened the connection. */
export type HandshakeRole = "dialer" | "listener";

/** The node's own side of a handshake: which chain, who it is, how it signs, whom it admits. */
export interface HandshakeIdentity {
  /** Digest of the genesis block's configuration, 32 bytes: nodes of another chain are refused. */
  readonly genesisDigest: Uint8Array;
  /** `X ‖ Y` in 128 lower-case hexadecimal characters. */
  readonly nodeId: string;
  /** The chain's hash: SM3 or Keccak-256. */
  hash(bytes: Uint8Array): Buffer;
  /** Signs a digest with the node key. May ask a device, so it can fail or take long. */
  sign(digest: Buffer): Promise<Buffer>;
  /** True when `signature` is that node's over the digest; false for everything else, never an error. */
  verify(nodeId: string, digest: Buffer, signature: Buffer): boolean;
  /** True for the nodes of the genesis list. */
  admits(nodeId: string): boolean;
}

/** One side's first message: who it claims to be, and its part of the transcript. */
export interface Hello {
  readonly genesisDigest: Buffer;
  readonly nodeId: string;
  readonly nonce: Buffer;
}

/** RFC 8446 section 7.5 and RFC 5705: the label under which TLS exports the channel's own value. */
export const channelBindingLabel = "EXPORTER-strongroom-chain-p2p-v1";
export const channelBindingBytes = 32;
/** The most that a frame may carry before the peer is known. */
export const maxHandshakeBodyBytes = 512;

const magic = Buffer.from("SRP2P\x01", "latin1");
const digestBytes = 32;
const nodeIdBytes = 64;
const nonceBytes = 32;
export const helloBytes: number = magic.length + digestBytes + nodeIdBytes + nonceBytes;
const maxSignatureBytes = 192;

/** A fresh hello of this node. */
export function ownHello({ genesisDigest, nodeId }: Pick<HandshakeIdentity, "genesisDigest" | "nodeId">): Hello {
  return { genesisDigest: Buffer.from(genesisDigest), nodeId, nonce: randomBytes(nonceBytes) };
}

/** `"SRP2P" 01 ‖ genesis digest (32) ‖ X ‖ Y (64) ‖ nonce (32)`. */
export function encodeHello({ genesisDigest, nodeId, nonce }: Hello): Buffer {
  return Buffer.concat([magic, genesisDigest, Buffer.from(nodeId, "hex"), nonce]);
}

/**
 * Reads a peer's hello, and refuses one that can come to nothing: another protocol or chain, this very node, or a node
 * that is not in the genesis list.
 *
 * @throws {NetError} `HANDSHAKE_REFUSED`.
 */
export function readHello(body: Buffer, identity: HandshakeIdentity): Hello {
  if (body.length !== helloBytes || !body.subarray(0, magic.length).equals(magic))
    throw new NetError("HANDSHAKE_REFUSED", "the peer speaks another protocol");
  const nodeIdAt = magic.length + digestBytes;
  const nonceAt = nodeIdAt + nodeIdBytes;
  const hello = {
    genesisDigest: body.subarray(magic.length, nodeIdAt),
    nodeId: body.subarray(nodeIdAt, nonceAt).toString("hex"),
    nonce: body.subarray(nonceAt),
  };
  if (!hello.genesisDigest.equals(identity.genesisDigest))
    throw new NetError("HANDSHAKE_REFUSED", "the peer is of another chain: its genesis differs");
  if (hello.nodeId === identity.nodeId) throw new NetError("HANDSHAKE_REFUSED", "the peer is this node itself");
  if (!identity.admits(hello.nodeId))
    throw new NetError("HANDSHAKE_REFUSED", `node ${shortNodeId(hello.nodeId)} is not in the genesis node list`);
  return hello;
}

/**
 * What one side signs: the chain's hash over
 * `"strongroom/chain/p2p/v1" 00 ‖ role (1) ‖ genesis (32) ‖ channel binding (32) ‖ dialer id (64) ‖ listener id (64) ‖
 * dialer nonce (32) ‖ listener nonce (32)`.
 *
 * The role keeps a proof from being sent back to its maker, the channel binding keeps it from being carried into another
 * TLS connection, the nonces keep it from serving twice.
 */
export function proofDigest(
  identity: Pick<HandshakeIdentity, "hash">,
  signer: HandshakeRole,
  channelBinding: Uint8Array,
  hellos: { readonly dialer: Hello; readonly listener: Hello },
): Buffer {
  if (channelBinding.length !== channelBindingBytes)
    throw new RangeError(`a channel binding has ${channelBindingBytes} bytes, got ${channelBinding.length}`);
  const { dialer, listener } = hellos;
  return identity.hash(
    Buffer.concat([
      Buffer.from("strongroom/chain/p2p/v1\0"),
      Buffer.of(signer === "dialer" ? 1 : 2),
      dialer.genesisDigest,
      channelBinding,
      Buffer.from(dialer.nodeId, "hex"),
      Buffer.from(listener.nodeId, "hex"),
      dialer.nonce,
      listener.nonce,
    ]),
  );
}

/** The two messages of a handshake, as it is carried over frames. */
export interface HandshakeChannel {
  sendHello(body: Buffer): void;
  sendProof(body: Buffer): void;
  /** Rejects when the connection ends. */
  readHello(): Promise<Buffer>;
  readProof(): Promise<Buffer>;
}

/**
 * Runs one side: dialer's hello, listener's hello, dialer's proof, listener's proof. The listener signs only for a peer that
 * has proved itself, so that strangers can't make a device work.
 *
 * @param channelBinding - What TLS exported under {@link channelBindingLabel}.
 * @returns The peer's node id, proved.
 * @throws {NetError} `HANDSHAKE_REFUSED`; what signing or the channel throws goes through.
 */
export async function handshake(
  role: HandshakeRole,
  identity: HandshakeIdentity,
  channelBinding: Uint8Array,
  channel: HandshakeChannel,
): Promise<string> {
  const own = ownHello(identity);
  if (role === "dialer") channel.sendHello(encodeHello(own));
  const received = await channel.readHello();
  // Before the peer's is judged: a node that has dialed itself then sees that.
  if (role === "listener") channel.sendHello(encodeHello(own));
  const peer = readHello(received, identity);
  const hellos = role === "dialer" ? { dialer: own, listener: peer } : { dialer: peer, listener: own };
  const ownDigest = proofDigest(identity, role, channelBinding, hellos);
  const peerDigest = proofDigest(identity, role === "dialer" ? "listener" : "dialer", channelBinding, hellos);
  if (role === "dialer") channel.sendProof(await identity.sign(ownDigest));
  const signature = await channel.readProof();
  if (signature.length > maxSignatureBytes || !identity.verify(peer.nodeId, peerDigest, signature))
    throw new NetError("HANDSHAKE_REFUSED", `the proof of node ${shortNodeId(peer.nodeId)} does not verify`);
  if (role === "listener") channel.sendProof(await identity.sign(ownDigest));
  return peer.nodeId;
}

/** Enough of a node id for a log line. */
export function shortNodeId(nodeId: string): string {
  return `${nodeId.slice(0, 8)}…`;
}
