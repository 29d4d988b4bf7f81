/**
 * The enclave of a chaincode: `node main.ts`, started by its host's agent with a socket as file descriptor 3. All else comes
 * over the socket.
 */
import { auction } from "../chaincode/auction.ts";
import { AttestationJudge } from "../evidence/judge.ts";
import { TrustedLedgerParametersSchema } from "../messages/generated/fpc/policy_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { openTeeBackend } from "../tee/open-backend.ts";
import { openTrustedLedger } from "../trusted-ledger/open.ts";
import { confidentialInvocation } from "./confidential-invocation.ts";
import { serveEnclave } from "./serve.ts";
import { readTeeSettings } from "./tee-settings.ts";

await serveEnclave({
  openBackend: (settings) => openTeeBackend(readTeeSettings(settings), "chaincode"),
  judge: new AttestationJudge(),
  openLedger: async ({ parameters, ...context }, exchange, { backend, judge }) =>
    openTrustedLedger(decodeStrict(TrustedLedgerParametersSchema, parameters), exchange, {
      ...context,
      tee: backend,
      judge,
    }),
  invoke: confidentialInvocation(auction),
});
