import { CodedError } from "../../crypto/coded-error.ts";

/** Every way that a connection between nodes can fail, with the command line's exit code. */
export const netErrors = {
  FRAME_INVALID: { exit: 1, meaning: "the peer sent a frame that is malformed or over its limit" },
  HANDSHAKE_REFUSED: { exit: 3, meaning: "the peer did not prove a node key of this chain" },
  HANDSHAKE_TIMEOUT: { exit: 1, meaning: "the peer did not finish the handshake in time" },
  LINK_CLOSED: { exit: 1, meaning: "the connection ended" },
  LISTEN_FAILED: { exit: 1, meaning: "the P2P address cannot be listened on" },
  PEER_FLOODING: { exit: 1, meaning: "the peer sent more than the limit allows" },
  PEER_SILENT: { exit: 1, meaning: "the peer did not answer heartbeats" },
  PEER_SLOW: { exit: 1, meaning: "the peer does not take what is sent to it" },
  TLS_UNUSABLE: { exit: 2, meaning: "the TLS certificate, key or CA of this node cannot be used" },
} as const;

export type NetErrorCode = keyof typeof netErrors;

/** A failure of the network between nodes. */
export class NetError extends CodedError<NetErrorCode> {
  override readonly name = "NetError";

  constructor(code: NetErrorCode, message?: string, cause?: unknown) {
    super(netErrors, code, message, { cause });
  }
}
