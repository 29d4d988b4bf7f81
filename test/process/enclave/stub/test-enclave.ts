import { appendFileSync } from "node:fs";
import { AttestationJudge } from "../../../../src/enclave/evidence/judge.ts";
import { serveEnclave } from "../../../../src/enclave/process/serve.ts";
import { readTeeSettings } from "../../../../src/enclave/process/tee-settings.ts";
import type { TeeBackend } from "../../../../src/enclave/tee/backend.ts";
import { openGramineBackend } from "../../../../src/enclave/tee/gramine/backend.ts";
import type { EnclaveCode } from "../../../../src/enclave/tee/measure-code.ts";
import type { TeeSettings } from "../../../../src/enclave/tee/open-backend.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import { openTpmBackend } from "../../../../src/enclave/tee/tpm/backend.ts";
import { judgeUnder } from "../../../enclave-platforms/judging.ts";
import { BelievingLedger } from "../../../unit/enclave/process/believing-ledger.ts";
import { probe } from "../../../unit/enclave/process/probe.ts";

export interface TestEnclaveSettings {
  /** Of kind `process`. Left out: what the host says at the start counts. */
  readonly platform?: string;
  readonly code: EnclaveCode;
  /** DER in base64, of the tests' own Intel. */
  readonly intelRoot?: string;
  /** Runs {@link probe}, and else no chaincode. */
  readonly probes?: boolean;
  /** The process ends itself with SIGKILL at this step, counted from 1. */
  readonly killAt?: number;
  /** Where what it seals is written in clear, each as a line of base64: its keys, for tests that look for them elsewhere. */
  readonly keysFile?: string;
  /** Where the names of steps are written. */
  readonly stepsFile?: string;
}

/** The enclave of the product but for its way to the ledger, with what tests want of it. */
export function serveTestEnclave(test: TestEnclaveSettings): Promise<void> {
  const { platform, code, intelRoot, probes, killAt, keysFile, stepsFile } = test;
  let steps = 0;
  return serveEnclave({
    openBackend: async (settings) => {
      const backend = await openBackend(
        platform === undefined ? readTeeSettings(settings) : { kind: "process", platform },
        code,
      );
      return keysFile === undefined ? backend : telling(backend, keysFile);
    },
    judge: intelRoot === undefined ? new AttestationJudge() : judgeUnder(Buffer.from(intelRoot, "base64")),
    ...(probes ? { invoke: probe } : {}),
    openLedger: async (_, exchange) => new BelievingLedger(exchange),
    reached: (step) => {
      steps += 1;
      if (stepsFile !== undefined) appendFileSync(stepsFile, `${step}\n`);
      if (steps === killAt) process.kill(process.pid, "SIGKILL");
    },
  });
}

/** As the product does it, of other code than this installation's. */
async function openBackend(settings: TeeSettings, code: EnclaveCode): Promise<TeeBackend> {
  switch (settings.kind) {
    case "process":
      return openProcessBackend({ ...settings, code });
    case "tpm":
      return openTpmBackend({ ...settings, code });
    case "gramine":
      return openGramineBackend(settings);
  }
}

function telling(backend: TeeBackend, keysFile: string): TeeBackend {
  return {
    kind: backend.kind,
    protectsFromRoot: backend.protectsFromRoot,
    measure: () => backend.measure(),
    quote: (statement) => backend.quote(statement),
    seal: (secret, associatedData) => {
      secret.expose((bytes) => appendFileSync(keysFile, `${bytes.toString("base64")}\n`));
      return backend.seal(secret, associatedData);
    },
    unseal: (sealed, associatedData) => backend.unseal(sealed, associatedData),
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  };
}
