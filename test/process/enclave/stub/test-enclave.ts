import { appendFileSync } from "node:fs";
import { AttestationJudge } from "../../../../src/enclave/evidence/judge.ts";
import { serveEnclave } from "../../../../src/enclave/process/serve.ts";
import type { TeeBackend } from "../../../../src/enclave/tee/backend.ts";
import type { EnclaveCode } from "../../../../src/enclave/tee/measure-code.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import { BelievingLedger } from "../../../unit/enclave/process/believing-ledger.ts";

export interface TestEnclaveSettings {
  readonly platform: string;
  readonly code: EnclaveCode;
  /** The process ends itself with SIGKILL at this step, counted from 1. */
  readonly killAt?: number;
  /** Where what it seals is written in clear, each as a line of base64: its keys, for tests that look for them elsewhere. */
  readonly keysFile?: string;
  /** Where the names of steps are written. */
  readonly stepsFile?: string;
}

/** The enclave of the product but for its way to the ledger, with what tests want of it. */
export function serveTestEnclave({ platform, code, killAt, keysFile, stepsFile }: TestEnclaveSettings): Promise<void> {
  let steps = 0;
  return serveEnclave({
    openBackend: async () => {
      const backend = await openProcessBackend({ platform, code });
      return keysFile === undefined ? backend : telling(backend, keysFile);
    },
    judge: new AttestationJudge(),
    openLedger: async (_, exchange) => new BelievingLedger(exchange),
    reached: (step) => {
      steps += 1;
      if (stepsFile !== undefined) appendFileSync(stepsFile, `${step}\n`);
      if (steps === killAt) process.kill(process.pid, "SIGKILL");
    },
  });
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
