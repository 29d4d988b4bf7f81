import { EnclaveError, fromAbortText } from "../../errors.ts";
import { invalidTransaction } from "../validation-codes.ts";

/** What a peer said about its refusal, as Fabric's gateway hands it on. */
interface PeerDetail {
  readonly mspId?: string;
  readonly address?: string;
  readonly message: string;
}

/** gRPC's status codes that are looked at. */
const grpcStatus = { permissionDenied: 7, aborted: 10, unauthenticated: 16 } as const;

/** Peers put these words before what chaincode said. */
const chaincodeWords = /chaincode response \d+, /;

/**
 * What went wrong at a call through Fabric's gateway, as the reason class of chaincode where it has said one: the first of the
 * endorsers' that has. Peers at different heights (answers that differ) are a CONFLICT; a client whom peers do not know, or who
 * may not read or write the channel, is UNAUTHORIZED; all else is LEDGER_UNAVAILABLE.
 *
 * @param what - What was tried, for the message.
 */
export function fromGateway(error: unknown, what: string): EnclaveError {
  if (error instanceof EnclaveError) return error;
  if (!(error instanceof Error)) return new EnclaveError("LEDGER_UNAVAILABLE", `${what}: ${String(error)}`);
  const details = detailsOf(error);
  for (const { message } of details) {
    const abort = abortOf(message);
    if (abort !== undefined) return caused(abort, error);
  }
  const abort = abortOf(error.message);
  if (abort !== undefined) return caused(abort, error);

  // gRPC's client ends its message in the heading of a note that is mostly empty.
  const message = error.message.replace(/\.? *Resolution note: *$/, "");
  const said = [message, ...details.map(({ mspId, message }) => `${mspId ?? "a peer"}: ${message}`)].join("; ");
  const code = (error as { code?: unknown }).code;
  if (/access denied/i.test(said) || code === grpcStatus.permissionDenied || code === grpcStatus.unauthenticated)
    return new EnclaveError("UNAUTHORIZED", `${what}: ${said}`, { cause: error });
  if (code === grpcStatus.aborted && /ProposalResponsePayloads do not match/.test(said))
    return new EnclaveError("CONFLICT", `${what}: the peers' answers differ`, {
      cause: error,
      hint: "one of them may be behind: try again",
    });
  return new EnclaveError("LEDGER_UNAVAILABLE", `${what}: ${said}`, { cause: error });
}

/** @throws EnclaveError as {@link invalidTransaction}, for any code but that of a valid transaction */
export function checkCommitted(txId: string, status: { readonly successful: boolean; readonly code: number }): void {
  if (!status.successful) throw invalidTransaction(txId, status.code);
}

/** The reason that chaincode gave; undefined of texts that are not chaincode's. */
function abortOf(text: string): EnclaveError | undefined {
  const words = chaincodeWords.exec(text);
  return words === null ? undefined : fromAbortText(text.slice(words.index + words[0].length));
}

function caused({ code, message, hint }: EnclaveError, cause: Error): EnclaveError {
  return new EnclaveError(code, message, { cause, hint });
}

function detailsOf(error: Error): readonly PeerDetail[] {
  const details: unknown = (error as { details?: unknown }).details;
  return Array.isArray(details) ? details.filter((one) => typeof one?.message === "string") : [];
}
