import { EnclaveError } from "../errors.ts";
import { formatPolicy } from "../ledger/policy-text.ts";
import { EndorsementPolicy } from "../ledger/signature-policy.ts";
import type { Answered, Answerers, AnsweringAgent, AskEnclave } from "./confidential-call.ts";
import { queryDefinition } from "./definition.ts";
import type { RegistryClient } from "./registry-client.ts";
import type { RegistryView } from "./registry-view.ts";

/**
 * Has a call answered by enclaves of as few organisations as meet the chaincode's endorsement policy, the own one first. Where one does
 * not answer, or not with an enclave of its own that may endorse, another takes its place; none is asked twice.
 *
 * Peers hold what is written against the same policy again. What is only read they never see, so that the client's look is the only one.
 *
 * @param open - An organisation's agent; the stack's from then on. What it refuses with is that organisation's refusal
 * @param view - Whose word is taken for who may endorse
 * @returns Refuses with POLICY_DENIED where the policy cannot be met, or with the one reason class that all organisations have which did
 *   not answer
 */
export function answersByPolicy(
  client: RegistryClient,
  open: (mspId: string) => Promise<AnsweringAgent>,
  stack: AsyncDisposableStack,
  view: RegistryView,
): Answerers {
  return {
    async answer(ask) {
      const { validationParameter } = await queryDefinition(client.connection, client.chaincodeId);
      // One that refers to the channel's configuration has no organisations here, nor at the peers (endorse.ts): never met.
      const policy = new EndorsementPolicy(validationParameter, []);
      const answered = new Map<string, Answered>();
      const refusals = new Map<string, EnclaveError>();
      const holders = await organisationsWithKeys(client);
      for (;;) {
        const left = holders.filter((mspId) => !answered.has(mspId) && !refusals.has(mspId));
        const chosen = policy.fewestOf([...answered.keys(), ...left]);
        if (chosen === undefined) throw notMet(formatPolicy(validationParameter), [...answered.keys()], refusals);
        const found = chosen.flatMap((mspId) => answered.get(mspId) ?? []);
        if (found.length === chosen.length) return found;
        const asked = chosen.filter((mspId) => !answered.has(mspId));
        const answers = await Promise.allSettled(
          asked.map(async (mspId) => await askOne(view, mspId, stack.use(await open(mspId)), ask)),
        );
        for (const [index, one] of answers.entries()) {
          const mspId = asked[index] ?? "";
          if (one.status === "fulfilled") answered.set(mspId, one.value);
          else if (one.reason instanceof EnclaveError) refusals.set(mspId, one.reason);
          else throw one.reason;
        }
      }
    },
  };
}

/** @throws EnclaveError WRONG_CONTEXT, POLICY_DENIED: the enclave is another organisation's, or may not endorse */
async function askOne(view: RegistryView, mspId: string, agent: AnsweringAgent, ask: AskEnclave): Promise<Answered> {
  const answered = await ask(agent);
  const { enclaveId, mspId: attested } = answered.enclave;
  if (attested !== mspId)
    throw new EnclaveError("WRONG_CONTEXT", `the answer is of enclave ${enclaveId.text}, which is of ${attested}`);
  if (!(await view.canEndorse(enclaveId.text)))
    throw new EnclaveError("POLICY_DENIED", `enclave ${enclaveId.text} may not endorse for the chaincode`);
  return answered;
}

/** The own one first. */
async function organisationsWithKeys(client: RegistryClient): Promise<readonly string[]> {
  const [enclaves, provisioned] = await Promise.all([client.enclaves(), client.provisioned()]);
  const holders = enclaves.filter(({ enclaveId }) => provisioned.includes(enclaveId.text)).map(({ mspId }) => mspId);
  const others = [...new Set(holders)].filter((mspId) => mspId !== client.mspId).sort();
  return holders.includes(client.mspId) ? [client.mspId, ...others] : others;
}

function notMet(
  policy: string,
  answered: readonly string[],
  refusals: ReadonlyMap<string, EnclaveError>,
): EnclaveError {
  const [first, ...others] = [...refusals.values()].map(({ code }) => code);
  const code = first !== undefined && others.every((other) => other === first) ? first : "POLICY_DENIED";
  const said = [...refusals].map(([mspId, { code, message }]) => `; ${mspId}: ${code}: ${message}`);
  const who = answered.length === 0 ? "no organisation" : answered.join(", ");
  return new EnclaveError(code, `enclaves of ${who} answered, and the policy is ${policy}${said.join("")}`, {
    cause: refusals.values().next().value,
    hint: "strongroom fpc status shows whose enclaves hold the keys; the others' have to run beside their peers",
  });
}
