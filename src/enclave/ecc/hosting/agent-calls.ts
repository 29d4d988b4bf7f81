import { EnclaveError } from "../../errors.ts";
import { decodeBase64 } from "../../messages/argument.ts";
import { readRelease } from "../../process/release.ts";
import type { EnclaveAgent } from "../../stub/agent.ts";

interface AgentCall {
  /** What the parts are, for the error where there are others; the last may be left out where it is `optional`. */
  readonly parts: readonly string[];
  readonly optional?: boolean;
  /** Whether every client of the channel may call it, and not only the own organisation's admins. */
  readonly isForClients?: boolean;
  call(agent: EnclaveAgent, parts: readonly Buffer[]): Promise<readonly Uint8Array[]>;
}

const none = Buffer.alloc(0);

/**
 * The transactions by which an organisation's admin reaches its enclave's agent through the peer, as the diagram's command line
 * does (`__initEnclave` is upstream's name), and a client the answer that was held back for it. Arguments and answers are bytes in base64, a generation's number decimal text.
 */
export const agentCalls: Readonly<Record<string, AgentCall>> = {
  __initEnclave: {
    parts: ["CCParameters", "HostParameters", "the channel's hash", "TrustedLedgerParameters"],
    call: async (agent, [ccParams = none, hostParams = none, channelHash = none, trustedLedger = none]) => [
      await agent.initEnclave({ ccParams, hostParams, channelHash, trustedLedger }),
    ],
  },
  __credentials: { parts: [], call: async (agent) => [agent.credentials()] },
  __attestAgain: {
    parts: ["a sequence of the definition"],
    optional: true,
    call: async (agent, [sequence]) => [await agent.attestAgain(readNumber(sequence))],
  },
  __generateCCKeys: { parts: [], call: async (agent) => [await agent.generateCCKeys()] },
  __reEmitRegistration: {
    parts: ["a generation's number"],
    optional: true,
    call: async (agent, [number]) => [await agent.reEmitRegistration(readNumber(number))],
  },
  __discardNeverRegisteredKeys: {
    parts: [],
    call: async (agent) => (await agent.discardNeverRegisteredKeys()).map((number) => Buffer.from(`${number}`)),
  },
  __exportCCKeys: {
    parts: ["the receiver's Credentials", "a generation's number"],
    optional: true,
    call: async (agent, [credentials = none, number]) => [await agent.exportCCKeys(credentials, readNumber(number))],
  },
  __importCCKeys: {
    parts: ["SignedExportMessage"],
    call: async (agent, [message = none]) => [await agent.importCCKeys(message)],
  },
  __proposeGeneration: { parts: [], call: async (agent) => [await agent.proposeGeneration()] },
  __issueRecovery: { parts: [], call: async (agent) => [await agent.issueRecovery()] },
  __checkRecovery: {
    parts: ["an issue's number"],
    call: async (agent, [number = none]) => [await agent.checkRecovery(readNumber(number) ?? 0n)],
  },
  __recover: { parts: [], call: async (agent) => [await agent.recover()] },
  __compareWithLedger: {
    parts: [],
    async call(agent) {
      await agent.compareWithLedger();
      return [];
    },
  },
  __release: {
    parts: ["a transaction id", "the commit's hash", "a generation's number", "a block's number"],
    isForClients: true,
    call: async (agent, parts) => [await agent.release(readRelease(parts))],
  },
  __status: { parts: [], call: async (agent) => [Buffer.from(JSON.stringify(await agent.status()))] },
};

/**
 * @param args - Base64 each.
 * @returns JSON: a list of texts in base64.
 * @throws EnclaveError MALFORMED; what the agent or the enclave refuse with
 */
export async function callAgent(agent: EnclaveAgent, transaction: string, args: readonly string[]): Promise<string> {
  const found = Object.hasOwn(agentCalls, transaction) ? agentCalls[transaction] : undefined;
  if (found === undefined) throw new EnclaveError("MALFORMED", "the enclave's agent has no transaction of this name");
  const { parts, optional = false, call } = found;
  if (args.length > parts.length || args.length < parts.length - (optional ? 1 : 0))
    throw new EnclaveError(
      "MALFORMED",
      `${transaction} takes ${parts.join(", ") || "nothing"}; ${args.length} were given`,
    );
  const answers = await call(
    agent,
    args.map((arg, index) => decodeBase64(arg, parts[index] ?? transaction)),
  );
  return JSON.stringify(answers.map((answer) => Buffer.from(answer).toString("base64")));
}

function readNumber(text: Buffer | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  const digits = text.toString("latin1");
  if (!/^[1-9][0-9]{0,9}$/.test(digits))
    throw new EnclaveError("MALFORMED", "a generation, sequence or issue is not a decimal number from 1");
  return BigInt(digits);
}
