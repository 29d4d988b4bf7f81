import { addonSm4, loadSm4Addon, type Sm4Addon } from "./addon.ts";
import { checkSm4Provider } from "./known-answers.ts";
import { opensslSm4 } from "./openssl.ts";
import type { Sm4Provider } from "./provider.ts";
import { wasmSm4 } from "./wasm.ts";

/** A way to compute SM4 that may turn out to be missing or wrong here. */
export interface Sm4Candidate {
  readonly name: Sm4Provider["name"];
  /** Such as the kernel of the addon; part of what is said about it when it is refused. */
  readonly detail?: string;
  /** Left out of the choice unless `STRONGROOM_SM4` names the candidate. */
  readonly onlyWhenForced?: boolean;
  /** @throws {Error} Where it is missing. */
  make(): Sm4Provider;
}

export interface Sm4Choice {
  readonly provider: Sm4Provider;
  /** The candidates before it. */
  readonly rejected: readonly RejectedSm4[];
}

/** A candidate that was passed over. */
export interface RejectedSm4 {
  readonly name: string;
  /** `absent`: it is not there, or does not run here; `wrong`: it runs, and failed {@link checkSm4Provider}. */
  readonly fault: "absent" | "wrong";
  readonly why: string;
}

const names: readonly Sm4Provider["name"][] = ["addon", "wasm", "openssl"];
let chosen: Sm4Choice | undefined;

/**
 * The fastest SM4 that works on this machine and passes {@link checkSm4Provider}; the same for the life of the process.
 *
 * The environment's `STRONGROOM_SM4`, one of `addon`, `wasm` and `openssl`, leaves only those to choose from; empty it
 * counts as left out.
 *
 * @throws {RangeError} When `STRONGROOM_SM4` is something else.
 * @throws {Error} When no candidate is left; the message says why each was refused.
 */
export function chooseSm4(): Sm4Choice {
  chosen ??= chooseSm4From(candidates(), process.env.STRONGROOM_SM4 || undefined);
  return chosen;
}

/** {@link chooseSm4} from given candidates, best first, without remembering. `forced` is as in the environment. */
export function chooseSm4From(candidates: Iterable<Sm4Candidate>, forced?: string): Sm4Choice {
  if (forced !== undefined && !names.some((name) => name === forced))
    throw new RangeError(`STRONGROOM_SM4 is none of ${names.join(", ")}: name one of them or leave it out`);
  const rejected: RejectedSm4[] = [];
  for (const candidate of candidates) {
    if (forced === undefined ? candidate.onlyWhenForced === true : candidate.name !== forced) continue;
    let fault: RejectedSm4["fault"] = "absent";
    try {
      const provider = candidate.make();
      fault = "wrong";
      checkSm4Provider(provider);
      return { provider, rejected };
    } catch (error) {
      const name = candidate.detail === undefined ? candidate.name : `${candidate.name} ${candidate.detail}`;
      rejected.push({ name, fault, why: firstLine(error) });
    }
  }
  const reasons = rejected.map(({ name, why }) => `${name}: ${why}`).join("; ");
  throw new Error(
    `no SM4 implementation can be used${forced === undefined ? "" : ` as STRONGROOM_SM4 asks`}: ${reasons}`,
  );
}

function* candidates(): Iterable<Sm4Candidate> {
  let addon: Sm4Addon | undefined;
  try {
    addon = loadSm4Addon();
  } catch (error) {
    yield {
      name: "addon",
      make() {
        throw error;
      },
    };
  }
  if (addon !== undefined) {
    const loaded = addon;
    // The scalar kernel is slower than the WebAssembly's; it serves tests, and who asks for it.
    for (const kernel of loaded.kernels())
      yield {
        name: "addon",
        detail: kernel,
        onlyWhenForced: kernel === "scalar",
        make: () => addonSm4(loaded, kernel),
      };
  }
  yield { name: "wasm", make: wasmSm4 };
  yield { name: "openssl", make: opensslSm4 };
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}
